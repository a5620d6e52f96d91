"""Yearly rates of a growth: exact by powers of fractions, which need no root."""

from __future__ import annotations

from fractions import Fraction

import hypothesis
import msgspec
from hypothesis import strategies as st

from indexer.vesu import accrual, maths, yields

SCALE = maths.SCALE


def is_floor(apy: int, growth: Fraction, days: int) -> bool:
    """Whether (1 + apy)^days <= growth^365 < (1 + apy + 10^-18)^days."""
    low, high = (Fraction(SCALE + apy + more, SCALE) ** days for more in (0, 1))
    return low <= growth**365 < high


@hypothesis.settings(max_examples=100, derandomize=True, deadline=None)
@hypothesis.given(st.integers(SCALE // 2, 2 * SCALE), st.integers(1, 400))
def test_a_growth_over_days_is_compounded_to_a_year(growth: int, days: int) -> None:
    exact = Fraction(growth, SCALE)
    hypothesis.assume(abs(growth - SCALE) * 400 < SCALE * days)
    assert is_floor(yields.yearly(exact, days * 86_400), exact, days)


def test_a_year_is_its_own_growth_and_a_loss_is_negative() -> None:
    assert yields.yearly(Fraction(11, 10), yields.SECONDS_PER_YEAR) == SCALE // 10
    assert yields.yearly(Fraction(9, 10), yields.SECONDS_PER_YEAR) == -SCALE // 10
    assert yields.yearly(Fraction(0), 86_400) == -SCALE


def test_bad_debt_and_donations_move_the_share() -> None:
    before = accrual.AssetState(
        total_collateral_shares=100 * SCALE,
        total_nominal_debt=50 * SCALE,
        reserve=50 * 10**6,
        scale=10**6,
        last_rate_accumulator=SCALE,
    )
    lost = msgspec.structs.replace(before, total_nominal_debt=40 * SCALE)
    given = msgspec.structs.replace(before, reserve=60 * 10**6)
    assert yields.share_growth(before, lost) == Fraction(9, 10)
    assert yields.share_growth(before, given) == Fraction(11, 10)
    assert yields.debt_growth(before, lost) == 1
    assert yields.share_growth(accrual.AssetState(), before) is None
    assert yields.debt_growth(accrual.AssetState(), before) is None
