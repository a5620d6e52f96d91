"""The range reader over made-up chains: every block once, in order, whatever goes wrong."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from indexer import errors
from indexer.chain import ranges, types
from tests.unit import chain_fake
from tests.unit.chain_fake import FakeNode, FakeSource, Watch

BLOCKS = 120
FACTORY, POOL, TOKEN, OTHER = 1, 2, 3, 4
ALL = (FACTORY, POOL, TOKEN, OTHER)
SETTINGS = ranges.ReaderSettings(first_window=16, largest_window=64, pause_seconds=0, attempts=4)


async def read(
    node: FakeNode,
    watch: Watch,
    first: int = 0,
    last: int = BLOCKS - 1,
    reader: ranges.RangeReader | None = None,
    **settings: Any,
) -> list[types.Range]:
    made: Any = node
    reader = reader or ranges.RangeReader(made, msgspec.structs.replace(SETTINGS, **settings))
    return [part async for part in reader.ranges(first, last, watch.known, watch.discover)]


def check_gapless(parts: list[types.Range], first: int, last: int) -> None:
    wanted = first
    for part in parts:
        assert part.from_block == wanted
        assert part.tip.number == part.to_block >= part.from_block
        wanted = part.to_block + 1
    assert wanted == last + 1


def check_whole(
    parts: list[types.Range], chain: chain_fake.Version, addresses: tuple[int, ...]
) -> None:
    for part in parts:
        assert part.tip == chain[part.to_block].header
        found = chain_fake.truth(chain, part.from_block, part.to_block, addresses)
        assert part.events == found
        assert [block.header.number for block in part.blocks] == sorted(
            {event.block_number for event in found}
        )


def sometimes(chance: random.Random, share: float, *kinds: errors.NodeError) -> chain_fake.Trouble:
    def trouble(*_: Any) -> None:
        if chance.random() < share:
            raise chance.choice(kinds)

    return trouble


@pytest.mark.parametrize("seed", range(60))
async def test_every_block_once_through_random_trouble(seed: int) -> None:
    chance = random.Random(seed)
    chain = chain_fake.version(
        "a", BLOCKS, chain_fake.random_events(chance, BLOCKS, [POOL, TOKEN, OTHER])
    )
    largest = chance.choice([1, 3, 10, 1000])

    def trouble(_: FakeSource, kind: str, first: int, last: int) -> None:
        if kind == "events" and last - first + 1 > largest:
            raise errors.RangeTooLargeError("smaller, please")
        if chance.random() < 0.02:
            raise chance.choice(
                [errors.NodeUnreachableError, errors.NodeBusyError, errors.InconsistentAnswerError]
            )()

    node = FakeNode(*(FakeSource(name, chain, trouble) for name in "xy"[: chance.randint(1, 2)]))
    first, last = sorted(chance.randrange(BLOCKS) for _ in range(2))
    settings = {
        "first_window": chance.randint(1, 60),
        "largest_window": chance.choice([4, 64]),
        "target_events": chance.choice([1, 5, 1000]),
        "target_blocks": chance.choice([1, 5, 1000]),
        "windows_ahead": chance.randint(0, 4),
        "attempts": 30,
    }
    parts = await read(node, Watch([POOL, TOKEN]), first, last, **settings)
    check_gapless(parts, first, last)
    check_whole(parts, chain, (POOL, TOKEN))


@pytest.mark.parametrize("seed", range(40))
async def test_a_range_is_never_of_two_chains(seed: int) -> None:
    """The chain changes under the reader again and again; each range is of one version."""
    chance = random.Random(seed)
    first = chain_fake.version("a", BLOCKS, chain_fake.random_events(chance, BLOCKS, ALL))
    versions = [first]
    for name in "bcd":
        parting = chance.randint(0, BLOCKS)
        shared = {number: versions[-1][number] for number in range(parting)}
        emitted = chain_fake.random_events(chance, BLOCKS, ALL)
        versions.append(chain_fake.version(name, BLOCKS, emitted, shared))
    left = versions[:0:-1]

    def trouble(source: FakeSource, *_: Any) -> None:
        if left and chance.random() < 0.03:
            source.chain = left.pop()

    node = FakeNode(FakeSource("x", first, trouble))
    parts = await read(node, Watch(ALL), attempts=10, windows_ahead=chance.randint(0, 3))
    check_gapless(parts, 0, BLOCKS - 1)
    assert all(a_version_of(part, versions) for part in parts)


def a_version_of(part: types.Range, versions: list[chain_fake.Version]) -> bool:
    return any(
        version[part.to_block].header == part.tip
        and part.events == chain_fake.truth(version, part.from_block, part.to_block, ALL)
        for version in versions
    )


# --- discovery ------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 7, 200])
async def test_a_discovered_contract_is_read_from_the_ranges_first_block(window: int) -> None:
    # In block 50 the pool speaks before the factory names it, and the pool names a token.
    emitted = {50: [TOKEN, POOL, FACTORY, POOL], 51: [TOKEN], 90: [POOL, OTHER, TOKEN]}
    chain = chain_fake.version("a", BLOCKS, emitted)
    watch = Watch([FACTORY], {FACTORY: [POOL], POOL: [TOKEN]})
    node = FakeNode(FakeSource("x", chain))
    parts = await read(node, watch, first_window=window, windows_ahead=3)
    check_gapless(parts, 0, BLOCKS - 1)
    check_whole(parts, chain, (FACTORY, POOL, TOKEN))


@pytest.mark.parametrize("seed", range(20))
async def test_windows_read_ahead_are_topped_up(seed: int) -> None:
    chance = random.Random(seed)
    emitted = chain_fake.random_events(chance, BLOCKS, [POOL, TOKEN])
    emitted = {number: found for number, found in emitted.items() if number > 5} | {5: [FACTORY]}
    chain = chain_fake.version("a", BLOCKS, emitted)
    trouble = sometimes(chance, 0.02, errors.NodeUnreachableError())
    watch = Watch([FACTORY], {FACTORY: [POOL], POOL: [TOKEN]})
    node = FakeNode(FakeSource("x", chain, trouble))
    parts = await read(
        node, watch, first_window=chance.randint(1, 30), windows_ahead=5, attempts=20
    )
    check_gapless(parts, 0, BLOCKS - 1)
    first_pool = min(number for number, found in emitted.items() if POOL in found)
    start = next(part for part in parts if part.to_block >= first_pool).from_block
    for part in parts:
        addresses = (FACTORY, POOL, TOKEN) if part.from_block >= start else (FACTORY, POOL)
        check_whole([part], chain, addresses)


async def test_a_discovered_contract_too_busy_for_its_window_makes_it_smaller() -> None:
    emitted = {3: [FACTORY]} | {number: [POOL] * 5 for number in range(4, 100)}
    chain = chain_fake.version("a", BLOCKS, emitted)
    watch = Watch([FACTORY], {FACTORY: [POOL]})
    node = FakeNode(FakeSource("x", chain))
    parts = await read(node, watch, first_window=100, target_events=10, spare=2)
    check_gapless(parts, 0, BLOCKS - 1)
    check_whole(parts, chain, (FACTORY, POOL))
    assert max(len(part.events) for part in parts) <= 20


# --- sizes ----------------------------------------------------------------------------------


async def test_quiet_windows_double_up_to_the_largest() -> None:
    source = FakeSource("x", chain_fake.version("a", BLOCKS, {}))
    await read(FakeNode(source), Watch(ALL), first_window=2, largest_window=32, windows_ahead=0)
    assert source.windows == [2, 4, 8, 16, 32, 32, 26]


async def test_no_range_holds_much_more_than_the_targets() -> None:
    emitted = {number: [POOL] * 3 for number in range(BLOCKS)}
    source = FakeSource("x", chain_fake.version("a", BLOCKS, emitted))
    parts = await read(FakeNode(source), Watch(ALL), first_window=100, target_blocks=5, spare=2)
    check_gapless(parts, 0, BLOCKS - 1)
    assert max(len(part.blocks) for part in parts) <= 10
    assert len(parts) < 40


@pytest.mark.parametrize(("verify", "most"), [("off", 32), ("events", 8), ("all", 8)])
async def test_windows_that_hold_receipts_until_they_are_proved_are_smaller(
    verify: str, most: int
) -> None:
    """Each event is held twice meanwhile; what is delivered holds it once."""
    emitted = {number: [POOL] * 3 for number in range(BLOCKS)}
    source = FakeSource("x", chain_fake.version("a", BLOCKS, emitted))
    parts = await read(
        FakeNode(source), Watch(ALL), target_events=8, verify=verify, spare=4, first_window=60
    )
    check_gapless(parts, 0, BLOCKS - 1)
    assert [event for part in parts for event in part.events] == chain_fake.truth(
        source.chain, 0, BLOCKS - 1, ALL
    )
    assert most / 2 < max(len(part.events) for part in parts) <= most
    receipts = [receipt for part in parts for block in part.blocks for receipt in block.receipts]
    assert len(receipts) == BLOCKS
    assert verify == "off" or not any(receipt.events for receipt in receipts)


async def test_one_block_may_hold_more_than_the_targets() -> None:
    source = FakeSource("x", chain_fake.version("a", 3, {1: [POOL] * 99}))
    parts = await read(FakeNode(source), Watch(ALL), 0, 2, target_events=5, spare=1)
    assert sum(len(part.events) for part in parts) == 99


async def test_a_reader_remembers_the_window_that_the_node_takes() -> None:
    def trouble(_: FakeSource, kind: str, first: int, last: int) -> None:
        if kind == "events" and last - first >= 3:
            raise errors.NodeUnreachableError("gave no answer within 20 s")

    source = FakeSource("x", chain_fake.version("a", BLOCKS, {}), trouble)
    made: Any = FakeNode(source)
    # Two tries a catch-up: without memory none would come down to three blocks.
    settings = msgspec.structs.replace(SETTINGS, windows_ahead=0, attempts=2)
    reader = ranges.RangeReader(made, settings)
    found: list[types.Range] = []
    for _ in range(20):
        try:
            found += await read(made, Watch(ALL), len(found) and found[-1].to_block + 1, 20, reader)
        except errors.NodeUnreachableError:
            continue
        break
    check_gapless(found, 0, 20)


# --- when it ends ---------------------------------------------------------------------------


async def test_trouble_that_stays_is_raised_after_so_many_tries() -> None:
    def trouble(*_: Any) -> None:
        raise errors.NodeBusyError("go away")

    node = FakeNode(FakeSource("x", {}, trouble))
    with pytest.raises(errors.NodeBusyError, match="go away"):
        await read(node, Watch(ALL), windows_ahead=0)
    assert node.fail_overs == SETTINGS.attempts - 1


@pytest.mark.parametrize("sources", [1, 2])
async def test_a_fatal_error_is_tried_elsewhere_or_raised(sources: int) -> None:
    chain = chain_fake.version("a", BLOCKS, {5: [POOL]})

    def trouble(*_: Any) -> None:
        raise errors.FatalNodeError("HTTP 403")

    node = FakeNode(FakeSource("x", chain, trouble), *[FakeSource("y", chain)] * (sources - 1))
    if sources == 1:
        with pytest.raises(errors.FatalNodeError):
            await read(node, Watch(ALL), windows_ahead=0)
        assert node.fail_overs == 1
    else:
        check_whole(await read(node, Watch(ALL)), chain, ALL)


async def test_one_block_that_is_too_large_is_tried_elsewhere() -> None:
    chain = chain_fake.version("a", BLOCKS, {5: [POOL]})

    def trouble(_: FakeSource, kind: str, *__: Any) -> None:
        if kind == "events":
            raise errors.RangeTooLargeError("HTTP 413")

    node = FakeNode(FakeSource("x", chain, trouble), FakeSource("y", chain))
    check_whole(await read(node, Watch(ALL), 0, 9), chain, ALL)
    alone = FakeNode(FakeSource("x", chain, trouble))
    with pytest.raises(errors.RangeTooLargeError):
        await read(alone, Watch(ALL), 0, 9)


async def test_leaving_ends_what_is_read_ahead() -> None:
    source = FakeSource("x", chain_fake.version("a", BLOCKS, {}))
    source.stuck_from = SETTINGS.first_window
    made: Any = FakeNode(source)
    before = asyncio.all_tasks()
    watch = Watch(ALL)
    parts = ranges.RangeReader(made, SETTINGS).ranges(0, 90, watch.known, watch.discover)
    assert (await anext(parts)).from_block == 0
    assert len(asyncio.all_tasks()) > len(before)
    await parts.aclose()
    assert asyncio.all_tasks() == before


# --- endpoints are not mixed ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
async def test_a_range_is_of_one_endpoint(seed: int) -> None:
    """Two endpoints on two forks: each range is wholly of one of them, whoever fails when."""
    chance = random.Random(seed)
    forks = [
        chain_fake.version(name, BLOCKS, chain_fake.random_events(chance, BLOCKS, ALL))
        for name in "ab"
    ]
    trouble = sometimes(chance, 0.05, errors.NodeUnreachableError())
    node = FakeNode(*(FakeSource(str(i), fork, trouble) for i, fork in enumerate(forks)))
    parts = await read(node, Watch(ALL), attempts=30, windows_ahead=2)
    check_gapless(parts, 0, BLOCKS - 1)
    assert all(a_version_of(part, forks) for part in parts)


async def test_a_tip_of_another_fork_than_its_events_is_refused() -> None:
    """Behind one URL may stand two nodes: one tells the headers, another the rest."""
    forks = [chain_fake.version(name, BLOCKS, {7: [POOL], 8: [POOL]}) for name in "ab"]

    def trouble(source: FakeSource, kind: str, *_: Any) -> None:
        source.chain = forks[kind == "header"]

    with pytest.raises(errors.InconsistentAnswerError, match="its tip"):
        await read(FakeNode(FakeSource("x", forks[0], trouble)), Watch(ALL), 8, 8)


async def test_blocks_that_do_not_follow_each_other_are_refused() -> None:
    forks = [chain_fake.version(name, BLOCKS, {7: [POOL], 8: [POOL]}) for name in "ab"]
    mixed = {**forks[0], 8: forks[1][8]}
    with pytest.raises(errors.InconsistentAnswerError, match="does not stand on block 7"):
        await read(FakeNode(FakeSource("x", mixed)), Watch(ALL), 0, 9)


async def test_an_endpoint_that_lags_tells_nothing() -> None:
    whole = chain_fake.version("a", BLOCKS, {100: [POOL]})
    lagging = {number: block for number, block in whole.items() if number < 80}
    lame = FakeSource("x", whole, sometimes(random.Random(1), 1, errors.NodeUnreachableError()))
    with pytest.raises(errors.RetryableNodeError):
        await read(FakeNode(lame, FakeSource("y", lagging)), Watch(ALL), 0, 110, first_window=200)
