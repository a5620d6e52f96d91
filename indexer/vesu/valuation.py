"""What a position is worth: amounts, USD values, LTV, health factor, liquidation price.

Pure functions of exact state, all integers; ratios and USD are scaled by 10^18 and rounded
down, so that `health_factor < 10^18` holds exactly where the contract allows a liquidation.
"""

from __future__ import annotations

import msgspec

from indexer.vesu import accrual, maths, state

SECONDS_PER_YEAR = 365 * 86_400


class Valuation(msgspec.Struct, frozen=True, gc=False):
    """A position's worth. None where it does not apply or no valid price is known yet.

    `collateral` and `debt` in raw units; the rest scaled by 10^18.
    """

    collateral: int
    debt: int
    collateral_usd: int | None = None
    debt_usd: int | None = None
    ltv: int | None = None
    health_factor: int | None = None
    liquidation_price: int | None = None


def value(
    position: state.PositionState,
    collateral: accrual.AssetState,
    debt: accrual.AssetState | None,
    max_ltv: int,
) -> Valuation:
    """Value a position with asset states that are already accrued to the wanted time.

    `debt` is None for a vToken holding, whose balance stands for collateral shares one to one.
    What a position held before it migrated counts where it went, not here.
    """
    if position.migrated_block is not None:
        return Valuation(0, 0, 0, 0)
    shares = position.collateral_shares + position.vtoken_balance
    amount = accrual.collateral_of(shares, collateral)
    owed = accrual.debt_of(position.nominal_debt, debt) if debt is not None else 0
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


def borrow_apy(asset: accrual.AssetState) -> int:
    """Yearly cost of a loan, compounded per second over 365 days, scaled by 10^18."""
    rate, _ = accrual.current_rate(asset, asset.last_updated)
    return maths.pow_scale(maths.SCALE + rate, SECONDS_PER_YEAR) - maths.SCALE


def supply_apy(asset: accrual.AssetState) -> int:
    """Yearly yield of a deposit, compounded like `borrow_apy`, scaled by 10^18.

    Per second: rate x utilisation x (1 - fee rate).
    """
    rate, _ = accrual.current_rate(asset, asset.last_updated)
    earned = rate * asset.utilization * (maths.SCALE - asset.fee_rate) // maths.SCALE**2
    return maths.pow_scale(maths.SCALE + earned, SECONDS_PER_YEAR) - maths.SCALE
