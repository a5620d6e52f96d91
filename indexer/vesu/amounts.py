"""The amounts of an action, and the deltas that the contract computes from them.

Source: `deconstruct_collateral_amount` and `deconstruct_debt_amount` of `common.cairo`. A user
names an amount in units of the asset, or in the contract's own (collateral shares, nominal
debt); the other one is rounded in the pool's favour. All amounts are signed: positive adds to
the position, negative takes from it.
"""

from __future__ import annotations

from typing import NamedTuple

from indexer.vesu import accrual, maths


class Amount(NamedTuple):
    """A signed change of one side of a position.

    In raw units of the asset; in collateral shares or nominal debt where `is_native`.
    """

    value: int
    is_native: bool = False


NOTHING = Amount(0)


class Deltas(NamedTuple):
    """Signed changes of both sides: raw units moved, shares and nominal debt."""

    collateral: int = 0
    shares: int = 0
    debt: int = 0
    nominal: int = 0


def shares_of(amount: int, asset: accrual.AssetState, up: bool = False) -> int:
    """Collateral shares for raw units of an accrued asset.

    The total debt is rounded opposite to the result. Where nothing is counted yet, one share is
    10^-18 of a whole token.
    """
    owed = maths.calculate_debt(
        asset.total_nominal_debt, asset.last_rate_accumulator, asset.scale, up=not up
    )
    total = asset.reserve + owed
    if total == 0 or asset.total_collateral_shares == 0:
        return maths.divide(amount * maths.SCALE, asset.scale, up) if asset.scale else 0
    return maths.divide(amount * asset.total_collateral_shares, total, up)


def collateral_of(shares: int, asset: accrual.AssetState, up: bool = False) -> int:
    """Raw units for collateral shares of an accrued asset; the total debt is rounded alike."""
    if asset.total_collateral_shares == 0:
        return maths.divide(shares * asset.scale, maths.SCALE, up)
    owed = maths.calculate_debt(
        asset.total_nominal_debt, asset.last_rate_accumulator, asset.scale, up
    )
    return maths.calculate_collateral(
        shares, asset.reserve, owed, asset.total_collateral_shares, up
    )


def debt_of(nominal: int, asset: accrual.AssetState, up: bool = True) -> int:
    """Raw units owed for a nominal debt in an accrued asset."""
    return maths.calculate_debt(nominal, asset.last_rate_accumulator, asset.scale, up)


def nominal_of(debt: int, asset: accrual.AssetState, up: bool) -> int:
    """Nominal debt for raw units owed: debt x 10^36 / (accumulator x scale)."""
    divisor = asset.last_rate_accumulator * asset.scale
    return maths.divide(debt * maths.SCALE**2, divisor, up) if divisor else 0


def collateral_deltas(
    amount: Amount, held_shares: int, asset: accrual.AssetState
) -> tuple[int, int]:
    """(raw units, shares) that an amount adds to or takes from a position, both signed.

    Adding: more units for given shares, fewer shares for given units. Taking is the reverse,
    and ends at what the position holds.
    """
    adds, size = amount.value >= 0, abs(amount.value)
    if amount.is_native:
        units, shares = collateral_of(size, asset, up=adds), size
    else:
        units, shares = size, shares_of(size, asset, up=not adds)
    if adds:
        return units, shares
    if shares > held_shares:
        units, shares = collateral_of(held_shares, asset), held_shares
    return -units, -shares


def debt_deltas(amount: Amount, held_nominal: int, asset: accrual.AssetState) -> tuple[int, int]:
    """(raw units, nominal debt) that an amount adds to or takes from a position, both signed.

    Borrowing: fewer units for a given nominal debt, more nominal debt for given units. Repaying
    is the reverse, and ends at what the position owes.
    """
    adds, size = amount.value >= 0, abs(amount.value)
    if amount.is_native:
        units, nominal = debt_of(size, asset, up=not adds), size
    else:
        units, nominal = size, nominal_of(size, asset, up=adds)
    if adds:
        return units, nominal
    if nominal > held_nominal:
        units, nominal = debt_of(held_nominal, asset), held_nominal
    return -units, -nominal
