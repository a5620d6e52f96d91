"""Actions and quotes against the contract's formulas, written a second time with fractions."""

from __future__ import annotations

import hypothesis
import msgspec
from hypothesis import strategies as st

from indexer.vesu import (
    accrual,
    amounts,
    events,
    liquidation,
    market,
    maths,
    quotes,
    refusals,
    state,
)
from tests.unit import contract_formulas

SCALE = maths.SCALE
Variant = maths.Variant
examples = hypothesis.settings(max_examples=100, derandomize=True, deadline=None)


@st.composite
def assets(draw: st.DrawFn, variant: Variant) -> accrual.AssetState:
    """An asset whose lent part, price of a share and price are all over the place."""
    scale = 10 ** draw(st.sampled_from((5, 6, 8, 18)))
    supplied = draw(st.integers(2_000, 10**9)) * scale // 1_000
    lent = draw(st.integers(0, 1_000))
    accumulator = draw(st.integers(SCALE, 3 * SCALE))
    owed = supplied * lent // 1_000
    return accrual.AssetState(
        total_collateral_shares=supplied * SCALE // scale * draw(st.integers(500, 1_000)) // 1_000,
        total_nominal_debt=owed * SCALE * SCALE // (accumulator * scale),
        reserve=supplied - owed,
        max_utilization=draw(st.sampled_from((SCALE, SCALE * 9 // 10, SCALE // 2))),
        floor=draw(st.sampled_from((0, 10**16, 10**20))),
        scale=scale,
        last_updated=1,
        last_rate_accumulator=accumulator,
        price=draw(st.integers(1, 10**5)) * 10 ** draw(st.integers(14, 16)),
        price_is_valid=draw(st.sampled_from((True, True, True, True, False))),
        variant=variant,
    )


@st.composite
def markets(draw: st.DrawFn) -> market.Market:
    variant = draw(st.sampled_from((Variant.V2, Variant.V1_0, Variant.V1_1B)))
    collateral, debt = draw(assets(variant)), draw(assets(variant))
    held = collateral.total_collateral_shares * draw(st.integers(0, 1_000)) // 1_000
    owed = debt.total_nominal_debt * draw(st.integers(0, 300)) // 1_000
    pair = state.PairState(
        max_ltv=draw(st.integers(50, 95)) * SCALE // 100,
        debt_cap=draw(st.sampled_from((0, 0, 0, 10**12, 10**24))),
        total_nominal_debt=owed + draw(st.integers(0, 10**24)),
    )
    return market.Market(collateral, debt, pair, held, owed)


def again(found: market.Market) -> contract_formulas.Pool:
    """The same state for the second computation."""
    sides = [
        contract_formulas.Asset(
            one.total_collateral_shares,
            one.total_nominal_debt,
            one.reserve,
            one.last_rate_accumulator,
            one.scale,
            one.price or 0,
            one.floor,
            one.max_utilization,
            bool(one.price_is_valid),
        )
        for one in (found.collateral, found.debt)
    ]
    return contract_formulas.Pool(  # type: ignore[call-arg]
        *sides,
        found.collateral_shares,
        found.nominal_debt,
        found.pair.total_nominal_debt,
        found.pair.max_ltv,
        found.pair.debt_cap,
        is_v2=found.is_v2,
        rounds_debt_down=found.collateral.variant is Variant.V1_0,
    )


def agrees(refusal: refusals.Refusal | None, broken: set[str]) -> bool:
    return not broken if refusal is None else refusal.value in broken


@examples
@hypothesis.given(
    st.integers(0, 10**30), st.integers(0, 10**30), st.none() | st.integers(-(10**31), 10**31)
)
def test_the_largest_is_found_from_wherever_it_is_looked_for(
    high: int, limit: int, near: int | None
) -> None:
    assert quotes.largest(high, lambda tried: tried <= limit, near) == min(high, limit)


@examples
@hypothesis.given(st.integers(10**9, 10**30), st.integers(-8, 8))
def test_close_to_the_largest_few_are_tried(limit: int, away: int) -> None:
    tried: list[int] = []

    def fits(amount: int) -> bool:
        tried.append(amount)
        return amount <= limit

    assert quotes.largest(2 * limit, fits, limit + away) == limit
    assert len(tried) <= 9


@examples
@hypothesis.given(markets(), st.integers(1, 10**30))
def test_the_quoted_loan_is_allowed_and_one_unit_more_is_not(
    found: market.Market, another: int
) -> None:
    def broken(amount: int) -> set[str]:
        pool = again(found)
        pool.borrow(amount)
        return pool.broken(takes=False, borrows=amount > 0)

    quote = quotes.max_borrow(found)
    if quote.amount:
        assert not broken(quote.amount)
    assert broken(quote.amount + 1)
    assert quote.limit in {refusals.Refusal(name) for name in broken(quote.amount + 1)}
    another = another % (found.debt.reserve + 2)
    if another > quote.amount:
        assert broken(another)
    outcome = market.modify(found, debt=amounts.Amount(another))
    if another:
        assert agrees(outcome.refusal, broken(another))


@examples
@hypothesis.given(markets(), st.integers(1, 10**30))
def test_the_quoted_withdrawal_is_allowed_and_one_unit_more_is_not(
    found: market.Market, another: int
) -> None:
    def withdrawn(amount: int) -> tuple[int, set[str]]:
        pool = again(found)
        left = pool.withdraw(amount)
        return left, pool.broken(takes=left > 0, borrows=False)

    quote = quotes.max_withdraw(found)
    held = again(found).collateral.worth(found.collateral_shares)
    if quote.amount:
        assert quote.is_all or withdrawn(quote.amount) == (quote.amount, set())
    assert not quote.is_all or quote.amount == held
    another = another % (held + 2)
    for amount in (quote.amount + 1, max(another, quote.amount + 1)):
        left, broken = withdrawn(amount)
        assert broken or left <= quote.amount
    if another:
        left, broken = withdrawn(another)
        outcome = market.modify(found, amounts.Amount(-another))
        assert agrees(outcome.refusal, broken) or left == 0
        if outcome.refusal is None:
            assert outcome.deltas.collateral == -left


@examples
@hypothesis.given(markets(), st.integers(1, 10**30))
def test_a_supply_brings_the_quoted_shares(found: market.Market, amount: int) -> None:
    pool = again(found)
    shares, broken = pool.supply(amount), pool.broken(takes=False, borrows=False)
    quote = quotes.supply(found, amount)
    if quote.refusal is None:
        assert not broken
        assert quote.shares == shares
        assert quote.worth == pool.collateral.worth(pool.held) - found.collateral_held
    elif shares:
        assert quote.refusal.value in broken | {"pack-overflow"}


@examples
@hypothesis.given(markets(), st.integers(1, 10**30), st.integers(0, 10**7))
def test_what_repays_all_leaves_nothing(found: market.Market, offered: int, seconds: int) -> None:
    model = events.InterestRateConfig(
        75_000, 85_000, 87_500, 10**9, 10**10, 10**8, 172_800, SCALE // 5
    )
    debt = msgspec.structs.replace(found.debt, model=model, last_full_utilization_rate=10**9)
    later = accrual.accrue(debt, debt.last_updated + seconds)
    quote = quotes.repay_all(found.nominal_debt, debt, later, seconds)
    assert quote.now == again(found).repay(10**60)
    pool = again(msgspec.structs.replace(found, debt=later))
    pool.repay(quote.later)
    assert pool.owed == 0 or quote.later == 0
    if quote.later > quote.now:  # one unit less than what is owed then leaves a rest
        pool = again(msgspec.structs.replace(found, debt=later))
        pool.repay(quote.later - 1)
        assert pool.owed > 0
    pool, outcome = again(found), market.modify(found, debt=amounts.Amount(-offered))
    taken, broken = pool.repay(offered), pool.broken(takes=False, borrows=False)
    if outcome.refusal is None:
        assert (-outcome.deltas.debt, outcome.market.nominal_debt) == (taken, pool.owed)
        assert not broken


def empty(variant: Variant) -> market.Market:
    """A market of two assets with 6 decimals that nobody has used yet."""
    asset = accrual.AssetState(
        scale=10**6,
        last_rate_accumulator=SCALE,
        max_utilization=SCALE,
        price=SCALE,
        price_is_valid=True,
        variant=variant,
    )
    return market.Market(asset, asset, state.PairState(max_ltv=SCALE // 2))


def test_v1_takes_an_inflation_fee_from_the_first_deposit() -> None:
    """1000 shares of 10^-18 of a token each go to nobody; less than that cannot be deposited."""
    quote = quotes.supply(empty(Variant.V1_0), 5)
    assert (quote.shares, quote.refusal) == (5 * 10**12 - 1_000, None)
    nothing = market.modify(empty(Variant.V1_0))
    assert nothing.refusal is refusals.Refusal.INFLATION_FEE


def test_v1_counts_no_shares_once_a_thousand_are_left() -> None:
    first = market.modify(empty(Variant.V1_0), amounts.Amount(5)).market
    assert first.collateral.total_collateral_shares == 5 * 10**12
    gone = market.modify(first, amounts.Amount(-first.collateral_shares, is_native=True)).market
    assert (gone.collateral.total_collateral_shares, gone.collateral_shares) == (0, 0)
    assert gone.collateral.reserve == 1  # rounded down in favour of the pool


def test_nothing_is_stored_that_does_not_fit_its_storage() -> None:
    quote = quotes.supply(empty(Variant.V1_0), 1 << 128)
    assert quote.refusal is refusals.Refusal.STORAGE_OVERFLOW
    assert quotes.supply(empty(Variant.V1_0), 1 << 512).refusal is quote.refusal


def test_what_overflows_in_the_contract_is_refused() -> None:
    """A price near 2^256, which a stranger's oracle may tell: every value overflows."""
    supplied = market.modify(empty(Variant.V2), amounts.Amount(10**9)).market
    funded = msgspec.structs.replace(supplied.debt, reserve=10**9, total_collateral_shares=10**21)
    loan = market.modify(
        msgspec.structs.replace(supplied, debt=funded), debt=amounts.Amount(10**8)
    ).market
    priced = msgspec.structs.replace(
        loan, collateral=msgspec.structs.replace(loan.collateral, price=(1 << 256) - 1)
    )
    overflow = refusals.Refusal.OVERFLOW
    assert market.modify(priced, debt=amounts.Amount(1)).refusal is overflow
    assert quotes.max_borrow(priced).limit is overflow
    assert quotes.max_withdraw(priced) == quotes.Largest(0, amounts.Deltas(), overflow)
    assert quotes.supply(priced, 1).refusal is overflow
    assert liquidation.liquidate(priced, 10**6).refusal is overflow
    assert liquidation.opportunity(priced) is None


def test_a_paused_or_frozen_pool_takes_nothing() -> None:
    paused = msgspec.structs.replace(empty(Variant.V2), is_paused=True)
    for found, refusal in (
        (paused, refusals.Refusal.PAUSED),
        (empty(Variant.FROZEN), refusals.Refusal.FROZEN),
    ):
        assert quotes.supply(found, 10**6).refusal is refusal
        assert quotes.max_borrow(found).limit is refusal
        assert market.modify(found, amounts.Amount(-1)).refusal is refusal


def test_shutdown_modes_of_v1() -> None:
    """What `position_hooks.cairo` lists: each mode against each of the four actions."""
    supplied = market.modify(empty(Variant.V1_1B), amounts.Amount(10**9)).market
    funded = msgspec.structs.replace(supplied.debt, reserve=10**9, total_collateral_shares=10**21)
    with_pool = msgspec.structs.replace(supplied, debt=funded)
    loan = market.modify(with_pool, debt=amounts.Amount(10**8)).market
    actions = {
        "supply": (amounts.Amount(10), amounts.NOTHING),
        "withdraw": (amounts.Amount(-10), amounts.NOTHING),
        "borrow": (amounts.NOTHING, amounts.Amount(10)),
        "repay": (amounts.NOTHING, amounts.Amount(-10)),
    }
    allowed = {
        refusals.ShutdownMode.NONE: {"supply", "withdraw", "borrow", "repay"},
        refusals.ShutdownMode.RECOVERY: {"supply", "repay"},
        refusals.ShutdownMode.SUBSCRIPTION: {"repay"},
        refusals.ShutdownMode.REDEMPTION: set(),  # there is a debt: nothing at all
    }
    for mode, expected in allowed.items():
        closing = msgspec.structs.replace(loan, mode=mode)
        passed = {
            name
            for name, change in actions.items()
            if market.modify(closing, *change).refusal is None
        }
        assert passed == expected, mode
    redeeming = msgspec.structs.replace(with_pool, mode=refusals.ShutdownMode.REDEMPTION)
    assert market.modify(redeeming, amounts.Amount(-10)).refusal is None


def test_v1_withdraws_a_supply_without_a_debt_asset() -> None:
    """Of such a pair V1 keeps no totals, so that what leaves is more than they say."""
    supplied = market.modify(empty(Variant.V1_0), amounts.Amount(10**9)).market
    alone = msgspec.structs.replace(
        supplied, debt=market.NO_ASSET, pair=state.PairState(), shutdown_ltv=0
    )
    withdrawn = market.modify(alone, amounts.Amount(-alone.collateral_shares, is_native=True))
    assert withdrawn.refusal is None
    assert withdrawn.deltas.shares == -alone.collateral_shares
    assert quotes.max_withdraw(alone).is_all
