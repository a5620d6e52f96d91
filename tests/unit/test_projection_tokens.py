"""What a token says of itself is shown short and clean, and its decimals only where units exist."""

from __future__ import annotations

import pytest

from indexer.cairo import view_call
from indexer.log import observations
from indexer.projections import tokens

TOKEN = 0x70CE


def seen(view: str, *felts: int) -> observations.Observation:
    return observations.Observation(view_call.ViewCall(5, TOKEN, view), "0x5", felts)


@pytest.mark.parametrize(
    ("told", "shown"), [(0, 0), (18, 18), (77, 77), (78, None), (255, None), (2**251, None)]
)
def test_decimals_above_those_of_a_u256_are_not_known(told: int, shown: int | None) -> None:
    """10^77 is the largest power of ten that a u256 holds."""
    assert tokens.read([seen("decimals", told)])[TOKEN].decimals == shown


@pytest.mark.parametrize("view", ["symbol", "name"])
def test_a_name_of_ten_thousand_felts_is_cut(view: str) -> None:
    word = int.from_bytes(b"A" * 31)
    long = seen(view, 10_000, *[word] * 10_000, 0, 0)
    assert getattr(tokens.read([long])[TOKEN], view) == "A" * 64
