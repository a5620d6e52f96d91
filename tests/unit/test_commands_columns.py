"""How point-in-time answers are written for people, and how exact sums are."""

from __future__ import annotations

import decimal

import hypothesis
import pytest
from hypothesis import strategies as st

from indexer.commands import columns
from indexer.projections import rows
from indexer.query import point_in_time

raw = st.integers(0, 2**256)


@hypothesis.given(raw, st.integers(0, 30))
def test_exact_amounts_lose_nothing_but_zeros(value: int, decimals: int) -> None:
    written = columns.exact(rows.units(value, decimals))
    assert decimal.Decimal(written) == decimal.Decimal(rows.units(value, decimals))
    assert not (written.endswith("0") and "." in written)
    assert not written.endswith(".")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("0.999999999999999999", "0.9999"),
        ("1.000000000000000000", "1.0000"),
        ("1.049999", "1.0499"),
        (
            "340282366920938463463374607431768211456.5",
            "340282366920938463463374607431768211456.5000",
        ),
        (None, "-"),
    ],
)
def test_health_is_never_rounded_up(value: str | None, written: str) -> None:
    assert columns.health(value) == written


@hypothesis.given(st.lists(st.one_of(st.none(), st.integers(-(2**300), 2**300)), max_size=20))
def test_sums_are_exact(values: list[int | None]) -> None:
    summed = point_in_time.total(None if one is None else rows.scaled(one) for one in values)
    known = sum(one for one in values if one is not None)
    assert decimal.Decimal(summed) == decimal.Decimal(rows.units(known, 18))
    assert "E" not in summed
