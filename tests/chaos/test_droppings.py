"""One event left out of one answer of getEvents, at random: which of them are found before the
commit, by `verify = "all"` and by `verify = "events"`.

The reader over a served recording, a few blocks at a time, with real discovery. Seeds 1 to
VESU_TEST_DROPPINGS (default 60; `make drops` takes 500).
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from indexer.chain import client, completeness, ranges, types
from indexer.projections import decoding
from indexer.recording import chain, server
from indexer.vesu import discovery, kinds
from tests import dropping
from tests.integration import chain_stage

SEEDS = int(os.environ.get("VESU_TEST_DROPPINGS", "60"))
WIDEST = 6
FACTORY = int(chain_stage.RECORDING.manifest["contracts"]["pool_factory"]["address"], 16)
LAST = chain_stage.LAST


class Watch:
    """The projections' own discovery, from what is known before a block."""

    def __init__(self, emitted: Sequence[types.EmittedEvent], before: int) -> None:
        self._registry = discovery.Registry({FACTORY: discovery.Known(kinds.Kind.POOL_FACTORY_V2)})
        self.discover([event for event in emitted if event.block_number < before])

    def known(self) -> frozenset[int]:
        return self._registry.addresses()

    def discover(self, emitted: Sequence[types.EmittedEvent]) -> frozenset[int]:
        return decoding.discover(emitted, self._registry)


class Stage:
    """An honest node's word of every event of ours, and a node that leaves one out."""

    def __init__(self, node: client.StarknetNode, fault: dropping.Dropping) -> None:
        self._node = node
        self._fault = fault
        every = [event for block in chain_stage.MAIN.values() for event in block.events]
        watch = Watch([event for event in every if int(event.from_address, 16) == FACTORY], 10**9)
        ours = {hex(address) for address in watch.known()}
        self.events = [event for event in every if event.from_address in ours]

    async def read(
        self, first: int, last: int, lost: dropping.Key | None, **settings: Any
    ) -> tuple[list[types.EmittedEvent], int]:
        """What a reader takes of a range while an event is left out; how often it was."""
        self._fault.aim(*([lost] if lost else []))
        watch = Watch(self.events, first)
        made = ranges.ReaderSettings(pause_seconds=0, first_window=LAST + 1, **settings)
        reader = ranges.RangeReader(self._node, made)
        found = [
            event
            async for part in reader.ranges(first, last, watch.known, watch.discover)
            for event in part.events
        ]
        return found, len(self._fault.dropped)

    def between(self, first: int, last: int) -> list[types.EmittedEvent]:
        return [event for event in self.events if first <= event.block_number <= last]


@pytest.fixture(scope="module")
async def staged() -> AsyncIterator[Stage]:
    fault = dropping.Dropping()
    made = server.ServerOptions(fault=fault)
    async with (
        server.RecordingServer(chain_stage.RECORDING, options=made) as running,
        chain_stage.connected(running.url) as node,
    ):
        yield Stage(node, fault)


def key(event: types.EmittedEvent) -> dropping.Key:
    return event.block_number, event.transaction_index, event.event_index


def drawn(staged: Stage, seed: int) -> tuple[types.EmittedEvent, int, int]:
    """An event, and a range of blocks around it."""
    dice = random.Random(seed)
    event = dice.choice(staged.events)
    first = max(event.block_number - dice.randrange(WIDEST), 0)
    return event, first, min(event.block_number + dice.randrange(WIDEST), LAST)


def test_the_recording_holds_what_the_tests_need(staged: Stage) -> None:
    assert len(staged.events) == 672
    assert isinstance(chain_stage.RECORDING, chain.Recording)


async def test_verifying_all_finds_every_dropping(staged: Stage) -> None:
    """Nothing is delivered without it, so nothing is committed without it."""
    for seed in range(1, SEEDS + 1):
        event, first, last = drawn(staged, seed)
        found, dropped = await staged.read(first, last, key(event), verify="all")
        assert dropped == 1, f"seed {seed}"
        assert found == staged.between(first, last), f"seed {seed}"
    print(f"found {SEEDS} of {SEEDS} droppings, seeds 1 to {SEEDS}")


async def test_verifying_events_overlooks_exactly_what_the_docs_say(staged: Stage) -> None:
    """A dropping escapes where it leaves no event of ours in its block, and only there.

    With it goes what is only said by contracts that it names (docs/protocol.md).
    """
    escaped = 0
    for seed in range(1, SEEDS + 1):
        event, first, last = drawn(staged, seed)
        found, dropped = await staged.read(first, last, key(event), verify="events")
        assert dropped == 1, f"seed {seed}"
        if is_alone(staged, event):
            escaped += 1
            assert found == without(staged, event, first, last), f"seed {seed}"
        else:
            assert found == staged.between(first, last), f"seed {seed}"
    print(f"{escaped} of {SEEDS} droppings escaped, seeds 1 to {SEEDS}")


async def test_every_lone_event_escapes_verifying_events_unless_sampled(staged: Stage) -> None:
    """All eight of the recording. The first names an oracle, which speaks two blocks later, beside
    others of ours: that escapes with it."""
    lone = [event for event in staged.events if is_alone(staged, event)]
    assert len(lone) == 8
    for event in lone:
        number = event.block_number
        last = min(number + 4, LAST)
        for rate in (0.0, 0.5, 1.0):
            found, dropped = await staged.read(
                number, last, key(event), verify="events", sample_rate=rate, sample_seed=3
            )
            assert dropped == 1
            is_found = completeness.is_sampled(number, rate, 3)
            whole = staged.between(number, last)
            wanted = whole if is_found else without(staged, event, number, last)
            assert found == wanted, f"block {number}, rate {rate}"
            assert is_found or len(wanted) < len(whole) - (11 if event == lone[0] else 0)


def is_alone(staged: Stage, event: types.EmittedEvent) -> bool:
    """Whether nothing tells of the block without this event.

    What names a contract takes the contract's own events of the block with it.
    """
    left = [one for one in staged.between(event.block_number, event.block_number) if one != event]
    known = Watch([one for one in staged.events if one != event], event.block_number)
    known.discover(left)
    return not any(int(one.from_address, 16) in known.known() for one in left)


def without(
    staged: Stage, event: types.EmittedEvent, first: int, last: int
) -> list[types.EmittedEvent]:
    """What is left of a range where an event escapes, and with it the contracts it alone names."""
    left = [one for one in staged.between(0, last) if one != event]
    known = Watch(left, last + 1).known() | Watch(staged.events, first).known()
    return [one for one in left if one.block_number >= first and int(one.from_address, 16) in known]
