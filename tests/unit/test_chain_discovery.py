"""The range reader by its laws: every event of every discovered contract once, from one chain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from indexer import errors
from indexer.chain import client, ranges, types
from tests.unit import chain_stage
from tests.unit.chain_stage import FakeNode, Said
from tests.unit.test_chain_rpc import body, cut, status

FACTORY = 0xFAC
NAMES = 0xDEB
"""The first felt of an event that names a contract; the second is its address."""
STRANGER = 0x5A5
HEAD = 40
CALM = ranges.ReaderSettings(first_window=7, pause_seconds=0)


class Watch:
    """The caller's side: which addresses are watched, and what names more of them."""

    def __init__(self) -> None:
        self.addresses = frozenset([FACTORY])

    def known(self) -> frozenset[int]:
        return self.addresses

    async def discover(self, events: Sequence[types.EmittedEvent]) -> frozenset[int]:
        named = frozenset(e.data[1] for e in events if e.data[:1] == [NAMES])
        new = named - self.addresses
        self.addresses |= new
        return new


@strategies.composite
def chains(draw: strategies.DrawFn) -> tuple[dict[int, list[Said]], frozenset[int]]:
    """Contracts that name contracts, which may speak first in the same block; with them all."""
    births = {FACTORY: 0}
    said: list[tuple[int, int, tuple[int, ...]]] = []
    for address in range(0x100, 0x100 + draw(strategies.integers(0, 5))):
        parent = draw(strategies.sampled_from(sorted(births)))
        births[address] = draw(strategies.integers(births[parent], HEAD))
        said.append((births[address], parent, (NAMES, address)))
    for address in [*births, STRANGER]:
        blocks = strategies.integers(births.get(address, 0), HEAD)
        said += [(block, address, ()) for block in draw(strategies.lists(blocks, max_size=6))]
    events: dict[int, list[Said]] = {}
    for position, (block, address, data) in enumerate(draw(strategies.permutations(said))):
        events.setdefault(block, []).append(Said(position % 3, position, address, data))
    for told in events.values():
        told.sort(key=lambda one: (one.transaction, one.index))
    return events, frozenset(births)


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[FakeNode]:
    async with FakeNode(head=HEAD).serving() as serving:
        yield serving


async def read(
    starknet: client.StarknetNode, settings: ranges.ReaderSettings = CALM
) -> list[types.Range]:
    """Everything; the invariants of each range are checked on the way."""
    watch, found = Watch(), list[types.Range]()
    reader = ranges.RangeReader(starknet, settings)
    async for part in reader.ranges(0, HEAD, watch.known, watch.discover):
        check(part)
        assert part.from_block == (found[-1].to_block + 1 if found else 0)
        found.append(part)
    assert found[-1].to_block == HEAD
    return found


def check(part: types.Range) -> None:
    keys = keys_of([part])
    assert keys == sorted(set(keys))
    assert [block.header.number for block in part.blocks] == sorted({key[0] for key in keys})
    hashes = {block.header.number: block.header.hash for block in part.blocks}
    assert all(event.block_hash == hashes[event.block_number] for event in part.events)
    assert part.tip.number == part.to_block
    assert all(part.from_block <= key[0] <= part.to_block for key in keys)


def keys_of(parts: Sequence[types.Range]) -> list[tuple[int, int, int]]:
    return [
        (one.block_number, one.transaction_index, one.event_index)
        for part in parts
        for one in part.events
    ]


sizes = strategies.builds(
    ranges.ReaderSettings,
    first_window=strategies.integers(1, 50),
    largest_window=strategies.integers(1, 60),
    target_events=strategies.integers(1, 8),
    target_blocks=strategies.integers(1, 4),
    spare=strategies.integers(1, 3),
    windows_ahead=strategies.integers(0, 3),
    pause_seconds=strategies.just(0),
    verify=strategies.sampled_from(["off", "events", "all"]),
)


@hypothesis.settings(max_examples=80)
@hypothesis.given(
    chain=chains(),
    settings=sizes,
    page=strategies.integers(1, 9),
    scan=strategies.integers(3, 60),
    spec=strategies.sampled_from(["0.9.0", "0.10.0", "0.10.2"]),
)
async def test_every_event_of_every_discovered_contract_is_delivered_once(
    node: FakeNode,
    chain: tuple[dict[int, list[Said]], frozenset[int]],
    settings: ranges.ReaderSettings,
    page: int,
    scan: int,
    spec: str,
) -> None:
    node.reset(chain[0], HEAD)
    node.page, node.scan, node.spec = page, scan, spec
    async with chain_stage.connected(node) as starknet:
        found = await read(starknet, settings)
    assert keys_of(found) == node.keys(*chain[1])


FAULTS = [status(429), status(500), status(502), cut, body("<html>"), body(""), body("[]")]


@hypothesis.settings(max_examples=30)
@hypothesis.given(
    chain=chains(), faults=strategies.lists(strategies.sampled_from([None, *FAULTS]), max_size=25)
)
async def test_trouble_on_the_way_changes_nothing(
    node: FakeNode,
    chain: tuple[dict[int, list[Said]], frozenset[int]],
    faults: list[chain_stage.Fault | None],
) -> None:
    node.reset(chain[0], HEAD)
    settings = msgspec.structs.replace(chain_stage.QUICK, attempts=30)
    async with chain_stage.connected(node, settings=settings) as starknet:
        node.faults.extend(fault or (lambda request, message: None) for fault in faults)
        found = await read(starknet)
    assert keys_of(found) == node.keys(*chain[1])


SPREAD = {n: [Said(0, i, FACTORY, (n, i)) for i in range(3)] for n in range(0, HEAD + 1, 2)}


@pytest.mark.parametrize("events", [SPREAD, {}, {5: [Said(0, 0, FACTORY)]}])
@pytest.mark.parametrize("when", ["starknet_getEvents", "starknet_getBlockWithReceipts"])
async def test_a_chain_that_changes_underneath_is_read_again(
    node: FakeNode, events: dict[int, list[Said]], when: str
) -> None:
    """Also where no event shows the change: the last block's header does."""
    node.reset(events, HEAD)

    def reorganise(method: str, params: Any, result: Any) -> Any:
        if method == when:
            node.fork.update(dict.fromkeys(range(20, HEAD + 1), 1))
        return result

    async with chain_stage.connected(node) as starknet:
        node.changed = reorganise
        found = await read(starknet, msgspec.structs.replace(CALM, first_window=HEAD + 1))
    assert keys_of(found) == node.keys(FACTORY)
    assert all(e.block_hash == node.hash(e.block_number) for part in found for e in part.events)
    assert found[-1].tip.hash == node.hash(HEAD)


async def test_a_left_out_event_is_found_by_its_blocks_receipts(node: FakeNode) -> None:
    node.reset(SPREAD, HEAD)

    def hide(method: str, params: Any, result: Any) -> Any:
        if method == "starknet_getEvents":
            result["events"] = result["events"][:-1]
        return result

    async with chain_stage.connected(node) as starknet:
        node.changed = hide
        assert len(keys_of(await read(starknet))) < len(node.keys(FACTORY))
        with pytest.raises(errors.InconsistentAnswerError, match="receipts"):
            await read(starknet, msgspec.structs.replace(CALM, verify="events"))


async def test_a_left_out_block_is_found_by_verifying_all(node: FakeNode) -> None:
    node.reset({5: [Said(0, 0, FACTORY)], 25: [Said(0, 0, FACTORY)]}, HEAD)

    def hide(method: str, params: Any, result: Any) -> Any:
        if method == "starknet_getEvents":
            result["events"] = [e for e in result["events"] if e["block_number"] != 25]
        return result

    async with chain_stage.connected(node) as starknet:
        node.changed = hide
        some = await read(starknet, msgspec.structs.replace(CALM, verify="events"))
        assert keys_of(some) == [(5, 0, 0)]
        with pytest.raises(errors.InconsistentAnswerError, match="block 25"):
            await read(starknet, msgspec.structs.replace(CALM, verify="all"))


@pytest.mark.parametrize("fault", [status(500), status(403), body("<html>")])
async def test_a_failing_node_is_left_and_no_range_mixes_two(
    node: FakeNode, fault: chain_stage.Fault
) -> None:
    node.reset(SPREAD, HEAD)
    other = FakeNode(SPREAD, HEAD)
    other.fork = dict.fromkeys(range(HEAD + 1), 1)
    async with other.serving(), chain_stage.connected(node, other) as starknet:
        sound = [lambda request, message: None] * 12
        node.faults.extend([*sound, *[fault] * 5_000])
        found = await read(starknet, msgspec.structs.replace(CALM, first_window=5))
    assert keys_of(found) == node.keys(FACTORY)
    sources = [_sources(part, node) for part in found]
    assert all(len(one) == 1 for one in sources)
    assert sources[-1] == {"other"}


def _sources(part: types.Range, node: FakeNode) -> set[str]:
    """Whose hashes a range holds."""
    told = [(part.tip.number, part.tip.hash)]
    told += [(event.block_number, event.block_hash) for event in part.events]
    return {"node" if hash_ == node.hash(number) else "other" for number, hash_ in told}
