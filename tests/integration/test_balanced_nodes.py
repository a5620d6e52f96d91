"""Several nodes behind one URL, at different heads or on different forks: nothing is lost."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.integration import daemon_stage
from tests.integration.daemon_stage import LAST, Playhead, following, recording, serving

Choose = Callable[[list[dict[str, Any]]], int]

BEHIND = 40
FORK = recording().forks[0]


@contextlib.asynccontextmanager
async def balanced(backends: Sequence[str], choose: Choose) -> AsyncIterator[str]:
    """One URL for several nodes; `choose` says which one gets a request, by its calls."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            body = await request.read()
            asked = json.loads(body)
            calls = asked if isinstance(asked, list) else [asked]
            chosen = backends[choose(calls)]
            headers = {"Content-Type": "application/json"}
            async with session.post(chosen, data=body, headers=headers) as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    content_type="application/json",
                )

        app = web.Application()
        app.router.add_post("/", forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def in_turn() -> Choose:
    turns = itertools.count()
    return lambda _: next(turns) % 2


def in_turn_and_behind() -> Choose:
    """In turn, but the first question for a block above BEHIND goes to the second node."""
    choose, has_lagged = in_turn(), [False]

    def of(calls: list[dict[str, Any]]) -> int:
        if not has_lagged[0] and any((_asked_number(call) or 0) > BEHIND for call in calls):
            has_lagged[0] = True
            return 1
        return choose(calls)

    return of


@pytest.mark.parametrize("verify", ["off", "events"])
async def test_backends_at_different_heads(url: str, undisturbed: str, verify: str) -> None:
    """They answer in turn; one is 20 blocks behind and is asked for what it lacks."""
    async with (
        serving(Playhead.at_block(recording(), LAST)) as ahead,
        serving(Playhead.at_block(recording(), BEHIND)) as behind,
        balanced([ahead.url, behind.url], in_turn_and_behind()) as node,
        following(url, node, VESU_INGEST_VERIFY=verify) as running,
    ):
        await running.committed(LAST)
        outcomes = ("retry", "again", "wait")
        assert any(running.said("node_trouble", kind="lagging", outcome=it) for it in outcomes)
        assert sum(daemon_stage.count(node, "lagging", it) for it in outcomes) >= 1
        assert await running.ask("SELECT fork_counter FROM cursor") == 0
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_backend_that_lags_and_answers_for_events(url: str, undisturbed: str) -> None:
    """Blocks come from the one, events from the other, which says that there are none: without
    a proof of its own, the range is refused until that backend knows the range's last block."""
    behind_head = Playhead.at_block(recording(), BEHIND)
    async with (
        serving(Playhead.at_block(recording(), LAST)) as ahead,
        serving(behind_head) as behind,
        balanced(
            [ahead.url, behind.url],
            lambda calls: int(any(call["method"] == "starknet_getEvents" for call in calls)),
        ) as node,
        following(url, node, VESU_INGEST_VERIFY="off") as running,
    ):
        line = await running.says("node_trouble", kind="lagging", outcome="wait")
        assert "the node that answered for its events does not know it" in line["reason"]
        assert daemon_stage.count(node, "lagging", "wait") >= 1
        assert await running.ask("SELECT block_hash IS NULL FROM cursor")
        behind_head.go_to(LAST)
        await running.committed(LAST)
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_backends_on_different_forks(url: str) -> None:
    """They answer in turn from two branches, until one gives in: the tables are the other's."""
    main = Playhead.at_block(recording(), FORK.last)
    stubborn = Playhead.at_block(recording(), FORK.common, story=True)
    async with (
        serving(main) as first,
        serving(stubborn) as second,
        balanced([first.url, second.url], in_turn()) as node,
        following(url, node) as running,
    ):
        await running.committed(FORK.common)
        stubborn.go_to(FORK.last, branch=1)
        await running.says("node_trouble", outcome="wait")
        stubborn.go_to(FORK.last)
        main.go_to(100)
        stubborn.go_to(100)
        await running.committed(100)
    async with daemon_stage.filled(Playhead.at_block(recording(), 100), 100) as truth:
        assert await daemon_stage.digest_at(url, 100) == await daemon_stage.digest_at(truth, 100)


async def test_a_range_of_another_fork_than_its_first_header(url: str) -> None:
    """One backend stays on the main chain, the other leaves it at block 84, below the committed
    block 86. The first one answers for blocks 86 and 87, the other for the rest up to 91: blocks
    of two branches that would fit, if the first header said what the range stands on."""
    committed = FORK.common + 2
    main, forked = (
        Playhead.at_block(recording(), committed),
        Playhead.at_block(recording(), 84, story=True),
    )
    both = [False]

    def choose(calls: list[dict[str, Any]]) -> int:
        numbers = [_asked_number(call) for call in calls]
        return int(both[0] and numbers not in ([committed], [committed + 1]))

    async with (
        serving(main) as first,
        serving(forked) as second,
        balanced([first.url, second.url], choose) as node,
        following(url, node) as running,
    ):
        await running.committed(committed)
        main.go_to(FORK.last)
        forked.go_to(FORK.last, branch=1)
        both[0] = True
        await running.says("node_trouble", kind="fork", outcome="wait")
        assert await running.ask("SELECT block_number FROM cursor") == committed
        both[0] = False
        main.go_to(100)
        await running.committed(100)
        assert await running.ask("SELECT fork_counter FROM cursor") == 0
    async with daemon_stage.filled(Playhead.at_block(recording(), 100), 100) as truth:
        assert await daemon_stage.digest_at(url, 100) == await daemon_stage.digest_at(truth, 100)


def _asked_number(call: dict[str, Any]) -> int | None:
    """The number of the block whose header is asked for, if it is."""
    block = call["params"].get("block_id") if isinstance(call["params"], dict) else None
    return block.get("block_number") if isinstance(block, dict) else None
