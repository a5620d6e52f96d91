"""Selectors equal starknet-py's."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies
from starknet_py.hash.selector import get_selector_from_name

from indexer.cairo import selector


@pytest.mark.parametrize("name", ["Transfer", "UpdateContext", "asset_config_unsafe", "price"])
def test_names_that_the_indexer_asks_for(name: str) -> None:
    assert selector.of(name) == get_selector_from_name(name)


@hypothesis.given(strategies.text(strategies.characters(codec="ascii"), max_size=300))
@hypothesis.example("x" * 135)
@hypothesis.example("x" * 136)
def test_any_name(name: str) -> None:
    hypothesis.assume(name not in ("__default__", "__l1_default__"))
    assert selector.of(name) == get_selector_from_name(name)
