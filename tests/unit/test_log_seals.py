"""Seals: what they are made of stays what it was, since stored ones are held against it."""

from __future__ import annotations

import hashlib
import json

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from indexer.chain import types
from indexer.log import seals
from tests.unit import foreign

FELTS = strategies.lists(strategies.integers(0, foreign.PRIME - 1) | strategies.just(0), max_size=4)
EVENT = types.EmittedEvent(7, 1, 0, "0xb", "0xa1", "0x5", [0, 2**128], [])

OF_JSON = "8330af2f66c681e2d483b83c7df2ce6b723402a8d10feb5f520392095d85e55a"
"""The seal of the event above, computed when felts were text."""

OF_BYTES = (
    # block number, transaction index, event index
    bytes.fromhex("0000000000000007 00000001 00000000")
    + b"0xb0x5"
    # the transaction's hash
    + bytes.fromhex("00000020" + "a1".rjust(64, "0"))
    # keys: 0, and 17 bytes
    + bytes.fromhex("00000013 00 11 0100000000000000000000000000000000")
    # no data
    + bytes.fromhex("00000000")
)
"""The bytes of the event above, written out."""

EVENTS = strategies.builds(
    types.EmittedEvent,
    strategies.integers(0, 2**40),
    strategies.integers(0, 900),
    strategies.integers(0, 900),
    *[strategies.integers(0, foreign.PRIME - 1).map(hex)] * 3,
    FELTS,
    FELTS,
)


def json_of(events: list[types.EmittedEvent]) -> str:
    as_the_node_has_them = [
        msgspec.structs.asdict(event)
        | {"keys": [*map(hex, event.keys)], "data": [*map(hex, event.data)]}
        for event in events
    ]
    return json.dumps(as_the_node_has_them, separators=(",", ":"))


def test_a_seal_is_the_hash_of_the_bytes() -> None:
    assert seals.seal_of([EVENT]) == "2:" + hashlib.sha256(OF_BYTES).hexdigest()
    assert seals.seal_of([EVENT, EVENT]) == "2:" + hashlib.sha256(OF_BYTES * 2).hexdigest()
    assert seals.seal_of([]) == "2:" + hashlib.sha256(b"").hexdigest()


@hypothesis.given(strategies.lists(EVENTS, max_size=3))
def test_a_block_is_whole_by_seals_of_both_kinds(events: list[types.EmittedEvent]) -> None:
    assert seals.is_whole(seals.seal_of(events), events)
    assert seals.is_whole(hashlib.sha256(json_of(events).encode()).hexdigest(), events)


@hypothesis.given(strategies.lists(EVENTS, max_size=3), strategies.lists(EVENTS, max_size=3))
def test_other_events_break_seals_of_both_kinds(
    events: list[types.EmittedEvent], others: list[types.EmittedEvent]
) -> None:
    hypothesis.assume(events != others)
    assert not seals.is_whole(seals.seal_of(events), others)
    assert not seals.is_whole(hashlib.sha256(json_of(events).encode()).hexdigest(), others)


@pytest.mark.parametrize(
    "change",
    [
        {"block_number": 8},
        {"transaction_index": 2},
        {"event_index": 1},
        {"block_hash": "0xc"},
        {"transaction_hash": "0xa2"},
        {"from_address": "0x6"},
        {"keys": [0]},
        {"keys": [0, 2**128 + 1]},
        {"keys": [2**128, 0]},
        {"keys": [0], "data": [2**128]},
        {"data": [0]},
    ],
    ids=str,
)
def test_each_field_is_sealed(change: dict[str, object]) -> None:
    changed = msgspec.structs.replace(EVENT, **change)
    assert not seals.is_whole(seals.seal_of([EVENT]), [changed])
    assert not seals.is_whole(OF_JSON, [changed])


def test_seals_of_earlier_releases_are_still_whole() -> None:
    assert seals.is_whole(OF_JSON, [EVENT])
    assert seals.is_whole(hashlib.sha256(b"[]").hexdigest(), [])


def test_no_seal_at_all_is_broken() -> None:
    assert not seals.is_whole("", [EVENT])
    assert not seals.is_whole("", [])
