"""Why a Vesu contract refuses an action, in the contract's own words.

A value is the text that the transaction reverts with. Where one generation only panics
(`u256_sub Overflow`), the member is the reason that a later generation names.
"""

from __future__ import annotations

import enum


class Refusal(enum.StrEnum):
    """One reason for which a contract reverts."""

    PAUSED = "contract-paused"
    FROZEN = "not-allowed"
    INSUFFICIENT_RESERVE = "insufficient-reserve"
    INSUFFICIENT_BALANCE = "ERC20: insufficient balance"
    INFLATION_FEE = "inflation-fee-gt-collateral-shares-delta"
    STORAGE_OVERFLOW = "pack-overflow"
    OVERFLOW = "u256_mul Overflow"
    ZERO_COLLATERAL = "zero-collateral"
    ZERO_DEBT = "zero-debt"
    DUSTY_COLLATERAL = "dusty-collateral-balance"
    DUSTY_DEBT = "dusty-debt-balance"
    NOT_COLLATERALIZED = "not-collateralized"
    UTILIZATION = "utilization-exceeded"
    DEBT_CAP = "debt-cap-exceeded"
    INVALID_ORACLE = "invalid-oracle"
    UNSAFE_ACCUMULATOR = "unsafe-rate-accumulator"
    IN_RECOVERY = "in-recovery"
    IN_SUBSCRIPTION = "in-subscription"
    IN_REDEMPTION = "in-redemption"
    NON_ZERO_DEBT = "non-zero-debt"
    EMERGENCY = "emergency-mode"
    NOT_UNDERCOLLATERALIZED = "not-undercollateralized"
    LESS_THAN_MIN_COLLATERAL = "less-than-min-collateral"
    REPAY_TOO_SMALL = "repay-too-small"


class ShutdownMode(enum.IntEnum):
    """How far the shutdown of a V1 pool has gone. V2 has no such thing and stays at NONE."""

    NONE = 0
    RECOVERY = 1
    SUBSCRIPTION = 2
    REDEMPTION = 3
