"""Liquidations against the contract's formulas, written a second time with fractions."""

from __future__ import annotations

from unittest import mock

import hypothesis
import msgspec
from hypothesis import strategies as st

from indexer.vesu import liquidation, market, maths, refusals, state
from tests.unit.test_vesu_quotes import again, examples, markets

SCALE = maths.SCALE
IGNORED = {"not-collateralized", "utilization-exceeded", "in-recovery"}
"""What binds owners, not liquidators."""


@st.composite
def under_water(draw: st.DrawFn) -> market.Market:
    """A market whose loan is 50 % to 150 % of its collateral, with valid prices."""
    found = draw(markets())
    hypothesis.assume(found.nominal_debt > 0 and found.collateral_usd > 10**9 and found.debt_usd)
    loan = draw(st.integers(500, 1_500))
    price = (found.debt.price or 0) * found.collateral_usd * loan // (found.debt_usd * 1_000)
    hypothesis.assume(price > 0)
    pair = msgspec.structs.replace(
        found.pair, liquidation_factor=draw(st.sampled_from((0, SCALE * 9 // 10, SCALE // 2)))
    )
    sides = {
        "collateral": msgspec.structs.replace(found.collateral, price_is_valid=True),
        "debt": msgspec.structs.replace(found.debt, price=price, price_is_valid=True),
    }
    return msgspec.structs.replace(found, pair=pair, **sides)


def liquidated(found: market.Market, asked: int) -> tuple[tuple[int, int, int], set[str]]:
    """What the second computation says of a liquidation: amounts, and the rules it breaks."""
    pool = again(found)
    factor = found.pair.liquidation_factor or SCALE
    rounds_up = found.debt.variant is maths.Variant.V1_1B
    taken = pool.liquidate(asked, factor, rounds_up=rounds_up)
    return taken, pool.broken(takes=False, borrows=False) - IGNORED


def is_under_water(found: market.Market) -> bool:
    pool = again(found)
    return pool.collateral_usd() * found.pair.max_ltv < pool.debt_usd() * SCALE


@examples
@hypothesis.given(under_water(), st.integers(2_001, 10**30))
def test_amounts_and_refusals(found: market.Market, asked: int) -> None:
    one = liquidation.liquidate(found, asked)
    if not is_under_water(found):
        assert one.refusal is refusals.Refusal.NOT_UNDERCOLLATERALIZED
        return
    taken, broken = liquidated(found, asked)
    if one.refusal is None:
        assert (one.paid, one.seized, one.bad_debt) == taken
        assert not broken
        assert one.seized_usd - one.gross == market.value_of_debt(one.paid, found.debt)
    else:
        zeros = {refusals.Refusal.ZERO_COLLATERAL, refusals.Refusal.ZERO_DEBT}
        assert one.refusal.value in broken or one.refusal in zeros


@examples
@hypothesis.given(under_water())
def test_the_partial_repayment_is_the_largest(found: market.Market) -> None:
    one = liquidation.opportunity(found)
    if one is None:
        return
    if one.partial is not None:
        (paid, seized, _), broken = liquidated(found, one.partial.asked)
        assert not broken
        assert (paid, seized) == (one.partial.paid, one.partial.seized)
        more = one.partial.asked + 1
        full = one.full.paid if one.full.refusal is None else found.debt_owed
        assert more >= full or liquidated(found, more)[1]
    if one.full.refusal is None:
        assert not liquidated(found, found.debt_owed)[1]


def a_loan(variant: maths.Variant) -> market.Market:
    """10 of the collateral at 1 USD against 9 of the debt at 1 USD, 80 % allowed, f = 0.95."""
    asset = msgspec.structs.replace(
        market.NO_ASSET,
        total_collateral_shares=1_000 * SCALE,
        reserve=900 * 10**6,
        total_nominal_debt=100 * SCALE,
        scale=10**6,
        last_rate_accumulator=SCALE,
        max_utilization=SCALE,
        price=SCALE,
        variant=variant,
    )
    pair = msgspec.structs.replace(
        state.PairState(),
        max_ltv=SCALE * 8 // 10,
        liquidation_factor=SCALE * 95 // 100,
        total_nominal_debt=9 * SCALE,
    )
    return market.Market(asset, asset, pair, 10 * SCALE, 9 * SCALE)


def test_profit_is_the_bonus_less_gas_and_slippage() -> None:
    """9 repaid bring 9/0.95 = 9.473684 of the collateral; 1 % of it is lost in selling."""
    one = liquidation.opportunity(a_loan(maths.Variant.V2))
    assert one is not None
    assert (one.full.paid, one.full.seized, one.full.bad_debt) == (9_000_000, 9_473_684, 0)
    assert one.full.gross == 473_684 * 10**12
    costs = liquidation.Costs(gas=10**17, slippage=SCALE // 100)
    assert costs.net(one.full) == 473_684 * 10**12 - 9_473_684 * 10**10 - 10**17
    assert one.best() == one.full
    assert liquidation.bonus_rate(a_loan(maths.Variant.V2)) == 52_631_578_947_368_421


def test_little_capital_makes_a_partial_liquidation() -> None:
    found = a_loan(maths.Variant.V2)
    one = liquidation.opportunity(found, most=4_000_000)
    assert one is not None
    assert one.partial is not None
    assert one.partial.paid == 4_000_000
    assert one.best(most=4_000_000) == one.partial
    assert one.best(most=3_999_999) is None


@examples
@hypothesis.given(under_water(), st.none() | st.integers(0, 10**30))
def test_the_whole_loan_is_repaid_where_that_is_allowed(
    found: market.Market, most: int | None
) -> None:
    """It is then the best liquidation, and no part has to be looked for."""
    one, whole = liquidation.opportunity(found, most), liquidation.whole(found, most)
    is_allowed = (
        one is not None and one.full.refusal is None and (most is None or one.full.paid <= most)
    )
    assert (whole is not None) == is_allowed
    if one is not None and whole is not None:
        assert whole == one.full == one.best(most)


@examples
@hypothesis.given(under_water())
def test_few_parts_are_tried(found: market.Market) -> None:
    """In a falling market there are thousands of positions, and each try is a whole liquidation."""
    hypothesis.assume(liquidation.opportunity(found) is not None)
    tried = mock.Mock(wraps=liquidation.liquidate)
    with mock.patch.object(liquidation, "liquidate", tried):
        liquidation.opportunity(found)
    # To halve what is owed until one unit is left would take as many.
    halvings = found.debt_owed.bit_length()
    is_coarse = found.collateral.scale < found.debt.scale
    assert tried.call_count <= (2 * halvings if is_coarse else 26)


def test_v2_takes_no_repayment_of_2000_units_or_fewer() -> None:
    for variant, refusal in (
        (maths.Variant.V2, refusals.Refusal.REPAY_TOO_SMALL),
        (maths.Variant.V1_0, None),
    ):
        assert liquidation.liquidate(a_loan(variant), 2_000).refusal is refusal
        assert liquidation.liquidate(a_loan(variant), 2_001).refusal is None
    assert liquidation.smallest_repay(a_loan(maths.Variant.V2)) == 2_001


def test_less_than_the_asked_collateral_is_refused() -> None:
    found = a_loan(maths.Variant.V2)
    assert liquidation.liquidate(found, 9_000_000, 9_473_684).refusal is None
    refused = liquidation.liquidate(found, 9_000_000, 9_473_685).refusal
    assert refused is refusals.Refusal.LESS_THAN_MIN_COLLATERAL


def test_a_closing_v1_pool_liquidates_only_in_recovery() -> None:
    for mode, refusal in (
        (refusals.ShutdownMode.RECOVERY, None),
        (refusals.ShutdownMode.SUBSCRIPTION, refusals.Refusal.EMERGENCY),
        (refusals.ShutdownMode.REDEMPTION, refusals.Refusal.EMERGENCY),
    ):
        found = msgspec.structs.replace(a_loan(maths.Variant.V1_0), mode=mode)
        assert liquidation.liquidate(found, 9_000_000).refusal is refusal
