"""Every lie of a node about events and blocks, over a real socket: the outcome, the line of the
log and the metric. Each lie is told once, and the tables equal those of an undisturbed run; one
that lasts is never committed. docs/failure-modes.md is the same in words.
"""

from __future__ import annotations

from typing import Any

import pytest

from indexer import urls
from indexer.chain import rpc
from tests.integration import daemon_stage
from tests.integration.daemon_stage import LAST, Playhead, following, recording, serving
from tests.integration.faults import Edit, Failing, Fault, refuse, skipping

PRIME = 2**251 + 17 * 2**192 + 1
ALL = {"VESU_INGEST_VERIFY": "all"}


# --- lies about events ----------------------------------------------------------------------


def page(edit: Edit) -> Edit:
    """An edit of pages that hold events; others are left alone."""
    return lambda told: edit(told) if told["events"] else told


def first(**changes: Any) -> Edit:
    """The first event of a page with other fields; None takes one out."""

    def edit(told: Any) -> Any:
        event = {**told["events"][0], **changes}
        event = {name: value for name, value in event.items() if value is not None}
        return {**told, "events": [event, *told["events"][1:]]}

    return page(edit)


LIES: dict[str, tuple[str, Edit]] = {
    "a token that repeats": ("token", lambda told: {**told, "continuation_token": "0-0"}),
    "a token of another node": ("token", refuse(33, "invalid continuation token")),
    "a token that is missing": (
        "incomplete",
        page(lambda told: {"events": told["events"][: len(told["events"]) // 2]}),
    ),
    "an empty answer": ("incomplete", page(lambda _: {"events": []})),
    "one event missing": (
        "incomplete",
        page(lambda told: {**told, "events": told["events"][1:]}),
    ),
    "an event above the range": ("range", first(block_number=999_999)),
    "an event of another contract": ("range", first(from_address="0xdead")),
    "an event without block hash": ("unsealed", first(block_hash=None)),
    "an event without index": ("shape", first(event_index=None)),
    "an event of the wrong fork": ("fork", first(block_hash="0xdead")),
    "two events at one place": (
        "duplicate",
        page(
            lambda told: {
                **told,
                "events": [{**told["events"][0], "data": ["0x1"]}, *told["events"]],
            }
        ),
    ),
    "a felt at the prime": ("felt", first(data=[hex(PRIME)])),
    "a felt of a thousand digits": ("felt", first(keys=["0x" + "1" * 1_000])),
    "an event of a million felts": ("shape", first(data=["0x1"] * 1_000_000)),
    "an index beyond all bounds": ("shape", first(transaction_index=2**40)),
    "no events at all in the page": ("shape", lambda _: {}),
    "null": ("shape", lambda _: None),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_about_events_is_read_again(url: str, undisturbed: str, name: str) -> None:
    """The range is asked again from its beginning, and nothing of the lie is committed."""
    kind, edit = LIES[name]
    times = 2 if "repeats" in name else 1  # a token repeats when it comes a second time
    lying = Failing("getEvents", Fault(edit=edit), times)
    head = Playhead.at_block(recording(), LAST)
    async with (
        serving(head, fault=skipping(lying, 1)) as node,
        following(url, node.url, until_block=LAST, **ALL) as running,
    ):
        assert await running.ended() is None
        line = running.said("node_trouble", kind=kind, outcome="again")
        assert line is not None, running.logged
        assert line["endpoint"] == urls.redact(node.url)
        assert lying.left == 0
        assert daemon_stage.count(node.url, kind, "again") >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_events_told_twice_count_once(url: str, undisturbed: str) -> None:
    twice = Failing(
        "getEvents", Fault(edit=page(lambda told: {**told, "events": told["events"] * 2})), 100
    )
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=twice) as node,
        following(url, node.url, until_block=LAST) as running,
    ):
        assert await running.ended() is None
        assert running.said("node_trouble", kind="duplicate", outcome="ignored") is not None
        assert daemon_stage.count(node.url, "duplicate", "ignored") >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_token_that_means_something_else_elsewhere(
    url: str, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kinds of nodes behind one URL: the other one skips more of the block than was told.

    Some of the block was told, so `verify = "events"` finds it.
    """
    monkeypatch.setattr(rpc, "LARGEST_PAGE", 10)

    def skip(told: Any) -> Any:
        number, _, offset = told.get("continuation_token", "0-0").partition("-")
        return {**told, "continuation_token": f"{number}-{int(offset) + 2}"}

    lying = Failing("getEvents", Fault(edit=skip), 1)
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=skipping(lying, 4)) as node,
        following(url, node.url, until_block=LAST) as running,
    ):
        assert await running.ended() is None
        assert lying.left == 0
        assert running.said("node_trouble", kind="incomplete", outcome="again") is not None
        assert daemon_stage.count(node.url, "incomplete", "again") >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


@pytest.mark.parametrize("name", ["one event missing", "an event of the wrong fork"])
async def test_a_lie_that_lasts_is_never_committed(url: str, name: str) -> None:
    kind, edit = LIES[name]
    lying = Failing("getEvents", Fault(edit=edit), -1)
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=lying) as node,
        following(url, node.url, **ALL) as running,
    ):
        await running.says("node_trouble", kind=kind, outcome="wait")
        assert daemon_stage.count(node.url, kind, "wait") >= 1
        assert await running.ask("SELECT count(*) FROM events") == 0
        assert await running.ask("SELECT block_hash IS NULL FROM cursor")


# --- lies about blocks ----------------------------------------------------------------------


def block(**changes: Any) -> Edit:
    return lambda told: {**told, **changes}


def _without_events(told: Any) -> Any:
    """A block whose receipts lack the last event."""
    items = told["transactions"]
    full = max(range(len(items)), key=lambda at: len(items[at]["receipt"]["events"]))
    items[full]["receipt"]["events"].pop()
    return told


BLOCK_LIES: dict[str, tuple[str, str, Edit]] = {
    "a block of another height": (
        "getBlockWithReceipts",
        "mismatched",
        lambda told: {**told, "block_number": told["block_number"] + 1},
    ),
    "a block of another fork": ("getBlockWithReceipts", "fork", block(block_hash="0xdead")),
    "a block that is not known any more": ("getBlockWithReceipts", "lagging", refuse(24)),
    "a block that is not sealed": (
        "getBlockWithReceipts",
        "shape",
        block(status="PRE_CONFIRMED"),
    ),
    "a time beyond all years": ("getBlockWithReceipts", "shape", block(timestamp=10**15)),
    "a receipt without its event": ("getBlockWithReceipts", "incomplete", _without_events),
    "a commitment that is not the events'": (
        "getBlockWithReceipts",
        "incomplete",
        block(event_commitment="0x1"),
    ),
    "a version with a line break": (
        "getBlockWithReceipts",
        "shape",
        block(starknet_version="0.13\n\x00"),
    ),
}


@pytest.mark.parametrize("name", BLOCK_LIES)
async def test_a_lie_about_a_block_is_read_again(url: str, undisturbed: str, name: str) -> None:
    method, kind, edit = BLOCK_LIES[name]
    lying = Failing(method, Fault(edit=edit))
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=lying) as node,
        following(url, node.url, until_block=LAST, **ALL) as running,
    ):
        assert await running.ended() is None
        outcome = "retry" if kind == "lagging" else "again"
        assert running.said("node_trouble", kind=kind, outcome=outcome) is not None
        assert daemon_stage.count(node.url, kind, outcome) >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed
