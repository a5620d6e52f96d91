"""What a node tells as accepted on L1: one wrong answer stops nothing, several not for good."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.recording import options
from tests.integration import fork_stage
from tests.integration.daemon_stage import following, serving
from tests.integration.fork_stage import BEYOND, BRIEF, TIP, equal, on_fork

Fault = options.Fault


forked, truth, url = fork_stage.forked, fork_stage.truth, fork_stage.url


class WrongFinality:
    """Tells the committed block as accepted on L1 in so many answers, from a moment on."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.is_on = False

    def __call__(self, method: str, params: Any) -> Any:
        is_final = method == "starknet_getBlockWithTxHashes" and params["block_id"] == "l1_accepted"
        return Fault(edit=self._edit) if is_final and self.is_on and self.left else None

    def _edit(self, block: dict[str, Any]) -> dict[str, Any]:
        self.left -= 1
        return block | {"block_number": TIP}


@pytest.mark.parametrize("times", [1, 5])
async def test_wrong_answers_about_finality_do_not_wedge(url: str, truth: str, times: int) -> None:
    """One is never believed; several in a row are, until the node has long told less."""
    head, wrong = on_fork(finality_lag=60), WrongFinality(times)
    stored = "SELECT finalised_block FROM chain_head"
    async with serving(head, fault=wrong) as node, following(url, node.url, **BRIEF) as running:
        right = "SELECT true FROM chain_head WHERE finalised_block = $1"
        await running.until(lambda: running.ask(right, TIP - 60))
        wrong.is_on = True
        if times > 1:
            await running.says("final_lowered", was=TIP, now=TIP - 60)

        async def is_over() -> bool:
            return not wrong.left and await running.ask(stored) == TIP - 60

        await running.until(is_over)
        head.go_to(BEYOND)
        await running.committed(BEYOND)
        assert running.said("node_trouble", kind="suspect") is None
    await equal(url, truth)
