"""Vesu's integer maths, bit for bit, of every generation.

Every function mirrors the contracts' u256 arithmetic: all values are non-negative
integers, division floors unless a name or flag says up. Source of the formulas: the public
Cairo source of Vesu (`common.cairo`, `interest_rate_model.cairo` of each generation), proved
against the contracts' own answers in the recorded chains. Where generations differ, a
`Variant` says how.

Units: SCALE = 10^18 is one. Shares, nominal debt, accumulators, rates (per second) and
prices (USD) are scaled by SCALE; asset amounts are raw token units; `scale` is 10^decimals.
"""

from __future__ import annotations

import enum
from typing import Protocol

SCALE = 10**18
_SCALE_SQUARED = SCALE * SCALE
UTILIZATION_SCALE = 10**5
"""The rate model counts utilisation in 1/100,000 (5 digits)."""


U256_LIMIT = 1 << 256

OVERFLOW = "the contract's arithmetic overflows: its views revert"


class RevertedError(ArithmeticError):
    """The contract's u256 arithmetic would overflow here, and the call revert."""


def u256(value: int) -> int:
    """`value`, if a u256 holds it; RevertedError where the contract would overflow."""
    if not 0 <= value < U256_LIMIT:
        raise RevertedError(OVERFLOW)
    return value


class Variant(enum.StrEnum):
    """A generation of the maths; the value stands in the tables.

    V1.0 and the first class of V1.1 share one. `V1_1B` is the source of 2025-08-07, `V1_1C`
    the public fixes after it; which of them mainnet's class runs no public source tells.
    `FROZEN`: a V1.0 pool that moved to V1.1; its accumulators stand still.
    """

    V1_0 = "v1.0"
    V1_1B = "v1.1b"
    V1_1C = "v1.1c"
    V2 = "v2"
    FROZEN = "frozen"


ROUNDS_DEBT_VALUE_DOWN = frozenset({Variant.V1_0, Variant.FROZEN})
"""A debt's USD value is rounded down here, up everywhere else."""

FLAT_ABOVE_TARGET = frozenset({Variant.V1_0, Variant.V1_1B, Variant.FROZEN})
"""Above the target utilisation the rate hardly grows: the slope is divided by 10^18, not 10^5."""


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
    Every product is a u256: RevertedError beyond, as in the contract, so that no exponent takes
    longer than its bits.
    """
    if exponent == 0:
        return SCALE
    result = SCALE
    # A day takes 17 rounds, and every accrual is proved: nothing is called inside.
    if 0 <= (base - SCALE) * exponent <= SCALE:
        # As (1 + 1 / n)^n < e, no product reaches e^2 x 10^36, and none overflows.
        for bit in bin(exponent)[:2:-1]:
            if bit == "1":
                result = result * base // SCALE
            base = base * base // SCALE
        return result * base // SCALE
    while exponent > 1:
        if exponent & 1:
            result *= base
            if result >= U256_LIMIT:
                break
            result //= SCALE
        base *= base
        if base >= U256_LIMIT:
            break
        base //= SCALE
        exponent >>= 1
    else:
        return u256(result * base) // SCALE
    raise RevertedError(OVERFLOW)


def calculate_debt(nominal_debt: int, rate_accumulator: int, scale: int, up: bool) -> int:
    """Asset units owed for a nominal debt: nominal x accumulator x scale / 10^36."""
    scaled = nominal_debt * rate_accumulator * scale
    return u256(ceil_div(scaled, _SCALE_SQUARED) if up else scaled // _SCALE_SQUARED)


def calculate_collateral(
    shares: int, reserve: int, total_debt: int, total_shares: int, up: bool = False
) -> int:
    """Asset units that `shares` are worth: shares x (reserve + total debt) / total shares.

    `total_debt` is rounded the same way as the result. The contract reverts where there are
    no shares at all; here that is worth 0.
    """
    if total_shares == 0:
        return 0
    return u256(divide(shares * (reserve + total_debt), total_shares, up))


def utilization(reserve: int, total_debt: int) -> int:
    """Share of the assets that is lent out, scaled by SCALE; debt rounded down; 0 if empty."""
    total = reserve + total_debt
    return total_debt * SCALE // total if total else 0


def full_utilization_rate(model: RateModel, elapsed: int, used: int, previous: int) -> int:
    """The rate at full utilisation after `elapsed` seconds at utilisation `used` (1/10^5).

    Where the contract would divide by zero and panic (no half-life), the rate stays.
    """
    half_life = model.rate_half_life * SCALE
    low, high = model.min_target_utilization, model.max_target_utilization
    if not half_life:
        rate = previous
    elif used < low:
        delta = (low - used) * SCALE // low
        rate = previous * half_life // (half_life + delta * elapsed)
    elif used > high:
        delta = (used - high) * SCALE // (UTILIZATION_SCALE - high)
        rate = previous * (half_life + delta * elapsed) // half_life
    else:
        rate = previous
    lowest, highest = model.min_full_utilization_rate, model.max_full_utilization_rate
    if rate < lowest:
        rate = lowest
    return highest if rate > highest else rate


def interest_rate(
    model: RateModel,
    utilization_scaled: int,
    elapsed: int,
    previous_full_rate: int,
    variant: Variant = Variant.V2,
) -> tuple[int, int]:
    """(interest rate per second, new full-utilisation rate), both scaled by SCALE.

    Where the contract would divide by zero and panic (all lent out, and all is the target),
    the rate is the target's.
    """
    used = utilization_scaled // (SCALE // UTILIZATION_SCALE)
    full = full_utilization_rate(model, elapsed, used, previous_full_rate)
    zero, target = model.zero_utilization_rate, model.target_utilization
    target_rate = (full - zero) * model.target_rate_percent // SCALE + zero
    if used < target:
        return zero + used * (target_rate - zero) // target, full
    above = (used - target) * (full - target_rate)
    whole = SCALE if variant in FLAT_ABOVE_TARGET else UTILIZATION_SCALE
    if whole == target:
        return target_rate, full
    return target_rate + above // (whole - target), full


def rate_accumulator(previous: int, rate: int, elapsed: int) -> int:
    """The accumulator after `elapsed` seconds at `rate` per second, compounded."""
    return u256(previous * pow_scale(SCALE + rate, elapsed)) // SCALE


def calculate_collateral_shares(
    amount: int, reserve: int, total_debt: int, total_shares: int, scale: int
) -> int:
    """V1: shares that `amount` raw units are worth, rounded down; `total_debt` rounded up.

    Where there are none yet, one share is 10^-18 of a whole token.
    """
    total = reserve + total_debt
    if total == 0 or total_shares == 0:
        return amount * SCALE // scale if scale else 0
    return amount * total_shares // total


def fee_shares(
    *,
    total_nominal_debt: int,
    total_shares: int,
    reserve: int,
    old_accumulator: int,
    new_accumulator: int,
    scale: int,
    fee_rate: int,
    variant: Variant = Variant.V2,
) -> int:
    """Shares that the accrued interest mints for the fee recipient.

    V1.0: the fee's part of the interest's shares. Later: so many that they are worth the fee
    after they are minted; V1.1b rounds both debts down, V1.1c and V2 up.
    """
    gained = new_accumulator - old_accumulator
    if variant is Variant.V1_0:
        interest = calculate_debt(total_nominal_debt, gained, scale, up=False)
        owed = calculate_debt(total_nominal_debt, old_accumulator, scale, up=True)
        shares = calculate_collateral_shares(interest, reserve, owed, total_shares, scale)
        return shares * fee_rate // SCALE
    up = variant is not Variant.V1_1B
    interest = calculate_debt(total_nominal_debt, gained, scale, up)
    fee = interest * fee_rate // SCALE
    total = reserve + calculate_debt(total_nominal_debt, old_accumulator, scale, up)
    denominator = total + interest - fee
    return fee * total_shares // denominator if denominator else 0


def collateral_value(amount: int, price: int, scale: int) -> int:
    """USD (scaled by SCALE) of `amount` raw units, rounded down."""
    return u256(amount * price) // scale


def debt_value(amount: int, price: int, scale: int, variant: Variant = Variant.V2) -> int:
    """USD (scaled by SCALE) of `amount` raw units; rounded up, down in V1.0 and V1.1a."""
    return divide(u256(amount * price), scale, up=variant not in ROUNDS_DEBT_VALUE_DOWN)


def is_collateralized(collateral_usd: int, debt_usd: int, max_ltv: int) -> bool:
    """Whether the contract sees the position within its limit (no liquidation allowed)."""
    return collateral_usd * max_ltv >= debt_usd * SCALE
