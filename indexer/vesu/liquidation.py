"""The amounts of a liquidation, and the call that requests it.

`liquidate` is the contract's `liquidate_position`: a pure function of the market. Vesu has no
close factor: a liquidator may repay all of a debt at once. The bonus is 1/f - 1 of what is
repaid, f being the pair's liquidation factor. Source: `compute_liquidation_amounts` (V2) and
`before_liquidate_position` (V1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from indexer.vesu import amounts, market, maths, quotes, refusals

Refusal = refusals.Refusal
ShutdownMode = refusals.ShutdownMode

SMALLEST_REPAY_V2 = 2_001
"""V2 refuses to be repaid 2000 raw units or fewer."""

_ROUNDS_BAD_DEBT_UP = frozenset({maths.Variant.V1_1B, maths.Variant.V1_1C})


class Sizes(NamedTuple):
    """The amounts that a liquidation takes and leaves, in raw units, before any check.

    `removed` is the debt that goes, bad debt included; the liquidator pays the rest of it.
    """

    seized: int
    removed: int
    bad_debt: int


class Liquidation(msgspec.Struct, frozen=True):
    """A liquidation's outcome, in raw units; `after` is the market that it leaves.

    `paid` by the liquidator in the debt asset, `seized` of the collateral, `bad_debt` what the
    debt asset's suppliers lose. `gross` is the value seized less the value paid, x 10^18 USD.
    """

    asked: int
    paid: int
    seized: int
    bad_debt: int
    gross: int
    seized_usd: int
    after: market.Market
    refusal: Refusal | None = None


def sizes(market_state: market.Market, repay_amount: int) -> Sizes:
    """Sizes of repaying `repay_amount` units, rounded as the contract; needs both prices."""
    collateral, debt = market_state.collateral, market_state.debt
    price, owed_price = collateral.price or 0, debt.price or 0
    factor = market_state.pair.liquidation_factor or maths.SCALE
    owed = market_state.debt_owed
    repaid = min(repay_amount, owed)
    worth = repaid * owed_price // debt.scale
    seized = worth * maths.SCALE // price * collateral.scale // factor
    seized = min(seized, market_state.collateral_held)
    covered = market_state.collateral_usd * factor // maths.SCALE
    if covered >= market_state.debt_usd:
        return Sizes(seized, repaid, 0)
    short = market_state.debt_usd - covered
    if covered < market.value_of_debt(repaid, debt):
        return Sizes(seized, owed, short * debt.scale // owed_price)
    up = debt.variant in _ROUNDS_BAD_DEBT_UP
    bad = maths.divide(repaid * short, covered, up)
    return Sizes(seized, repaid + bad, bad)


def liquidate(market_state: market.Market, repay_amount: int, least_seized: int = 0) -> Liquidation:
    """Repay `repay_amount` units of a position's debt, all of it where that is more."""
    try:
        return _liquidated(market_state, repay_amount, least_seized)
    except maths.RevertedError:
        return Liquidation(repay_amount, 0, 0, 0, 0, 0, market_state, Refusal.OVERFLOW)


def _liquidated(market_state: market.Market, repay_amount: int, least_seized: int) -> Liquidation:
    if refusal := _closed(market_state):
        return Liquidation(repay_amount, 0, 0, 0, 0, 0, market_state, refusal)
    taken = sizes(market_state, repay_amount)
    after, deltas = market.apply(
        market_state, amounts.Amount(-taken.seized), amounts.Amount(-taken.removed), taken.bad_debt
    )
    checks = _checks(market_state, after, deltas, taken, repay_amount, least_seized)
    if refusal := next(checks, None):
        return Liquidation(repay_amount, 0, 0, 0, 0, 0, market_state, refusal)
    paid = -deltas.debt - taken.bad_debt
    seized_usd = market.value_of_collateral(-deltas.collateral, market_state.collateral)
    gross = seized_usd - market.value_of_debt(paid, market_state.debt)
    return Liquidation(
        repay_amount, paid, -deltas.collateral, taken.bad_debt, gross, seized_usd, after
    )


def _closed(market_state: market.Market) -> Refusal | None:
    """The reason why nothing can be liquidated; None if something can."""
    if refusal := market.closed(market_state):
        return refusal
    if not market_state.is_v2:
        mode = market.shutdown_mode(market_state)
        if (
            mode not in (ShutdownMode.NONE, ShutdownMode.RECOVERY)
            or not market_state.has_valid_prices
        ):
            return Refusal.EMERGENCY
    if not (market_state.collateral.price and market_state.debt.price):
        return Refusal.INVALID_ORACLE  # the contract divides by them
    return None


def _checks(
    before: market.Market,
    after: market.Market,
    deltas: amounts.Deltas,
    taken: Sizes,
    repay_amount: int,
    least_seized: int,
) -> Iterator[Refusal]:
    if taken.seized < least_seized:
        yield Refusal.LESS_THAN_MIN_COLLATERAL
    if before.is_collateralized:
        yield Refusal.NOT_UNDERCOLLATERALIZED
    if before.is_v2 and repay_amount < SMALLEST_REPAY_V2:
        yield Refusal.REPAY_TOO_SMALL
    if before.is_v2:
        yield from market.arithmetic(after)
        yield from market.invariants_v2(after, deltas)
    else:
        yield from market.invariants_v1(after, deltas)


class Costs(NamedTuple):
    """What a liquidator pays beside the debt: gas in USD, and the part of the value seized that
    selling it loses, both x 10^18."""

    gas: int = 0
    slippage: int = 0

    def net(self, of: Liquidation) -> int:
        """The profit after both, x 10^18 USD; slippage rounded up."""
        lost = maths.ceil_div(of.seized_usd * self.slippage, maths.SCALE)
        return of.gross - lost - self.gas


class Opportunity(msgspec.Struct, frozen=True):
    """The two repayments that a liquidator chooses between; a refused one says why.

    `full` repays everything. `partial` is the largest repayment that leaves a rest, is within the
    liquidator's means, and is allowed: as each unit repaid brings the same bonus, it is the best
    one that is not full. None where none is.
    """

    full: Liquidation
    partial: Liquidation | None

    def best(self, most: int | None = None) -> Liquidation | None:
        """The larger allowed repayment that costs up to `most` units; None if neither is."""
        for liquidation in (self.full, self.partial):
            if liquidation is not None and _is_allowed(liquidation, most):
                return liquidation
        return None


def _is_allowed(liquidation: Liquidation, most: int | None) -> bool:
    """Whether the contract takes it, and it costs up to `most` units."""
    return liquidation.refusal is None and (most is None or liquidation.paid <= most)


def whole(market_state: market.Market, most: int | None = None) -> Liquidation | None:
    """The liquidation that repays everything: where it is allowed, the best one.

    None where it is refused, or costs more than `most` units.
    """
    try:
        full = _full(market_state)
    except maths.RevertedError:
        return None
    return full if full is not None and _is_allowed(full, most) else None


def _full(market_state: market.Market) -> Liquidation | None:
    """The repayment of everything, allowed or not; None where there is nothing to liquidate."""
    if market_state.is_collateralized or not market_state.nominal_debt:
        return None
    return liquidate(market_state, market_state.debt_owed)


def opportunity(market_state: market.Market, most: int | None = None) -> Opportunity | None:
    """What may be liquidated of a position; None where the contract allows nothing."""
    try:
        return _opportunity(market_state, most)
    except maths.RevertedError:
        return None


def _opportunity(market_state: market.Market, most: int | None) -> Opportunity | None:
    full = _full(market_state)
    if full is None:
        return None
    high = full.paid if full.refusal is None else market_state.debt_owed
    if most is not None:
        high = min(high, most + 1)
    partial = _partial(market_state, high - 1)
    if full.refusal is not None and partial is None:
        return None
    return Opportunity(full, partial)


def _partial(market_state: market.Market, high: int) -> Liquidation | None:
    """The largest allowed repayment of at most `high` units.

    What is left of loan and collateral must be worth more than the floors: larger repayments
    leave less, so that the allowed ones are all below the largest.
    """
    if high <= 0:
        return None
    best = quotes.largest(
        high,
        lambda repay_amount: _leaves_enough(liquidate(market_state, repay_amount)),
        _least_left(market_state),
    )
    partial = liquidate(market_state, best) if best else None
    return partial if partial and partial.refusal is None else None


def _least_left(market_state: market.Market) -> int:
    """About the largest repayment that leaves loan and collateral above their floors, and takes no
    more collateral than the reserve holds.

    In rational arithmetic, which the contract's rounding misses by a few units.
    """
    collateral, debt = market_state.collateral, market_state.debt
    factor = market_state.pair.liquidation_factor or maths.SCALE
    price = debt.price or 1
    worth, owed = market_state.collateral_usd, market_state.debt_usd
    covered = worth * factor // maths.SCALE
    # Each unit repaid takes bad debt with it where the collateral does not cover the loan.
    by_debt = (owed - debt.floor) * min(covered, owed) // (owed or 1)
    reserve = market.value_of_collateral(collateral.reserve + 1, collateral)
    by_collateral = min(worth - collateral.floor, reserve) * factor // maths.SCALE
    return min(by_debt, by_collateral) * debt.scale // price


_TOO_LITTLE = frozenset(
    {Refusal.REPAY_TOO_SMALL, Refusal.ZERO_COLLATERAL, Refusal.ZERO_DEBT, Refusal.DEBT_CAP}
)


def _leaves_enough(liquidation: Liquidation) -> bool:
    """Whether it is allowed, or a larger one may be."""
    return liquidation.refusal is None or liquidation.refusal in _TOO_LITTLE


def smallest_repay(market_state: market.Market) -> int:
    """The fewest raw units that the contract takes for a liquidation."""
    return SMALLEST_REPAY_V2 if market_state.is_v2 else 1


def bonus_rate(market_state: market.Market) -> int:
    """What a liquidator gains on each unit repaid, x 10^18: 1/f - 1, rounded down."""
    factor = market_state.pair.liquidation_factor or maths.SCALE
    return maths.SCALE * maths.SCALE // factor - maths.SCALE
