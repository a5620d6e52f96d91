"""Selectors by our own Keccak equal starknet-py's."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies
from starknet_py.hash.selector import get_selector_from_name

from indexer.cairo import selector
from indexer.vesu import selectors


def test_written_out_selectors_are_what_it_gives() -> None:
    for table in (selectors.EVENTS, selectors.VIEWS):
        for name, value in table.items():
            assert selector.of(name) == value, name


@hypothesis.given(strategies.text(strategies.characters(codec="ascii"), max_size=300))
@hypothesis.example("x" * 135)
@hypothesis.example("x" * 136)
def test_any_name(name: str) -> None:
    hypothesis.assume(name not in ("__default__", "__l1_default__"))
    assert selector.of(name) == get_selector_from_name(name)


def test_the_empty_message() -> None:
    expected = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert selector.keccak_256(b"").hex() == expected
