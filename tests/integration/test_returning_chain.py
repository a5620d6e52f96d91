"""A chain that comes back to our block while its common ancestor with ours is searched."""

from __future__ import annotations

from typing import Any

from tests.integration import fork_stage
from tests.integration.daemon_stage import Playhead, following, serving

forked, url = fork_stage.forked, fork_stage.url


def comes_back(head: Playhead, after: int) -> tuple[list[int], Any]:
    """The head returns to the fork's last block at the first header after this block's; the
    numbers that were asked for, and the fault that does it."""
    asked: list[int] = []

    def come_back(method: str, params: Any) -> None:
        block = params["block_id"] if method == "starknet_getBlockWithTxHashes" else None
        if isinstance(block, dict) and "block_number" in block:
            if asked and asked[-1] == after and head.tip is not None and head.tip.branch == 0:
                head.go_to(fork_stage.TIP, branch=1)
            asked.append(block["block_number"])

    return asked, come_back


async def test_a_chain_that_comes_back_while_the_ancestor_is_searched(url: str) -> None:
    """Our block is another one's at first, then ours: nothing, not even no block, is taken back."""
    head = fork_stage.on_main()
    asked, fault = comes_back(head, fork_stage.TIP)

    async def has_looked_again() -> bool:
        return len(asked) > 30

    async with serving(head, fault=fault) as node, following(url, node.url) as running:
        await running.until(has_looked_again)
        assert running.said("reorganised") is None
        assert await running.ask("SELECT count(*) FROM reorgs") == 0
        assert await fork_stage.forks(running) == 0
        await fork_stage.is_settled(running)


async def test_a_low_head_that_comes_back_while_the_ancestor_is_searched(url: str) -> None:
    """The same below our block: what is above the head may be ours again, too."""
    head = fork_stage.on_main(fork_stage.COMMON + 3)
    asked, fault = comes_back(head, fork_stage.COMMON + 3)

    async with serving(head, fault=fault) as node, following(url, node.url) as running:
        line = await running.says("node_trouble", kind="fork", outcome="wait")
        assert "while the common ancestor was searched" in line["reason"]
        so_far = len(asked)

        async def has_looked_again() -> bool:
            return len(asked) > so_far + 5

        await running.until(has_looked_again)
        assert running.said("reorganised") is None
        assert await running.ask("SELECT count(*) FROM reorgs") == 0
        assert await fork_stage.forks(running) == 0
