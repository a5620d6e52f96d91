"""The selector tables against starknet-py and the published list."""

from __future__ import annotations

import json
import pathlib

from starknet_py.hash.selector import get_selector_from_name

from indexer.vesu import selectors

ROOT = pathlib.Path(__file__).parents[2]
PUBLISHED = ROOT / "tests" / "data" / "selectors.json"


def test_selectors_are_the_hashes_of_their_names() -> None:
    names = {**selectors.EVENTS, **selectors.VIEWS}
    assert len(names) == len(selectors.EVENTS) + len(selectors.VIEWS)
    assert {name: hex(felt) for name, felt in names.items()} == {
        name: hex(get_selector_from_name(name)) for name in names
    }


def test_every_published_event_is_in_the_table() -> None:
    published = {name: int(felt, 16) for name, felt in json.loads(PUBLISHED.read_text()).items()}
    assert len(published) == 63
    assert published.items() <= selectors.EVENTS.items()


def test_every_event_and_component_of_the_packaged_abis_is_in_the_table() -> None:
    folder = ROOT / "indexer" / "vesu" / "abis"
    named = {
        variant["name"]
        for path in folder.glob("*.json")
        for entry in json.loads(path.read_text())
        if entry["type"] == "event" and entry["kind"] == "enum"
        for variant in entry["variants"]
    }
    assert len(named) > 60
    assert named <= selectors.EVENTS.keys()
