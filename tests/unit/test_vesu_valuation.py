"""What positions are worth: health, liquidation price, yields."""

from __future__ import annotations

from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from indexer.vesu import accrual, maths, state, valuation
from tests.unit.test_vesu_maths import APR_20, PUBLISHED_MODEL, SCALE, decimals, prices, totals


def valued(amount: int, owed: int, price: int, max_ltv: int, scale: int) -> valuation.Valuation:
    """A position of `amount` collateral at `price` against `owed` units worth a dollar each."""
    collateral = accrual.AssetState(
        total_collateral_shares=10**40, reserve=10**40, scale=scale, price=price
    )
    debt = accrual.AssetState(last_rate_accumulator=SCALE, scale=SCALE, price=SCALE)
    position = state.PositionState("borrow", collateral_shares=amount, nominal_debt=owed)
    return valuation.value(position, collateral, debt, max_ltv)


@hypothesis.given(totals, totals, prices, st.integers(1, SCALE), decimals)
def test_health_is_below_one_exactly_where_a_liquidation_is_allowed(
    amount: int, owed: int, price: int, max_ltv: int, places: int
) -> None:
    worth = valued(amount, owed, price, max_ltv, 10**places)
    assert worth.health_factor is not None
    assert worth.collateral_usd is not None
    assert worth.debt_usd is not None
    allowed = not maths.is_collateralized(worth.collateral_usd, worth.debt_usd, max_ltv)
    assert (worth.health_factor < SCALE) == allowed


@hypothesis.given(totals, totals, prices, st.integers(1, SCALE), decimals)
def test_liquidation_price_is_the_least_that_is_still_safe(
    amount: int, owed: int, price: int, max_ltv: int, places: int
) -> None:
    scale = 10**places
    limit = valued(amount, owed, price, max_ltv, scale).liquidation_price
    assert limit is not None

    def is_safe(at: int) -> bool:
        health = valued(amount, owed, at, max_ltv, scale).health_factor
        return health is not None and health >= SCALE

    assert is_safe(limit)
    assert not is_safe(limit - 1)


@pytest.mark.parametrize(
    ("changes", "blank"),
    [
        ({"price": None}, ("collateral_usd", "ltv", "health_factor", "liquidation_price")),
        ({"scale": 0}, ("collateral_usd", "ltv", "health_factor", "liquidation_price")),
    ],
)
def test_without_a_price_there_is_no_value(changes: dict[str, Any], blank: tuple[str, ...]) -> None:
    collateral = msgspec.structs.replace(
        accrual.AssetState(total_collateral_shares=10, reserve=10, scale=10**6, price=SCALE),
        **changes,
    )
    debt = accrual.AssetState(last_rate_accumulator=SCALE, scale=SCALE, price=SCALE)
    position = state.PositionState("borrow", collateral_shares=5, nominal_debt=5)
    worth = valuation.value(position, collateral, debt, SCALE)
    assert (worth.collateral, worth.debt, worth.debt_usd) == (5, 5, 5)
    assert all(getattr(worth, name) is None for name in blank)


def test_without_debt_health_does_not_apply() -> None:
    worth = valued(10**18, 0, SCALE, SCALE // 2, SCALE)
    assert (worth.collateral_usd, worth.debt_usd) == (10**18, 0)
    assert worth.health_factor is worth.ltv is worth.liquidation_price is None
    earning = accrual.AssetState(
        total_collateral_shares=100, reserve=200, scale=SCALE, price=3 * SCALE
    )
    held = state.PositionState("earn", vtoken_balance=50)
    assert valuation.value(held, earning, None, 0) == valuation.Valuation(100, 0, 300, 0)


def test_worthless_collateral_has_no_ltv_and_no_health() -> None:
    worth = valued(0, 10**18, SCALE, SCALE // 2, SCALE)
    assert (worth.ltv, worth.health_factor, worth.liquidation_price) == (None, 0, None)


def test_apy_of_lenders_is_what_borrowers_pay_on_what_is_used_less_fees() -> None:
    market = accrual.AssetState(
        total_collateral_shares=SCALE,
        total_nominal_debt=SCALE // 2,
        reserve=50_000_000,
        scale=10**8,
        last_updated=1,
        last_rate_accumulator=SCALE,
        last_full_utilization_rate=APR_20,
        fee_rate=SCALE // 10,
        model=PUBLISHED_MODEL,
    )
    rate, _ = accrual.current_rate(market, 1)
    year = 365 * 86_400
    assert valuation.borrow_apy(market) == maths.pow_scale(SCALE + rate, year) - SCALE
    earned = rate * 45 // 100
    assert valuation.supply_apy(market) == maths.pow_scale(SCALE + earned, year) - SCALE
    idle = msgspec.structs.replace(market, total_nominal_debt=0)
    assert valuation.supply_apy(idle) == 0
