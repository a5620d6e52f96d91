"""Independent questions are on their way together; a window far behind the end waits for nothing.

Nothing here measures time: a node holds its answers back until so many questions are there, or
gives none from some moment on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from indexer import errors
from indexer.chain import ranges, types
from tests.unit import chain_fake, chain_stage
from tests.unit.chain_fake import FakeNode, FakeSource, Watch

PATIENCE = 10.0
"""Seconds after which a test fails where questions come one after the other."""

FACTORY, POOL = 1, 2
BLOCKS = 60


class Gathering(chain_stage.FakeNode):
    """Answers what `is_held` picks once `parties` of these questions are there."""

    def hold(self, parties: int, is_held: Callable[[list[Any]], bool]) -> None:
        self.barrier = asyncio.Barrier(parties)
        self.is_held = is_held

    async def _post(self, request: web.Request) -> web.StreamResponse:
        message = json.loads(await request.read())
        calls = message if isinstance(message, list) else [message]
        if self.is_held(calls):
            await self.barrier.wait()
        return await super()._post(request)


@pytest.fixture
async def node() -> AsyncIterator[Gathering]:
    made = Gathering(head=BLOCKS - 1)
    made.hold(1, lambda calls: False)
    async with made.serving():
        yield made


def asks(*methods: str) -> Callable[[list[Any]], bool]:
    return lambda calls: calls[0]["method"] in methods


async def test_head_and_final_block_are_asked_at_once(node: Gathering) -> None:
    async with asyncio.timeout(PATIENCE), chain_stage.connected(node) as starknet:
        node.hold(2, asks("starknet_getBlockWithTxHashes"))
        head, final = await starknet.head_and_finalised()
        assert (head.number, final) == (BLOCKS - 1, BLOCKS - 6)


async def test_the_final_block_is_of_the_endpoint_that_told_the_head(node: Gathering) -> None:
    """The first endpoint tells a final block and fails at its head: the next one tells both."""

    def refuse(method: str, params: Any) -> None:
        if params and params["block_id"] == "latest":
            raise chain_stage.RpcRefusal(-32603, "no")

    async with (
        chain_stage.FakeNode(head=20).serving() as other,
        chain_stage.connected(node, other) as starknet,
    ):
        node.refuse = refuse
        head, final = await starknet.head_and_finalised()
        assert (head.number, final) == (20, 15)


async def test_the_question_for_the_final_block_ends_where_the_head_is_refused(
    node: Gathering,
) -> None:
    def refuse(method: str, params: Any) -> None:
        if params and params["block_id"] == "latest":
            raise chain_stage.RpcRefusal(-32603, "no")

    async with chain_stage.connected(node) as starknet:
        node.refuse = refuse
        node.hold(2, lambda calls: calls[0]["params"] == {"block_id": "l1_accepted"})
        with pytest.raises(errors.NodeError):
            await starknet.head_and_finalised()
        asked = [task.get_coro() for task in asyncio.all_tasks()]
        assert not [coroutine for coroutine in asked if "finalised" in repr(coroutine)]


@pytest.mark.parametrize("what", ["headers", "blocks"])
async def test_batches_after_the_first_are_asked_at_once(node: Gathering, what: str) -> None:
    async with asyncio.timeout(PATIENCE), chain_stage.connected(node) as starknet:
        node.hold(2, lambda calls: calls[0]["params"]["block_id"]["block_number"] >= 20)
        numbers = range(BLOCKS)
        if what == "headers":
            found = await starknet.source.headers(numbers)
        else:
            found = [block.header for block in await starknet.source.blocks(numbers)]
        assert [header.number for header in found] == list(numbers)


class Counting(Gathering):
    """Counts how many requests were on their way together."""

    on_their_way, most = 0, 0

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.on_their_way += 1
        self.most = max(self.most, self.on_their_way)
        await asyncio.sleep(0.01)
        try:
            return await super()._post(request)
        finally:
            self.on_their_way -= 1


async def test_four_batches_at_most_are_on_their_way() -> None:
    """Each may be answered by a large body, and the memory must hold all of them."""
    made = Counting(head=9 * 20 - 1)
    made.hold(1, lambda calls: False)
    async with (
        asyncio.timeout(PATIENCE),
        made.serving(),
        chain_stage.connected(made) as starknet,
    ):
        made.hold(4, lambda calls: calls[0]["params"]["block_id"]["block_number"] >= 20)
        await starknet.source.blocks(range(9 * 20))
    assert made.most == 4


async def test_batches_wait_for_each_other_where_the_endpoint_refused_one() -> None:
    """It would refuse each of those that are on their way together."""
    made = Counting(head=BLOCKS - 1)
    made.hold(1, lambda calls: False)
    async with made.serving(), chain_stage.connected(made) as starknet:
        starknet.source.endpoint.limits.batch.refused(BLOCKS)
        await starknet.source.headers(range(BLOCKS))
    assert made.most == 1


# --- the range reader -----------------------------------------------------------------------

READING = ranges.ReaderSettings(
    first_window=10, largest_window=10, near_blocks=20, pause_seconds=0, windows_ahead=2
)


def chain_with_a_pool(name: str = "a") -> chain_fake.Version:
    """The factory names the pool in its first block; both say something in every block."""
    return chain_fake.version(name, BLOCKS, {number: [FACTORY, POOL] for number in range(BLOCKS)})


async def quiet() -> None:
    """Let everything go on that waits for nothing from outside."""
    for _ in range(1_000):
        await asyncio.sleep(0)


async def delivered_without_the_node(from_block: int) -> list[types.Range]:
    """The ranges that follow the first one, though the node answers nothing any more."""
    source = FakeSource("x", chain_with_a_pool())
    made: Any = FakeNode(source)
    watch = Watch([FACTORY], {FACTORY: [POOL]})
    reading = ranges.RangeReader(made, READING).ranges(
        from_block, BLOCKS - 1, watch.known, watch.discover
    )
    found = [await anext(reading)]
    await quiet()
    source.stuck_from = -1
    while True:
        waiting = asyncio.ensure_future(anext(reading))
        await quiet()
        if not waiting.done():
            waiting.cancel()
            await asyncio.wait([waiting])
            return found[1:]
        found.append(waiting.result())


async def test_ranges_far_behind_the_end_are_read_to_their_end_ahead() -> None:
    """With what the first one discovered, and with their last block read again."""
    found = await delivered_without_the_node(0)
    assert [(part.from_block, part.to_block) for part in found] == [(10, 19), (20, 29)]
    chain = chain_with_a_pool()
    for part in found:
        truth = chain_fake.truth(chain, part.from_block, part.to_block, (FACTORY, POOL))
        assert part.events == truth


async def test_near_the_end_the_last_block_is_read_again_when_a_range_is_delivered() -> None:
    assert await delivered_without_the_node(40) == []


async def read_ahead(verify: str, near: int, spec: str, suspects: frozenset[int]) -> int:
    """How many windows are read beside the first one."""
    source = FakeSource("x", chain_with_a_pool())
    source.profile = chain_stage.profile(spec)
    made: Any = FakeNode(source)
    watch = Watch([FACTORY, POOL])
    reader = ranges.RangeReader(
        made, msgspec.structs.replace(READING, near_blocks=near, verify=verify)
    )
    reader.suspects = suspects
    reading = reader.ranges(0, BLOCKS - 1, watch.known, watch.discover)
    await anext(reading)
    await quiet()
    await reading.aclose()
    return len(source.windows) - 1


FAR, NEAR = 0, BLOCKS
NEW, WITHOUT_INDEXES = "0.10.2", "0.9.0"
NONE: frozenset[int] = frozenset()


@pytest.mark.parametrize(
    ("verify", "near", "spec", "suspects", "windows"),
    [
        ("off", NEAR, NEW, NONE, 2),
        ("off", NEAR, WITHOUT_INDEXES, NONE, 2),
        ("off", NEAR, NEW, frozenset([15]), 1),
        ("events", NEAR, NEW, NONE, 1),
        ("events", FAR, NEW, NONE, 2),
        ("events", FAR, WITHOUT_INDEXES, NONE, 1),
        ("events", FAR, NEW, frozenset([15, 25]), 1),
        ("events", FAR, NEW, frozenset([35]), 2),
        ("all", FAR, NEW, NONE, 1),
    ],
)
async def test_one_window_is_read_ahead_where_receipts_are_held_until_they_are_proved(
    verify: str, near: int, spec: str, suspects: frozenset[int], windows: int
) -> None:
    assert await read_ahead(verify, near, spec, suspects) == windows


async def test_nothing_goes_on_where_a_reader_leaves_as_soon_as_it_has_a_range() -> None:
    """The windows ahead are on their way, and are about to read what the range discovered."""
    source = FakeSource("x", chain_with_a_pool())
    source.stuck_from = 9
    made: Any = FakeNode(source)
    watch = Watch([FACTORY], {FACTORY: [POOL]})
    before = asyncio.all_tasks()
    reading = ranges.RangeReader(made, READING).ranges(0, BLOCKS - 1, watch.known, watch.discover)
    await anext(reading)
    ahead = asyncio.all_tasks() - before
    await reading.aclose()
    assert len(ahead) == 4
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_far_range_whose_last_block_changes_is_read_again(when: str) -> None:
    """Also where it changes while the events of a contract just discovered are read."""
    old, new = map(chain_with_a_pool, "ab")
    asked = 0

    def trouble(source: FakeSource, kind: str, first: int, _: int) -> None:
        nonlocal asked
        if kind == "events" and first == 10:
            asked += 1
            if asked == (1 if when == "before" else 2):
                source.chain = new

    made: Any = FakeNode(FakeSource("x", old, trouble))
    watch = Watch([FACTORY], {FACTORY: [POOL]})
    settings = msgspec.structs.replace(READING, windows_ahead=1)
    reading = ranges.RangeReader(made, settings).ranges(0, 29, watch.known, watch.discover)
    parts = [part async for part in reading]
    assert parts[1].events == chain_fake.truth(new, 10, 19, (FACTORY, POOL))
    assert parts[1].tip == new[19].header
