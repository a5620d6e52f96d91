"""What a V2 pool's views answer at a time, written once more from the contract's formulas.

Nothing here comes from the code under test: plain integers, one function a function of
`common.cairo`, `interest_rate_model.cairo` and `pool.cairo`, in the order in which they compute.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

ONE = 10**18
LIMB = 2**128
FIVE_DIGITS = 10**5
"""The rate model's utilisation: five digits."""


def u256s(felts: Sequence[int]) -> list[int]:
    """Pairs of limbs, the low one first."""
    return [low + high * LIMB for low, high in zip(felts[::2], felts[1::2], strict=True)]


def limbs(*values: int) -> list[int]:
    """Each value's low and high half."""
    return [limb for value in values for limb in (value % LIMB, value // LIMB)]


def _up(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    return quotient + (rest > 0)


def power(base: int, exponent: int) -> int:
    """`pow_scale`: by squaring, the lowest bit first, cut off after every product."""
    odd = ONE
    while exponent > 1:
        if exponent % 2:
            odd = odd * base // ONE
        base, exponent = base * base // ONE, exponent // 2
    return odd * base // ONE if exponent else odd


@dataclasses.dataclass(frozen=True)
class RateModel:
    """`InterestRateConfig`, in the contract's order."""

    lowest_target: int
    highest_target: int
    target: int
    lowest_full_rate: int
    highest_full_rate: int
    zero_rate: int
    half_life: int
    target_percent: int

    @staticmethod
    def of(felts: Sequence[int]) -> RateModel:
        """As `interest_rate_config` answers it."""
        return RateModel(*u256s(felts))

    def next_full_rate(self, full: int, used: int, seconds: int) -> int:
        """The rate of a market that is wholly lent out moves away from its target."""
        slowness = self.half_life * ONE
        if used < self.lowest_target:
            short = (self.lowest_target - used) * ONE // self.lowest_target
            full = full * slowness // (slowness + short * seconds)
        if used > self.highest_target:
            over = (used - self.highest_target) * ONE // (FIVE_DIGITS - self.highest_target)
            full = full * (slowness + over * seconds) // slowness
        return min(max(full, self.lowest_full_rate), self.highest_full_rate)

    def rate(self, full: int, used: int) -> int:
        """Per second: two straight lines that meet at the target."""
        at_target = self.zero_rate + (full - self.zero_rate) * self.target_percent // ONE
        if used < self.target:
            return self.zero_rate + used * (at_target - self.zero_rate) // self.target
        above, left = used - self.target, FIVE_DIGITS - self.target
        return at_target + above * (full - at_target) // left


@dataclasses.dataclass(frozen=True)
class Market:
    """`AssetConfig` of V2, in the contract's order."""

    shares: int
    nominal: int
    reserve: int
    max_utilization: int
    floor: int
    scale: int
    is_legacy: int
    last_updated: int
    accumulator: int
    full_rate: int
    fee_rate: int
    fee_shares: int

    @staticmethod
    def of(felts: Sequence[int]) -> Market:
        """As `asset_config` answers it."""
        values = [*u256s(felts[:12]), *felts[12:14], *u256s(felts[14:])]
        return Market(*values)

    @property
    def felts(self) -> list[int]:
        """As `asset_config` answers it."""
        values = list(dataclasses.astuple(self))
        return [*limbs(*values[:6]), *values[6:8], *limbs(*values[8:])]

    def debt(self, nominal: int, *, up: bool, accumulator: int | None = None) -> int:
        """Raw units of a nominal debt."""
        rate = self.accumulator if accumulator is None else accumulator
        product = nominal * rate * self.scale
        return _up(product, ONE * ONE) if up else product // (ONE * ONE)

    def worth(self, shares: int, *, up: bool) -> int:
        """Raw units of so many shares; the pool's debt is rounded the same way."""
        product = shares * (self.reserve + self.debt(self.nominal, up=up))
        return _up(product, self.shares) if up else product // self.shares

    def accrued(self, model: RateModel, now: int) -> Market:
        """What the next action at this time finds: interest since the last one, and its fee."""
        seconds = now - self.last_updated
        if not seconds:
            return self
        owed = self.debt(self.nominal, up=False)
        total = self.reserve + owed
        used = (owed * ONE // total if total else 0) * FIVE_DIGITS // ONE
        full = model.next_full_rate(self.full_rate, used, seconds)
        accumulator = self.accumulator * power(ONE + model.rate(full, used), seconds) // ONE
        interest = self.debt(self.nominal, up=True, accumulator=accumulator - self.accumulator)
        fee = interest * self.fee_rate // ONE
        worth = self.reserve + self.debt(self.nominal, up=True) + interest - fee
        minted = fee * self.shares // worth if worth else 0
        return dataclasses.replace(
            self,
            shares=self.shares + minted,
            last_updated=now,
            accumulator=accumulator,
            full_rate=full,
            fee_shares=self.fee_shares + minted,
        )

    def supplied(self, shares: int) -> Market:
        """After somebody supplied so many shares, or took them out (below 0).

        What comes in is rounded up, what leaves down.
        """
        moved = self.worth(abs(shares), up=shares > 0)
        moved = moved if shares > 0 else -moved
        return dataclasses.replace(self, shares=self.shares + shares, reserve=self.reserve + moved)

    def borrowed(self, nominal: int) -> Market:
        """After somebody took on so much nominal debt, or paid it back (below 0)."""
        moved = self.debt(abs(nominal), up=nominal < 0)
        moved = moved if nominal > 0 else -moved
        return dataclasses.replace(
            self, nominal=self.nominal + nominal, reserve=self.reserve - moved
        )


def position(collateral: Market, debt: Market, shares: int, nominal: int) -> Iterator[int]:
    """The four numbers of `position`, of accrued markets."""
    yield from (shares, nominal)
    yield collateral.worth(shares, up=False)
    yield debt.debt(nominal, up=True)


def collateralization(
    collateral: Market, debt: Market, held: int, owed: int, prices: Sequence[int], max_ltv: int
) -> list[int]:
    """`check_collateralization`: whether the limit holds, and what both sides are worth in USD.

    `held` and `owed` are raw units.
    """
    value = held * prices[0] // collateral.scale
    owing = _up(owed * prices[1], debt.scale)
    return [int(value * max_ltv >= owing * ONE), *limbs(value, owing)]
