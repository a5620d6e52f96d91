"""Pages of getEvents: together they are the whole, whatever the page size and scan limit."""

from __future__ import annotations

import gzip
import json
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from indexer.recording import branches, chain, node, options, playhead, profiles

RECORDING = chain.load(chain.bundled())
EVENTS = msgspec.json.Decoder(branches.EventLine).decode_lines(
    gzip.decompress((chain.bundled() / "events.jsonl.gz").read_bytes())
)
ADDRESSES = sorted({event.from_address for event in EVENTS})
SELECTORS = sorted({event.keys[0] for event in EVENTS})
PROFILE = profiles.by_path("0.10.2")["/"]


def make_node(head: playhead.Playhead | None = None, **settings: Any) -> node.Node:
    return node.Node(
        RECORDING,
        head or playhead.Playhead.everything(RECORDING),
        options.ServerOptions(**settings),
    )


def ask(server: node.Node, filter_: dict[str, Any]) -> dict[str, Any]:
    request = {"id": 1, "method": "starknet_getEvents", "params": [filter_]}
    answer: dict[str, Any] = json.loads(server.answer(PROFILE, request, node.NO_FAULT))
    return answer


def pages(server: node.Node, filter_: dict[str, Any]) -> list[list[dict[str, Any]]]:
    found = []
    token = None
    while True:
        asked = filter_ if token is None else {**filter_, "continuation_token": token}
        result = ask(server, asked)["result"]
        found.append(result["events"])
        token = result.get("continuation_token")
        if token is None:
            return found


def expected(filter_: dict[str, Any]) -> list[branches.EventLine]:
    """The filter's meaning, said once more in the plainest way."""
    first, last = filter_["from_block"]["block_number"], filter_["to_block"]["block_number"]
    return [
        event
        for event in EVENTS
        if first <= event.block_number <= last
        and (not filter_["address"] or event.from_address in filter_["address"])
        and all(
            not wanted or (place < len(event.keys) and event.keys[place] in wanted)
            for place, wanted in enumerate(filter_["keys"])
        )
    ]


FILTERS = strategies.fixed_dictionaries(
    {
        "from_block": strategies.fixed_dictionaries({"block_number": strategies.integers(0, 130)}),
        "to_block": strategies.fixed_dictionaries({"block_number": strategies.integers(0, 140)}),
        "address": strategies.lists(strategies.sampled_from(ADDRESSES), max_size=4),
        "keys": strategies.lists(
            strategies.lists(strategies.sampled_from(SELECTORS), max_size=6), max_size=1
        ),
        "chunk_size": strategies.integers(1, 1024),
    }
)


@hypothesis.given(FILTERS, strategies.sampled_from([None, 1, 7, 50]))
@hypothesis.settings(max_examples=60)
def test_pages_together_are_the_whole(filter_: dict[str, Any], scan_limit: int | None) -> None:
    filter_["chunk_size"] = max(filter_["chunk_size"], 5)
    found = pages(make_node(scan_limit=scan_limit), filter_)
    got = [event for page in found for event in page]
    assert got == [
        {name: getattr(event, name) for name in event.__struct_fields__}
        for event in expected(filter_)
    ]
    assert all(len(page) <= filter_["chunk_size"] for page in found)


def test_a_full_last_page_has_no_token() -> None:
    block = RECORDING.main.blocks[29]
    bounds = {"from_block": {"block_number": 29}, "to_block": {"block_number": 29}}
    found = pages(make_node(), {**bounds, "chunk_size": len(block.events)})
    assert [len(page) for page in found] == [len(block.events)]


def test_scan_limit_gives_empty_pages_with_tokens() -> None:
    filter_ = {"address": "0x1234", "chunk_size": 10}
    result = ask(make_node(scan_limit=50), filter_)["result"]
    assert result == {"events": [], "continuation_token": "50-0"}
    assert len(pages(make_node(scan_limit=50), filter_)) == 3


def test_token_means_matching_events_already_returned() -> None:
    address = RECORDING.main.blocks[29].events[-1].from_address
    bounds = {"from_block": {"block_number": 29}, "to_block": {"block_number": 29}}
    result = ask(make_node(), {**bounds, "address": address, "chunk_size": 1})["result"]
    assert result["continuation_token"] == "29-1"


def test_later_key_positions_and_wildcards() -> None:
    event = next(event for event in EVENTS if len(event.keys) == 3)
    found = pages(make_node(), {"keys": [[], [event.keys[1]], []], "chunk_size": 1024})
    got = [item for page in found for item in page]
    assert got
    assert all(item["keys"][1] == event.keys[1] for item in got)


def test_felts_are_taken_in_any_spelling() -> None:
    address = ADDRESSES[-1]
    padded = "0x" + address[2:].upper().rjust(64, "0")
    count = sum(event.from_address == address for event in EVENTS)
    assert len(
        ask(make_node(), {"address": padded, "chunk_size": 1024})["result"]["events"]
    ) == min(count, 1024)


def test_token_goes_on_after_a_reorg_on_the_chain_as_it_is() -> None:
    head = playhead.Playhead.at_block(RECORDING, 84)
    head.go_to(91, branch=1)
    server = make_node(head)
    filter_ = {"from_block": {"block_number": 85}, "chunk_size": 5}
    first = ask(server, filter_)["result"]
    head.go_to(100)
    rest = ask(server, {**filter_, "continuation_token": first["continuation_token"]})["result"]
    abandoned = {block.hash for block in RECORDING.forks[0].blocks.values()}
    assert {event["block_hash"] for event in first["events"]} <= abandoned
    assert not {event["block_hash"] for event in rest["events"]} & abandoned


def test_ranges_above_the_head_are_empty_or_clamped() -> None:
    server = make_node(playhead.Playhead.at_block(RECORDING, 50))
    above = {"from_block": {"block_number": 51}, "to_block": {"block_number": 90}}
    assert ask(server, {**above, "chunk_size": 9})["result"] == {"events": []}
    across = {"from_block": {"block_number": 50}, "to_block": {"block_number": 90}}
    events = ask(server, {**across, "chunk_size": 1024})["result"]["events"]
    assert {event["block_number"] for event in events} == {50}
    backwards = {"from_block": {"block_number": 40}, "to_block": {"block_number": 30}}
    assert ask(server, {**backwards, "chunk_size": 9})["result"] == {"events": []}


@pytest.mark.parametrize(
    ("filter_", "code"),
    [
        ({"chunk_size": 1025}, 31),
        ({"chunk_size": 0}, -32602),
        ({}, -32602),
        ({"chunk_size": 5, "continuation_token": "soon"}, 33),
        (
            {
                "chunk_size": 5,
                "from_block": {"block_number": 9},
                "continuation_token": "8-0",
            },
            33,
        ),
        ({"chunk_size": 5, "keys": [["0x1"]] * 17}, 34),
        ({"chunk_size": 5, "from_block": {"block_hash": "0x1"}}, 24),
        ({"chunk_size": 5, "to_block": "l1_accepted"}, 24),
        ({"chunk_size": 5, "to_block": {"block_tag": "latest"}}, -32602),
        ({"chunk_size": 5, "to_block": "pending"}, -32602),
        ({"chunk_size": 5, "address": "12"}, -32602),
        ({"chunk_size": 5, "keys": ["0x1"]}, -32602),
    ],
)
def test_refusals(filter_: dict[str, Any], code: int) -> None:
    assert ask(make_node(), filter_)["error"]["code"] == code
