"""What a position is worth: amounts, USD values, LTV, health factor, liquidation price.

Pure functions of exact state, all integers; ratios and USD are scaled by 10^18 and rounded
down, so that `health_factor < 10^18` holds exactly where the contract allows a liquidation.
"""

from __future__ import annotations

import msgspec

from indexer.vesu import accrual, maths, state

SECONDS_PER_YEAR = 365 * 86_400

APY_LIMIT = 10**6 * maths.SCALE
"""100,000,000 % a year: a higher yield is given as this. Nobody earns or pays it: a rate model
that leads here makes the contract's accrual overflow within months."""


class Valuation(msgspec.Struct, frozen=True, gc=False):
    """A position's worth. None where it does not apply or no valid price is known yet.

    `collateral` and `debt` in raw units; the rest scaled by 10^18. What the contract itself
    cannot compute, because its arithmetic overflows, and what rests on rates that nobody can
    tell, is None, and `unvalued_reason` says why.
    """

    collateral: int | None
    debt: int | None
    collateral_usd: int | None = None
    debt_usd: int | None = None
    ltv: int | None = None
    health_factor: int | None = None
    liquidation_price: int | None = None
    unvalued_reason: str | None = None


def unvalued(error: maths.RevertedError) -> Valuation:
    """The worth of a position that the contract itself cannot work out."""
    return Valuation(None, None, unvalued_reason=str(error))


UNKNOWN_EXTENSION = (
    "the pool's extension is none that is known: its rates and prices cannot be told"
)


def value(
    position: state.PositionState,
    collateral: accrual.AssetState,
    debt: accrual.AssetState | None,
    max_ltv: int,
    now: int | None = None,
) -> Valuation:
    """Value a position with asset states that are already accrued to the wanted time, `now`.

    `debt` is None for a vToken holding, whose balance stands for collateral shares one to one.
    With `now`, what is in a market whose rates nobody can tell is worth something at the time of
    the market's last event alone.
    What a position held before it migrated counts where it went, not here.
    """
    if position.migrated_block is not None:
        return Valuation(0, 0, 0, 0)
    if now is not None and (
        accrual.lacks_rates(collateral, now)
        or (debt is not None and accrual.lacks_rates(debt, now))
    ):
        return Valuation(None, None, unvalued_reason=UNKNOWN_EXTENSION)
    shares = position.collateral_shares + position.vtoken_balance
    try:
        amount = accrual.collateral_of(shares, collateral)
        owed = accrual.debt_of(position.nominal_debt, debt) if debt is not None else 0
    except maths.RevertedError as error:
        return unvalued(error)
    try:
        return _priced(amount, owed, collateral, debt, max_ltv)
    except maths.RevertedError as error:
        return Valuation(amount, owed, unvalued_reason=str(error))


def _priced(
    amount: int,
    owed: int,
    collateral: accrual.AssetState,
    debt: accrual.AssetState | None,
    max_ltv: int,
) -> Valuation:
    """The worth of amounts that are known, in USD, and what follows from it."""
    collateral_usd = _collateral_usd(amount, collateral)
    if debt is None:
        return Valuation(amount, 0, collateral_usd, 0 if collateral_usd is not None else None)
    debt_usd = _debt_usd(owed, debt) if owed else 0
    if not owed or collateral_usd is None or not debt_usd:
        return Valuation(amount, owed, collateral_usd, debt_usd)
    return Valuation(
        amount,
        owed,
        collateral_usd,
        debt_usd,
        debt_usd * maths.SCALE // collateral_usd if collateral_usd else None,
        collateral_usd * max_ltv // debt_usd,
        _liquidation_price(amount, debt_usd, max_ltv, collateral.scale),
    )


def usd(amount: int, price: int | None, scale: int) -> int | None:
    """An amount's worth in USD x 10^18, rounded down; None without a price, or where it is more
    than the contract can hold.
    """
    if price is None or not scale:
        return None
    try:
        return maths.collateral_value(amount, price, scale)
    except maths.RevertedError:
        return None


def _collateral_usd(amount: int, asset: accrual.AssetState) -> int | None:
    if asset.price is None or not asset.scale:
        return None
    return maths.collateral_value(amount, asset.price, asset.scale)


def _debt_usd(amount: int, asset: accrual.AssetState) -> int | None:
    if asset.price is None or not asset.scale:
        return None
    return maths.debt_value(amount, asset.price, asset.scale, asset.variant)


def _liquidation_price(amount: int, debt_usd: int, max_ltv: int, scale: int) -> int | None:
    """The collateral price below which the position may be liquidated, debt price unchanged.

    Exact: at this price it may not, at the next lower one it may. The contract rounds the
    collateral's value down, so the value that is needed is made whole first.
    """
    if not amount or not max_ltv:
        return None
    needed = maths.ceil_div(debt_usd * maths.SCALE, max_ltv)
    return maths.ceil_div(needed * scale, amount)


def exchanged(amount: int, of: accrual.AssetState, in_: accrual.AssetState) -> int:
    """Raw units of `in_` that `amount` raw units of `of` buy at the last prices, rounded down."""
    if not (of.scale and in_.price):
        return 0
    return amount * (of.price or 0) * in_.scale // (of.scale * in_.price)


def borrow_apy(asset: accrual.AssetState) -> int | None:
    """Yearly cost of a loan, compounded per second over 365 days, scaled by 10^18.

    At most APY_LIMIT; None where the contract cannot work the rate out, or nobody can tell it.
    """
    if accrual.lacks_rates(asset):
        return None
    try:
        rate, _ = accrual.current_rate(asset, asset.last_updated)
    except maths.RevertedError:
        return None
    return _yearly(rate)


def supply_apy(asset: accrual.AssetState) -> int | None:
    """Yearly yield of a deposit, compounded and limited like `borrow_apy`, scaled by 10^18.

    Per second: rate x utilisation x (1 - fee rate).
    """
    if accrual.lacks_rates(asset):
        return None
    try:
        rate, _ = accrual.current_rate(asset, asset.last_updated)
        earned = rate * asset.utilization * (maths.SCALE - asset.fee_rate) // maths.SCALE**2
    except maths.RevertedError:
        return None
    return _yearly(earned)


def _yearly(rate: int) -> int | None:
    if rate < 0:
        return None  # the contract would subtract below zero
    try:
        factor = maths.pow_scale(maths.SCALE + rate, SECONDS_PER_YEAR)
    except maths.RevertedError:
        return APY_LIMIT
    return min(factor - maths.SCALE, APY_LIMIT)
