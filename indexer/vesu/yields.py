"""What a deposit really earned and a loan really cost between two accrued states of an asset.

From accumulators, not from rates: a moment at full utilisation counts for as long as it lasted.
Growth is an exact fraction; a yearly rate of it is rounded down to 10^-18.
"""

from __future__ import annotations

import decimal
from fractions import Fraction

from indexer.vesu import accrual, maths

SECONDS_PER_YEAR = 365 * 86_400

_CONTEXT = decimal.Context(prec=60)
"""60 digits: what is left after 18 decimals does not depend on the order of rounding."""


def debt_growth(before: accrual.AssetState, after: accrual.AssetState) -> Fraction | None:
    """What one unit of debt has become: the growth of the accumulator. None before the first."""
    if not before.last_rate_accumulator:
        return None
    return Fraction(after.last_rate_accumulator, before.last_rate_accumulator)


def share_growth(before: accrual.AssetState, after: accrual.AssetState) -> Fraction | None:
    """The growth of one collateral share: interest less fees, donations, less bad debt.

    None where nobody held one.
    """
    worth = [_share_price(asset) for asset in (before, after)]
    if worth[0] is None or worth[1] is None or not worth[0]:
        return None
    return worth[1] / worth[0]


def _share_price(asset: accrual.AssetState) -> Fraction | None:
    if not asset.total_collateral_shares:
        return None
    # The debt unrounded: rounding would be a large part of a small market's growth in a day.
    owed = Fraction(
        asset.total_nominal_debt * asset.last_rate_accumulator * asset.scale, maths.SCALE**2
    )
    return (asset.reserve + owed) / asset.total_collateral_shares


def yearly(growth: Fraction, seconds: int) -> int:
    """The growth of `seconds` compounded to 365 days, less one, x 10^18, rounded down.

    A whole loss is -10^18.
    """
    if growth <= 0:
        return -maths.SCALE
    ratio = _CONTEXT.divide(decimal.Decimal(growth.numerator), decimal.Decimal(growth.denominator))
    exponent = _CONTEXT.divide(decimal.Decimal(SECONDS_PER_YEAR), decimal.Decimal(seconds))
    compounded = _CONTEXT.power(ratio, exponent)
    return int(
        _CONTEXT.multiply(
            _CONTEXT.subtract(compounded, decimal.Decimal(1)), maths.SCALE
        ).to_integral_value(decimal.ROUND_FLOOR, _CONTEXT)
    )
