"""Pages of events: whatever the node's limits, the result is every event once, or an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from indexer import errors
from indexer.chain import pages, types
from tests.unit import chain_stage
from tests.unit.chain_stage import FakeNode, RpcRefusal, Said

A, B, C = 0xA, 0xB, 0xC
HEAD = 30


@strategies.composite
def chains(draw: strategies.DrawFn) -> dict[int, list[Said]]:
    """Events by block, in chain order, some transactions with many and some with none of ours."""
    events: dict[int, list[Said]] = {}
    for number in draw(strategies.sets(strategies.integers(0, HEAD), max_size=10)):
        keys = strategies.tuples(strategies.integers(0, 3), strategies.integers(0, 6))
        events[number] = [
            Said(transaction, index, draw(strategies.sampled_from([A, B, C])), (number, index))
            for transaction, index in sorted(draw(strategies.sets(keys, max_size=8)))
        ]
    return events


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[FakeNode]:
    async with FakeNode(head=HEAD).serving() as serving:
        yield serving


def keys_of(events: Sequence[types.EmittedEvent]) -> list[tuple[int, int, int]]:
    return [(one.block_number, one.transaction_index, one.event_index) for one in events]


def prepared(node: FakeNode, events: dict[int, list[Said]], spec: str = "0.10.2") -> FakeNode:
    """The node as new, with these events."""
    node.reset(events, HEAD)
    node.spec = spec
    return node


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    events=chains(),
    page=strategies.integers(1, 9),
    scan=strategies.integers(1, 40),
    ends=strategies.tuples(strategies.integers(0, HEAD), strategies.integers(0, HEAD)),
    spec=strategies.sampled_from(["0.8.1", "0.9.0", "0.10.0", "0.10.1", "0.10.3-rc.0"]),
)
async def test_every_event_of_the_range_comes_once_and_in_order(
    node: FakeNode,
    events: dict[int, list[Said]],
    page: int,
    scan: int,
    ends: tuple[int, int],
    spec: str,
) -> None:
    prepared(node, events, spec)
    node.page, node.scan = page, scan
    first, last = min(ends), max(ends)
    async with chain_stage.connected(node) as starknet:
        found = await starknet.source.events(first, last, {A, B})
    assert keys_of(found) == [key for key in node.keys(A, B) if first <= key[0] <= last]
    said = {(n, s.transaction, s.index): s for n in events for s in events[n]}
    for one in found:
        expected = said[one.block_number, one.transaction_index, one.event_index]
        assert one.from_address == hex(expected.address)
        assert one.data == list(expected.data)
        assert one.block_hash == node.hash(one.block_number)


BUSY = {n: [Said(t, i, A, (n, t, i)) for t in range(2) for i in range(3)] for n in (3, 4, 9)}


async def read(node: FakeNode, spec: str = "0.10.2", first: int = 0) -> list[types.EmittedEvent]:
    async with chain_stage.endpoint(node) as endpoint:
        return await pages.read(endpoint, chain_stage.profile(spec), first, HEAD, [A])


def on_events(change: Callable[[dict[str, Any]], Any]) -> Callable[[str, Any, Any], Any]:
    """A change to the answers of getEvents alone."""
    return lambda method, params, result: (
        change(result) or result if method == "starknet_getEvents" else result
    )


def each(**fields: Any) -> Callable[[str, Any, Any], Any]:
    """A change of these fields in the last event of every page; None leaves a field out."""

    def change(page: dict[str, Any]) -> None:
        for name, value in fields.items():
            if value is None:
                del page["events"][-1][name]
            else:
                page["events"][-1][name] = value

    return on_events(change)


@pytest.mark.parametrize(
    "fields",
    [
        {"block_hash": None},
        {"block_number": None},
        {"block_number": HEAD + 1},
        {"block_number": 0},
        {"from_address": hex(B)},
        {"block_hash": "0xbad"},
        {"data": ["0xg"]},
        {"keys": ["1"]},
        {"transaction_index": None},
        {"event_index": None},
        {"transaction_index": 0, "event_index": 0},
        {"transaction_hash": "0xbad"},
    ],
)
async def test_an_event_that_cannot_be_is_refused(node: FakeNode, fields: dict[str, Any]) -> None:
    prepared(node, BUSY).changed = each(**fields)
    with pytest.raises(errors.InconsistentAnswerError):
        await read(node, first=1)


@pytest.mark.parametrize("spec", ["0.9.0", "0.10.2"])
async def test_a_token_that_comes_again_ends_the_reading(node: FakeNode, spec: str) -> None:
    def repeat(page: dict[str, Any]) -> None:
        page["continuation_token"] = "3-1"

    prepared(node, BUSY, spec).changed = on_events(repeat)
    with pytest.raises(errors.InconsistentAnswerError, match="token '3-1'"):
        await read(node, spec)


async def test_tokens_without_end_end_at_the_cap(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 20)
    count = iter(range(1_000))
    prepared(node, {}).changed = on_events(
        lambda page: page.update(continuation_token=f"{next(count)}-0")
    )
    with pytest.raises(errors.RangeTooLargeError, match="20 pages"):
        await read(node)
    assert len(node.asked) == 20


async def test_a_repeated_event_counts_once(node: FakeNode) -> None:
    prepared(node, BUSY).page = 4
    told: list[dict[str, Any]] = []

    def overlap(page: dict[str, Any]) -> None:
        repeated, told[:] = list(told), page["events"][-2:]
        page["events"] = repeated + page["events"]

    node.changed = on_events(overlap)
    assert keys_of(await read(node)) == node.keys(A)


async def test_a_token_of_another_node_is_a_contradiction(node: FakeNode) -> None:
    def refuse(method: str, params: Any) -> None:
        if "continuation_token" in params["filter"]:
            raise RpcRefusal(33, "The supplied continuation token is invalid or unknown")

    prepared(node, BUSY).page = 4
    node.refuse = refuse
    with pytest.raises(errors.InconsistentAnswerError, match="token"):
        await read(node)


@pytest.mark.parametrize(("block", "pages_read"), [(3, 1), (HEAD, 3)])
async def test_more_than_wanted_is_not_read_to_the_end(
    node: FakeNode, block: int, pages_read: int
) -> None:
    """The first page tells that events this dense are too many; at the end their number does."""
    prepared(node, {block: [Said(0, i, A, (block, i)) for i in range(8)]}).page = 2
    async with chain_stage.connected(node) as starknet:
        with pytest.raises(errors.RangeTooFullError):
            await starknet.source.events(0, HEAD, {A}, most=5)
    asked = [params for method, params in node.asked if method == "starknet_getEvents"]
    assert len(asked) == pages_read


async def test_a_head_is_never_left_open(node: FakeNode) -> None:
    prepared(node, BUSY)
    await read(node)
    (filter_,) = [params["filter"] for method, params in node.asked]
    assert filter_["from_block"] == {"block_number": 0}
    assert filter_["to_block"] == {"block_number": HEAD}
    assert filter_["address"] == [hex(A)]
    assert filter_["chunk_size"] == 1_000
