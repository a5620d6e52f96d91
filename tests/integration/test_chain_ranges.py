"""The range reader against a served recording: profiles, faults, reorganisations, proofs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from indexer import errors, urls
from indexer.chain import block_proof, client, ranges, rpc, types
from indexer.vesu import block_time
from tests import postgres
from tests.integration import chain_stage, daemon_stage
from tests.integration.chain_stage import EMITTERS, LAST, MAIN, READING, RECORDING, truth

Fault = chain_stage.options.Fault
Playhead = chain_stage.playhead.Playhead

FACTORY = int(RECORDING.manifest["contracts"]["pool_factory"]["address"], 16)
NAMED = {
    int(contract["address"], 16)
    for name, contract in RECORDING.manifest["contracts"].items()
    if name.startswith(("pool:", "vtoken:"))
}
WATCHED = frozenset([FACTORY, *NAMED])


class Watch:
    """Stands for a protocol: any event names every pool and vToken whose felt it holds."""

    def __init__(self, known: Sequence[int] | frozenset[int] = WATCHED) -> None:
        self.now = frozenset(known)

    def known(self) -> frozenset[int]:
        return self.now

    async def discover(self, events: Sequence[types.EmittedEvent]) -> frozenset[int]:
        felts = {felt for event in events for felt in (*event.keys, *event.data)}
        found = (felts & NAMED) - self.now
        self.now |= found
        return found


async def read(
    node: client.StarknetNode,
    first: int = 0,
    last: int = LAST,
    watch: Watch | None = None,
    **settings: Any,
) -> list[types.Range]:
    watch = watch or Watch()
    reader = ranges.RangeReader(node, msgspec.structs.replace(READING, **settings))
    return [part async for part in reader.ranges(first, last, watch.known, watch.discover)]


def check(parts: list[types.Range], addresses: frozenset[int] = WATCHED) -> None:
    """Gapless from the first range to the last, and what the recording holds."""
    for before, after in itertools.pairwise(parts):
        assert after.from_block == before.to_block + 1
    for part in parts:
        assert part.events == truth(part.from_block, part.to_block, addresses)
        assert part.tip.hash == MAIN[part.to_block].hash
        numbers = [block.header.number for block in part.blocks]
        assert numbers == sorted({event.block_number for event in part.events})
        assert all(block.header.hash == MAIN[block.header.number].hash for block in part.blocks)


def bare(parts: list[types.Range]) -> list[types.Range]:
    """Ranges without what RPC below 0.10 does not tell."""

    def header(told: types.BlockHeader) -> types.BlockHeader:
        return msgspec.structs.replace(told, event_count=None, event_commitment=None)

    return [
        msgspec.structs.replace(
            part,
            tip=header(part.tip),
            blocks=[msgspec.structs.replace(b, header=header(b.header)) for b in part.blocks],
        )
        for part in parts
    ]


@pytest.mark.parametrize("window", [1, 7])
async def test_a_block_is_told_once_by_its_header_or_by_its_events(window: int) -> None:
    """Whatever block a window ends with: one with a header and a time of its own would be two."""

    def times(events: Sequence[types.EmittedEvent]) -> dict[int, int]:
        return {
            event.block_number: seconds
            for event in events
            if (seconds := block_time.of_event(event.keys, event.data)) is not None
        }

    watch, near = Watch(), 10
    settings = {"first_window": window, "largest_window": window, "near_blocks": near}
    async with chain_stage.node() as node:
        reader = ranges.RangeReader(node, msgspec.structs.replace(READING, **settings))
        reading = reader.ranges(0, LAST, watch.known, watch.discover, event_times=times)
        parts = [part async for part in reading]
    far = [part for part in parts if part.to_block <= LAST - near]
    assert any(part.events and part.events[-1].block_number == part.to_block for part in far)
    assert any(part.event_times for part in far) == (window > 1)
    for part in far:
        told = [header.number for header in part.headers]
        assert part.tip.number in told
        assert not part.event_times.keys() & set(told)
        assert {event.block_number for event in part.events} <= {*told, *part.event_times}


# --- profiles -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def whole() -> list[types.Range]:
    """The recording in windows of 40 blocks, by RPC 0.10."""
    async with chain_stage.node(path="/rpc/v0_10") as node:
        found = await read(node, first_window=40, largest_window=40)
    check(found)
    assert len(found) == 4
    assert sum(len(part.events) for part in found) > 100
    return found


@pytest.mark.parametrize("path", ["/", "/rpc/v0_8", "/rpc/v0_9"])
async def test_every_version_tells_the_same(
    path: str, whole: list[types.Range], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "LARGEST_PAGE", 13)
    settings = {"scan_limit": 7, "reverse_batches": True, "chunk_limit": 13}
    async with chain_stage.node(path=path, **settings) as node:
        found = await read(node, first_window=40, largest_window=40)
    assert bare(found) == bare(whole)


async def test_a_node_without_address_lists_tells_the_same(whole: list[types.Range]) -> None:
    asked: list[Any] = []

    def older(method: str, params: Any) -> Fault | None:
        if method == "starknet_getEvents":
            asked.append(params["filter"]["address"])
        is_version = method == "starknet_specVersion"
        return Fault(edit=lambda _: "0.10.0") if is_version else None

    async with chain_stage.node(fault=older) as node:
        assert await read(node, first_window=40, largest_window=40) == whole
    assert all(isinstance(address, str) for address in asked)


# --- trouble --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
async def test_every_block_once_through_random_faults(seed: int) -> None:
    chance = random.Random(seed)
    largest = chance.choice([1, 5, 30])
    faults = [
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=502, body=b"<html>"),
        Fault(close_after=0),
        Fault(close_after=30),
        Fault(drop=True),
        Fault(edit=lambda _: None),
    ]

    def fault(method: str, params: Any) -> Fault | None:
        if method == "starknet_getEvents":
            asked = params["filter"]
            size = asked["to_block"]["block_number"] - asked["from_block"]["block_number"] + 1
            if size > largest:
                return Fault(status=413)
        return chance.choice(faults) if chance.random() < 0.03 else None

    async with chain_stage.recorded(fault=fault) as url:
        settings = msgspec.structs.replace(chain_stage.SETTINGS, attempts=8)
        async with chain_stage.connected(url, settings=settings) as node:
            first, last = sorted(chance.randint(0, LAST) for _ in range(2))
            parts = await read(
                node, first, last, first_window=chance.randint(1, 50), attempts=8, target_blocks=9
            )
    assert (parts[0].from_block, parts[-1].to_block) == (first, last)
    check(parts)


async def test_a_discovered_contract_is_read_from_the_ranges_first_block() -> None:
    async with chain_stage.node() as node:
        watch = Watch([FACTORY])
        parts = await read(node, watch=watch, first_window=5, largest_window=5, windows_ahead=4)
    assert watch.now == WATCHED
    check(parts)


async def test_a_node_that_hangs_is_left_for_the_next() -> None:
    def hang(method: str, _: Any) -> Fault | None:
        return Fault(delay=30) if method == "starknet_getEvents" else None

    settings = msgspec.structs.replace(chain_stage.SETTINGS, request_timeout_seconds=0.2)
    async with (
        chain_stage.recorded(fault=hang) as stuck,
        chain_stage.recorded() as good,
        chain_stage.connected(stuck, good, settings=settings) as node,
    ):
        check(await read(node))
        assert node.profile.endpoint == urls.redact(good)


async def test_pages_of_a_range_are_never_of_two_endpoints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first endpoint dies between two pages: the second one is asked from the beginning."""
    monkeypatch.setattr(rpc, "LARGEST_PAGE", 10)
    tokens: list[Any] = []

    def dying(method: str, params: Any) -> Fault | None:
        is_next = method == "starknet_getEvents" and "continuation_token" in params["filter"]
        return Fault(status=502) if is_next else None

    def listening(method: str, params: Any) -> None:
        if method == "starknet_getEvents":
            tokens.append(params["filter"].get("continuation_token"))

    async with (
        chain_stage.recorded(fault=dying) as first,
        chain_stage.recorded(fault=listening) as second,
        chain_stage.connected(first, second) as node,
    ):
        check(await read(node, windows_ahead=0))
    assert tokens[0] is None
    assert len(tokens) > 10


# --- reorganisations ------------------------------------------------------------------------

FORK = next(fork for fork in RECORDING.forks if fork.last > fork.common)


@pytest.mark.parametrize("moment", ["starknet_getEvents", "starknet_getBlockWithReceipts"])
@pytest.mark.parametrize("path", ["/", "/rpc/v0_9"])
async def test_a_reorganisation_while_a_range_is_read(moment: str, path: str) -> None:
    """The head leaves a fork between two answers: the range is read again, not mixed."""
    head = Playhead.at_block(RECORDING, FORK.common)
    head.go_to(FORK.last, FORK.index)
    left = [3]

    def move(method: str, _: Any) -> None:
        if method == moment:
            left[0] -= 1
            if left[0] == 0:
                head.go_to(FORK.last)

    async with chain_stage.node(path=path, head=head, fault=move, scan_limit=4) as node:
        watch = Watch(frozenset(EMITTERS))
        first = max(FORK.common - 10, 0)
        parts = await read(node, first, FORK.last, watch)
    assert left[0] <= 0
    check(parts, frozenset(EMITTERS))


async def test_a_head_that_stays_lower_is_not_delivered() -> None:
    head = Playhead.at_block(RECORDING, 100)

    def drop(method: str, _: Any) -> None:
        if method == "starknet_getEvents" and head.tip is not None and head.tip.number == 100:
            head.go_to(60)

    async with chain_stage.node(head=head, fault=drop) as node:
        error = await chain_stage.failure(read(node, 0, 100, first_window=200))
    assert isinstance(error, errors.InconsistentAnswerError)


# --- proofs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", ["events", "all"])
async def test_what_was_proved_is_told(verify: str) -> None:
    async with chain_stage.node() as node:
        parts = await read(node, 20, 40, verify=verify)
    check(parts)
    proved = {number for part in parts for number in part.proved}
    held = {block.header.number for part in parts for block in part.blocks}
    assert proved == (held if verify == "events" else set(range(20, 41)))
    told = [one for part in parts for one in part.verified]
    assert covered([one for one in told if one.method == "commitment"]) == sorted(proved)
    assert {one.method for one in told} <= {"commitment", "sampled"}
    assert covered(told) == list(range(20, 41))
    if verify == "events":
        assert len(proved) < len(covered(told))


def covered(told: list[types.Verified]) -> list[int]:
    return [n for one in told for n in range(one.first_block, one.last_block + 1)]


async def test_a_sample_of_the_silent_blocks_is_proved_too() -> None:
    async with chain_stage.node() as node:
        parts = await read(node, 0, LAST, verify="events", sample_rate=0.3, sample_seed=5)
        whole = await read(node, 0, LAST, verify="events", sample_rate=1.0)
    check(parts)
    proved = {number for part in parts for number in part.proved}
    held = {block.header.number for part in parts for block in part.blocks}
    drawn = {n for n in range(LAST + 1) if block_proof.is_sampled(n, 0.3, 5)}
    assert proved == held | drawn
    assert drawn - held
    told = [one for part in whole for one in part.verified]
    assert {one.method for one in told} == {"commitment"}
    assert covered(told) == list(range(LAST + 1))


async def test_a_suspect_block_is_proved_even_when_nothing_is() -> None:
    """Of a block that the node told nothing of, nothing else would ask."""
    async with chain_stage.node() as node:
        silent = sorted(
            set(range(LAST + 1))
            - {block.header.number for part in await read(node) for block in part.blocks}
        )
        watch = Watch()
        reader = ranges.RangeReader(node, READING)
        reader.suspects = frozenset(silent[:2])
        reading = reader.ranges(0, LAST, watch.known, watch.discover)
        parts = [part async for part in reading]
    proved = {number for part in parts for number in part.proved}
    assert proved > set(silent[:2])
    assert not proved & set(silent[2:])


async def test_old_versions_prove_nothing_and_contradict_nothing() -> None:
    async with chain_stage.node(path="/rpc/v0_9") as node:
        parts = await read(node, 20, 40, verify="all")
    check(parts)
    assert all(part.proved == frozenset() for part in parts)
    assert {one.method for part in parts for one in part.verified} == {"receipts"}


async def test_dividing_a_window_that_is_too_full_is_no_trouble_of_the_node() -> None:
    """The node answers all that it is asked: the reader alone wants fewer events at once."""
    last = 60
    head = daemon_stage.Playhead.at_block(daemon_stage.recording(), last)
    async with daemon_stage.filled(head, last) as url:
        undisturbed = await daemon_stage.digest_at(url, last)
    async with (
        postgres.fresh_database(migrated=True) as url,
        daemon_stage.serving(head) as node,
        daemon_stage.following(
            url, node.url, until_block=last, VESU_INGEST_BATCH_EVENTS="3"
        ) as running,
    ):
        assert await running.ended() is None
        line = running.said("window_divided")
        assert line is not None
        assert line["log_level"] == "debug"
        assert running.said("node_trouble") is None
        assert daemon_stage.count(node.url, "too_large", "smaller_range") == 0
        assert await daemon_stage.digest_at(url, last) == undisturbed
