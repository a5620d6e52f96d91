"""The integer maths: published vectors and laws. Recorded answers: test_vesu_maths_recorded.py.

Published vectors: the unit tests of Vesu's public V1 source (nominal debt, interest rate,
utilisation, fee shares), whose inputs and results are restated here as numbers. They were made
with V1; where V2's formula differs (above the target, fee shares) the test says how. The vectors
of V1's own accrual of fees, of its liquidations and of its Target amounts say nothing of V2 and
are left out.
"""

from __future__ import annotations

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from indexer.vesu import accrual, events, maths

SCALE = maths.SCALE
YEAR_360 = 360 * 86_400
"""The year of the published vectors."""

PUBLISHED_MODEL = events.InterestRateConfig(
    min_target_utilization=75_000,
    max_target_utilization=85_000,
    target_utilization=87_500,
    min_full_utilization_rate=1_582_470_460,
    max_full_utilization_rate=32_150_205_761,
    zero_utilization_rate=158_247_046,
    rate_half_life=172_800,
    target_rate_percent=SCALE // 5,
)
APR_20 = 20_000 * 10**13 // YEAR_360


def apr(rate: int) -> int:
    """A rate per second as thousandths of a percent a year."""
    return rate * YEAR_360 // 10**13


# --- published vectors -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("debt", "accumulator", "nominal"),
    [
        (22_222_222, 3, 74_074_073_333_333_334),
        (55_555_555, 3, 185_185_183_333_333_334),
        (77_777_777, 3, 259_259_256_666_666_667),
        (88_888_888, 3, 296_296_293_333_333_334),
        (77_777_777, 2, 388_888_885_000_000_000),
    ],
)
def test_nominal_debt_is_the_least_that_owes_the_debt(
    debt: int, accumulator: int, nominal: int
) -> None:
    """Five published roundings of a debt to nominal debt, upwards, at 8 decimals."""

    def owed(nominal_debt: int) -> int:
        return maths.calculate_debt(nominal_debt, accumulator * SCALE, 10**8, up=False)

    assert owed(nominal) == debt
    assert owed(nominal - 1) == debt - 1


def test_interest_rate_of_half_used_market_after_a_day() -> None:
    debt = maths.calculate_debt(SCALE // 2, SCALE, 10**8, up=False)
    used = maths.utilization(50_000_000, debt)
    rate, full = maths.interest_rate(PUBLISHED_MODEL, used, 86_400, 6_517_893_350)
    assert used == SCALE // 2
    assert rate == 778_649_180
    assert full < 6_517_893_350
    assert rate * YEAR_360 == 24_219_104_094_720_000
    borrow_apy = maths.pow_scale(SCALE + rate, YEAR_360) - SCALE
    assert borrow_apy * (SCALE // 2) // SCALE == 12_257_384_326_832_902


@pytest.mark.parametrize(
    ("percent", "rate_apr", "full_apr"), [(50, 2_395, 17_142), (80, 4_059, 19_999)]
)
def test_published_rates_up_to_the_target(percent: int, rate_apr: int, full_apr: int) -> None:
    used = percent * SCALE // 100
    rate, full = maths.interest_rate(PUBLISHED_MODEL, used, 86_400, APR_20)
    assert (apr(rate), apr(full)) == (rate_apr, full_apr)


def test_above_the_target_v1_is_flat_and_v2_rises() -> None:
    """V1 divides by 10^18 where V2 divides by 10^5: 5.060 % against 8.715 % after a day at 90 %."""
    used = 9 * SCALE // 10
    rate, full = maths.interest_rate(PUBLISHED_MODEL, used, 86_400, APR_20)
    zero = PUBLISHED_MODEL.zero_utilization_rate
    flat = (full - zero) * PUBLISHED_MODEL.target_rate_percent // SCALE + zero
    assert (apr(full), apr(flat), apr(rate)) == (23_333, 5_060, 8_715)
    # Published for V2 with a full rate of 20 %, that is before any time has passed.
    assert apr(maths.interest_rate(PUBLISHED_MODEL, used, 0, APR_20)[0]) == 7_515


def test_full_rate_halves_and_doubles_in_a_half_life() -> None:
    half_life = PUBLISHED_MODEL.rate_half_life
    assert maths.full_utilization_rate(PUBLISHED_MODEL, half_life, 0, APR_20) == APR_20 // 2
    assert maths.full_utilization_rate(PUBLISHED_MODEL, half_life, 100_000, APR_20) == APR_20 * 2


def test_fee_shares_are_worth_a_tenth_of_the_interest_less_one_unit() -> None:
    """100 lent out, all used, 10 % interest, 10 % fee: the fee is 1 of the 10."""
    market = accrual.AssetState(
        total_collateral_shares=100 * SCALE,
        total_nominal_debt=100 * SCALE,
        scale=10**8,
        last_updated=1,
        last_rate_accumulator=SCALE,
        fee_rate=SCALE // 10,
    )
    assert minted(market, SCALE) == 0
    after = SCALE * 11 // 10
    shares = minted(market, after)
    total_debt = maths.calculate_debt(100 * SCALE, after, 10**8, up=False)
    worth = maths.calculate_collateral(shares, 0, total_debt, 100 * SCALE + shares)
    assert worth == 10**8 - 1


def minted(market: accrual.AssetState, accumulator: int) -> int:
    return maths.fee_shares(
        total_nominal_debt=market.total_nominal_debt,
        total_shares=market.total_collateral_shares,
        reserve=market.reserve,
        old_accumulator=market.last_rate_accumulator,
        new_accumulator=accumulator,
        scale=market.scale,
        fee_rate=market.fee_rate,
    )


def test_utilization_of_empty_idle_and_exhausted_markets() -> None:
    assert maths.utilization(0, 0) == 0
    assert maths.utilization(100 * SCALE, 0) == 0
    assert maths.utilization(0, 2_817 * SCALE) == SCALE


def test_an_accumulator_of_300_percent_for_a_year_is_unsafe() -> None:
    assert maths.rate_accumulator(SCALE, 100_824_704_600, YEAR_360) > 18 * SCALE


# --- laws --------------------------------------------------------------------------------------

units = st.integers(0, 10**32)
totals = st.integers(1, 10**32)
prices = st.integers(1, 10**27)
decimals = st.integers(0, 18)
accumulators = st.integers(SCALE, 18 * SCALE)
seconds = st.integers(0, 10 * 365 * 86_400)
rates = st.integers(0, 10**11)
used_share = st.integers(0, SCALE)


@st.composite
def models(draw: st.DrawFn) -> events.InterestRateConfig:
    """Rate models that the contract accepts: utilisations and rates in ascending order."""
    low, high = sorted(draw(st.tuples(*[st.integers(1, 99_999)] * 2)))
    zero, least, most = sorted(draw(st.tuples(*[rates] * 3)))
    return events.InterestRateConfig(
        low,
        high,
        draw(st.integers(1, 99_999)),
        least,
        most,
        zero,
        draw(st.integers(1, 10**8)),
        draw(st.integers(0, SCALE)),
    )


@st.composite
def markets(draw: st.DrawFn) -> accrual.AssetState:
    """Asset states as pools have them: shares at least worth what was paid in for them."""
    scale = 10 ** draw(st.integers(6, 18))
    model = draw(models())
    reserve = draw(st.integers(2_000, 10**12)) * scale // 10**4
    nominal = draw(st.integers(0, 10**12)) * SCALE // 10**4
    paid_in = reserve + nominal * scale // SCALE
    return accrual.AssetState(
        total_collateral_shares=paid_in * SCALE // scale,
        total_nominal_debt=nominal,
        reserve=reserve,
        scale=scale,
        last_updated=draw(st.integers(1, 2 * 10**9)),
        last_rate_accumulator=draw(st.integers(SCALE, 2 * SCALE)),
        last_full_utilization_rate=draw(
            st.integers(model.min_full_utilization_rate, model.max_full_utilization_rate)
        ),
        fee_rate=draw(st.integers(0, 100)) * SCALE // 100,
        model=model,
    )


@hypothesis.given(units, totals)
def test_up_and_down_are_one_apart_or_equal(numerator: int, denominator: int) -> None:
    down = maths.divide(numerator, denominator, up=False)
    up = maths.divide(numerator, denominator, up=True)
    assert down * denominator <= numerator <= up * denominator
    assert up - down == (1 if numerator % denominator else 0)


@hypothesis.given(rates, st.integers(0, 3_000))
def test_powers_stay_just_below_the_true_power(rate: int, exponent: int) -> None:
    power = maths.pow_scale(SCALE + rate, exponent)
    exact = (SCALE + rate) ** exponent * SCALE // SCALE**exponent
    assert power <= exact
    assert exact - power <= 4 * (exponent + 1) * (exact // SCALE + 1)


def _power(base: int, exponent: int) -> int:
    """The contract's own steps, one after another."""
    result = SCALE
    while exponent:
        if exponent % 2:
            result = result * base // SCALE
        base, exponent = base * base // SCALE, exponent // 2
    return result


@hypothesis.given(st.integers(1, 10**8), st.sampled_from((1, 3)), st.integers(-2, 2))
def test_powers_that_may_and_that_cannot_overflow_take_the_same_steps(
    exponent: int, times: int, more: int
) -> None:
    """Up to a growth of SCALE over all seconds together nothing is checked for overflows."""
    base = SCALE + max(0, times * SCALE // exponent + more)
    assert maths.pow_scale(base, exponent) == _power(base, exponent)


@hypothesis.given(st.integers(0, SCALE), st.integers(0, 10**8))
def test_powers_below_one_take_the_same_steps(base: int, exponent: int) -> None:
    assert maths.pow_scale(base, exponent) == _power(base, exponent)


def test_powers_of_zero_and_one() -> None:
    assert maths.pow_scale(5 * SCALE, 0) == SCALE
    assert maths.pow_scale(5 * SCALE + 7, 1) == 5 * SCALE + 7


@hypothesis.given(rates, rates, seconds, seconds)
def test_powers_never_fall(rate: int, more: int, exponent: int, longer: int) -> None:
    power = maths.pow_scale(SCALE + rate, exponent)
    assert maths.pow_scale(SCALE + rate + more, exponent) >= power >= SCALE
    slack = 4 * (exponent + longer + 1) * (power // SCALE + 1)
    assert maths.pow_scale(SCALE + rate, exponent + longer) >= power - slack


@hypothesis.given(
    accumulators, st.integers(0, 10**10), st.integers(0, 10**6), st.integers(0, 10**6)
)
def test_split_accruals_differ_by_rounding_alone(
    accumulator: int, rate: int, first: int, second: int
) -> None:
    whole = maths.rate_accumulator(accumulator, rate, first + second)
    halves = maths.rate_accumulator(maths.rate_accumulator(accumulator, rate, first), rate, second)
    assert abs(whole - halves) <= 8 * (first + second + 2) * (whole // SCALE + 1)


def test_split_accruals_do_differ() -> None:
    """Why the sequence of updates matters to the last digit."""
    whole = maths.rate_accumulator(SCALE, 778_649_180, 86_400)
    halves = maths.rate_accumulator(
        maths.rate_accumulator(SCALE, 778_649_180, 40_001), 778_649_180, 46_399
    )
    assert whole != halves


@hypothesis.given(units, units, accumulators, accumulators, decimals)
def test_debt_grows_with_nominal_and_accumulator(
    nominal: int, more: int, accumulator: int, other: int, places: int
) -> None:
    low, high = sorted((accumulator, other))

    def debt(of: int, at: int, *, up: bool) -> int:
        return maths.calculate_debt(of, at, 10**places, up=up)

    assert 0 <= debt(nominal, low, up=True) - debt(nominal, low, up=False) <= 1
    for up in (False, True):
        assert debt(nominal, high, up=up) >= debt(nominal, low, up=up)
        assert debt(nominal + more, low, up=up) >= debt(nominal, low, up=up)


@hypothesis.given(units, units, units, totals)
def test_collateral_up_and_down_are_one_apart(
    shares: int, reserve: int, debt: int, total: int
) -> None:
    down = maths.calculate_collateral(shares, reserve, debt, total)
    up = maths.calculate_collateral(shares, reserve, debt, total, up=True)
    assert 0 <= up - down <= 1
    assert maths.calculate_collateral(shares + 1, reserve, debt, total) >= down
    assert maths.calculate_collateral(total, reserve, debt, total) == reserve + debt
    assert maths.calculate_collateral(shares, reserve, debt, 0) == 0


@hypothesis.given(st.data(), totals, totals)
def test_conversions_lose_one_unit_at_most(data: st.DataObject, assets: int, more: int) -> None:
    """Where a share is worth a unit or less, as shares of 18 decimals are."""
    total = assets + more
    amount = data.draw(st.integers(0, assets))
    shares = amount * total // assets
    assert amount - 1 <= maths.calculate_collateral(shares, assets, 0, total) <= amount


@hypothesis.given(units, units, st.integers(1, 10**30))
def test_utilization_is_a_share_and_grows_with_debt(reserve: int, debt: int, more: int) -> None:
    used = maths.utilization(reserve, debt)
    assert 0 <= used <= SCALE
    assert maths.utilization(reserve, debt + more) >= used
    assert maths.utilization(reserve + more, debt) <= used


@hypothesis.given(models(), used_share, used_share, seconds, rates)
def test_rates_rise_with_utilization_between_their_ends(
    model: events.InterestRateConfig, used: int, other: int, elapsed: int, previous: int
) -> None:
    low, high = sorted((used, other))
    low_rate, low_full = maths.interest_rate(model, low, elapsed, previous)
    high_rate, high_full = maths.interest_rate(model, high, elapsed, previous)
    assert model.zero_utilization_rate <= low_rate <= high_rate <= high_full
    assert model.min_full_utilization_rate <= low_full <= high_full
    assert high_full <= model.max_full_utilization_rate
    assert maths.interest_rate(model, 0, elapsed, previous)[0] == model.zero_utilization_rate
    rate, full = maths.interest_rate(model, SCALE, elapsed, previous)
    assert rate == full


@hypothesis.given(models(), st.integers(0, 100_000), rates)
def test_full_rate_moves_only_with_time(
    model: events.InterestRateConfig, used: int, previous: int
) -> None:
    least, most = model.min_full_utilization_rate, model.max_full_utilization_rate
    now = maths.full_utilization_rate(model, 0, used, previous)
    assert now == min(max(previous, least), most)


@hypothesis.given(markets())
def test_no_time_is_no_accrual(market: accrual.AssetState) -> None:
    assert accrual.accrue(market, market.last_updated) is market
    blank = msgspec.structs.replace(market, last_updated=0)
    assert accrual.accrue(blank, 10**9) is blank


@hypothesis.given(markets(), st.integers(1, 10**7), totals)
def test_accrual_takes_from_nobody(market: accrual.AssetState, elapsed: int, shares: int) -> None:
    after = accrual.accrue(market, market.last_updated + elapsed)
    assert after.last_updated == market.last_updated + elapsed
    assert after.last_rate_accumulator >= market.last_rate_accumulator
    assert after.total_debt >= market.total_debt
    assert after.reserve == market.reserve
    new_shares = after.total_collateral_shares - market.total_collateral_shares
    assert new_shares == after.fee_shares - market.fee_shares >= 0
    # Fees come out of the interest: what shares are worth never falls by more than a unit.
    held = min(shares, market.total_collateral_shares)
    assert accrual.collateral_of(held, after) >= accrual.collateral_of(held, market) - 1


@hypothesis.given(markets(), st.integers(1, 10**7))
def test_fees_are_their_part_of_the_interest(market: accrual.AssetState, elapsed: int) -> None:
    after = accrual.accrue(market, market.last_updated + elapsed)
    fees = after.fee_shares - market.fee_shares
    interest = after.total_debt - market.total_debt
    worth = accrual.collateral_of(fees, after)
    part = interest * market.fee_rate // SCALE
    # Interest is rounded up before the fee is taken, and the debts' floors may differ by a unit.
    assert part - 3 <= worth <= part + 3
    if market.fee_rate == 0 or market.total_nominal_debt == 0:
        assert fees == 0


@hypothesis.given(units, units, prices, decimals)
def test_values_are_rounded_against_the_position(
    amount: int, more: int, price: int, places: int
) -> None:
    scale = 10**places
    down = maths.collateral_value(amount, price, scale)
    up = maths.debt_value(amount, price, scale)
    assert 0 <= up - down <= 1
    assert down * scale <= amount * price <= up * scale
    assert maths.collateral_value(amount + more, price, scale) >= down
    assert maths.debt_value(amount + more, price, scale) >= up


@pytest.mark.parametrize("used", [0, 50_000, 100_000])
def test_a_model_on_which_the_contract_would_panic_stops_nothing(used: int) -> None:
    """Anyone may create a pool with such a model; the contract then refuses to accrue."""
    model = events.InterestRateConfig(75_000, 85_000, 100_000, 1, 10**10, 0, 0, 10**17)
    scaled = used * (maths.SCALE // maths.UTILIZATION_SCALE)
    for variant in maths.Variant:
        rate, full = maths.interest_rate(model, scaled, 60, 10**9, variant)
        assert full == 10**9
        assert 0 <= rate <= full
