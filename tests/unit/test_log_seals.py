"""Seals: their text stays what it was, since stored ones are held against it."""

from __future__ import annotations

import hashlib
import json

import hypothesis
import msgspec
from hypothesis import strategies

from indexer.chain import types
from indexer.log import facts
from tests.unit import foreign

FELTS = strategies.lists(strategies.integers(0, foreign.PRIME - 1) | strategies.just(0), max_size=4)
EARLIER = "8330af2f66c681e2d483b83c7df2ce6b723402a8d10feb5f520392095d85e55a"
"""The seal of the event below, computed when felts were text."""

EVENTS = strategies.builds(
    types.EmittedEvent,
    strategies.integers(0, 2**40),
    strategies.integers(0, 900),
    strategies.integers(0, 900),
    *[strategies.integers(0, foreign.PRIME - 1).map(hex)] * 3,
    FELTS,
    FELTS,
)


@hypothesis.given(strategies.lists(EVENTS, max_size=3))
def test_a_seal_is_the_hash_of_the_events_as_json(events: list[types.EmittedEvent]) -> None:
    as_the_node_has_them = [
        msgspec.structs.asdict(event)
        | {"keys": [*map(hex, event.keys)], "data": [*map(hex, event.data)]}
        for event in events
    ]
    text = json.dumps(as_the_node_has_them, separators=(",", ":"))
    assert facts.seal(events) == hashlib.sha256(text.encode()).hexdigest()


def test_seals_of_earlier_releases_are_still_whole() -> None:
    event = types.EmittedEvent(7, 1, 0, "0xb", "0xa1", "0x5", [0, 2**128], [])
    assert facts.seal([event]) == EARLIER
    assert facts.seal([]) == hashlib.sha256(b"[]").hexdigest()
