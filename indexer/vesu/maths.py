"""Vesu V2's integer maths, bit for bit.

Every function mirrors the pool contract's u256 arithmetic: all values are non-negative
integers, division floors unless a name or flag says up. Source of the formulas: the public
Cairo source of Vesu V2 (`common.cairo`, `interest_rate_model.cairo`), proved against the
contract's own answers in the recorded chains.

Units: SCALE = 10^18 is one. Shares, nominal debt, accumulators, rates (per second) and
prices (USD) are scaled by SCALE; asset amounts are raw token units; `scale` is 10^decimals.
"""

from __future__ import annotations

from typing import Protocol

SCALE = 10**18
UTILIZATION_SCALE = 10**5
"""The rate model counts utilisation in 1/100,000 (5 digits)."""


class RateModel(Protocol):
    """The interest-rate configuration of one asset (`InterestRateConfig`)."""

    @property
    def min_target_utilization(self) -> int: ...
    @property
    def max_target_utilization(self) -> int: ...
    @property
    def target_utilization(self) -> int: ...
    @property
    def min_full_utilization_rate(self) -> int: ...
    @property
    def max_full_utilization_rate(self) -> int: ...
    @property
    def zero_utilization_rate(self) -> int: ...
    @property
    def rate_half_life(self) -> int: ...
    @property
    def target_rate_percent(self) -> int: ...


def ceil_div(numerator: int, denominator: int) -> int:
    """The quotient, rounded up."""
    return -(-numerator // denominator)


def divide(numerator: int, denominator: int, up: bool) -> int:
    """The quotient, rounded up or down."""
    return ceil_div(numerator, denominator) if up else numerator // denominator


def pow_scale(base: int, exponent: int) -> int:
    """`base` (scaled) to an integer power, by squaring, floored after every product.

    Not equal to splitting the exponent: the sequence of accruals matters to the last digit.
    """
    if exponent == 0:
        return SCALE
    result = SCALE
    while exponent > 1:
        exponent, odd = divmod(exponent, 2)
        if odd:
            result = result * base // SCALE
        base = base * base // SCALE
    return result * base // SCALE


def calculate_debt(nominal_debt: int, rate_accumulator: int, scale: int, up: bool) -> int:
    """Asset units owed for a nominal debt: nominal x accumulator x scale / 10^36."""
    return divide(nominal_debt * rate_accumulator * scale, SCALE * SCALE, up)


def calculate_collateral(
    shares: int, reserve: int, total_debt: int, total_shares: int, up: bool = False
) -> int:
    """Asset units that `shares` are worth: shares x (reserve + total debt) / total shares.

    `total_debt` is rounded the same way as the result. The contract reverts where there are
    no shares at all; here that is worth 0.
    """
    if total_shares == 0:
        return 0
    return divide(shares * (reserve + total_debt), total_shares, up)


def utilization(reserve: int, total_debt: int) -> int:
    """Share of the assets that is lent out, scaled by SCALE; debt rounded down; 0 if empty."""
    total = reserve + total_debt
    return total_debt * SCALE // total if total else 0


def full_utilization_rate(model: RateModel, elapsed: int, used: int, previous: int) -> int:
    """The rate at full utilisation after `elapsed` seconds at utilisation `used` (1/10^5)."""
    half_life = model.rate_half_life * SCALE
    low, high = model.min_target_utilization, model.max_target_utilization
    if used < low:
        delta = (low - used) * SCALE // low
        rate = previous * half_life // (half_life + delta * elapsed)
    elif used > high:
        delta = (used - high) * SCALE // (UTILIZATION_SCALE - high)
        rate = previous * (half_life + delta * elapsed) // half_life
    else:
        rate = previous
    return min(max(rate, model.min_full_utilization_rate), model.max_full_utilization_rate)


def interest_rate(
    model: RateModel, utilization_scaled: int, elapsed: int, previous_full_rate: int
) -> tuple[int, int]:
    """(interest rate per second, new full-utilisation rate), both scaled by SCALE."""
    used = utilization_scaled // (SCALE // UTILIZATION_SCALE)
    full = full_utilization_rate(model, elapsed, used, previous_full_rate)
    zero, target = model.zero_utilization_rate, model.target_utilization
    target_rate = (full - zero) * model.target_rate_percent // SCALE + zero
    if used < target:
        return zero + used * (target_rate - zero) // target, full
    above = (used - target) * (full - target_rate)
    return target_rate + above // (UTILIZATION_SCALE - target), full


def rate_accumulator(previous: int, rate: int, elapsed: int) -> int:
    """The accumulator after `elapsed` seconds at `rate` per second, compounded."""
    return previous * pow_scale(SCALE + rate, elapsed) // SCALE


def fee_shares(
    *,
    total_nominal_debt: int,
    total_shares: int,
    reserve: int,
    old_accumulator: int,
    new_accumulator: int,
    scale: int,
    fee_rate: int,
) -> int:
    """Shares that the accrued interest mints for the fee recipient (V2: debts rounded up)."""
    interest = calculate_debt(total_nominal_debt, new_accumulator - old_accumulator, scale, up=True)
    fee = interest * fee_rate // SCALE
    total = reserve + calculate_debt(total_nominal_debt, old_accumulator, scale, up=True)
    denominator = total + interest - fee
    return fee * total_shares // denominator if denominator else 0


def collateral_value(amount: int, price: int, scale: int) -> int:
    """USD (scaled by SCALE) of `amount` raw units, rounded down."""
    return amount * price // scale


def debt_value(amount: int, price: int, scale: int) -> int:
    """USD (scaled by SCALE) of `amount` raw units, rounded up (V1.1b and V2)."""
    return ceil_div(amount * price, scale)


def is_collateralized(collateral_usd: int, debt_usd: int, max_ltv: int) -> bool:
    """Whether the contract sees the position within its limit (no liquidation allowed)."""
    return collateral_usd * max_ltv >= debt_usd * SCALE
