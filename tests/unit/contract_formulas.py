"""The contract's `modify_position` once more, written from its formulas with exact fractions.

Nothing here comes from the code under test: `Fraction`, `floor` and `ceil` alone, one branch a
rule of `common.cairo`, `pool.cairo` (V2), `singleton.cairo` and `position_hooks.cairo` (V1).
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

ONE = 10**18


@dataclasses.dataclass
class Asset:
    shares: int
    nominal: int
    reserve: int
    accumulator: int
    scale: int
    price: int
    floor: int
    max_utilization: int
    is_valid: bool = True

    def debt(self, nominal: int) -> Fraction:
        return Fraction(nominal * self.accumulator * self.scale, ONE * ONE)

    def worth(self, shares: int) -> int:
        if not self.shares:
            return math.floor(Fraction(shares * self.scale, ONE))
        return math.floor(
            Fraction(shares) * (self.reserve + math.floor(self.debt(self.nominal))) / self.shares
        )

    def utilization(self) -> int:
        owed = math.floor(self.debt(self.nominal))
        total = self.reserve + owed
        return math.floor(Fraction(owed * ONE, total)) if total else 0


@dataclasses.dataclass
class Pool:
    """One position and its two assets; `is_v2` and `rounds_debt_down` tell the generation."""

    collateral: Asset
    debt: Asset
    held: int
    owed: int
    pair_nominal: int
    max_ltv: int
    debt_cap: int
    is_v2: bool
    rounds_debt_down: bool

    def copy(self) -> Pool:
        return dataclasses.replace(
            self,
            collateral=dataclasses.replace(self.collateral),
            debt=dataclasses.replace(self.debt),
        )

    def collateral_usd(self) -> int:
        side = self.collateral
        return math.floor(Fraction(side.worth(self.held) * side.price, side.scale))

    def debt_usd(self) -> int:
        value = Fraction(math.ceil(self.debt.debt(self.owed)) * self.debt.price, self.debt.scale)
        return math.floor(value) if self.rounds_debt_down else math.ceil(value)

    def supply(self, amount: int) -> int:
        """The shares that `amount` brings, as written into the position."""
        side = self.collateral
        is_first = not side.shares
        total = side.reserve + math.ceil(side.debt(side.nominal))
        rate = Fraction(ONE, side.scale) if is_first or not total else Fraction(side.shares, total)
        shares = math.floor(amount * rate)
        side.shares, side.reserve = side.shares + shares, side.reserve + amount
        self.held += shares - (1_000 if is_first and not self.is_v2 else 0)
        return shares

    def withdraw(self, amount: int) -> int:
        """The units that leave when `amount` is asked for."""
        side = self.collateral
        total = side.reserve + math.floor(side.debt(side.nominal))
        rate = Fraction(side.shares, total) if total and side.shares else Fraction(ONE, side.scale)
        shares = math.ceil(amount * rate)
        if shares > self.held:
            shares, amount = self.held, side.worth(self.held)
        self.held -= shares
        side.shares, side.reserve = side.shares - shares, side.reserve - amount
        if not self.is_v2 and side.shares <= 1_000:
            side.shares = 0
        return amount

    def borrow(self, amount: int) -> None:
        nominal = math.ceil(Fraction(amount * ONE * ONE, self.debt.accumulator * self.debt.scale))
        self.owed += nominal
        self.pair_nominal += nominal
        self.debt.nominal, self.debt.reserve = (
            self.debt.nominal + nominal,
            self.debt.reserve - amount,
        )

    def repay(self, amount: int) -> int:
        """The units that are taken when `amount` is offered."""
        nominal = math.floor(Fraction(amount * ONE * ONE, self.debt.accumulator * self.debt.scale))
        if nominal > self.owed:
            nominal, amount = self.owed, math.ceil(self.debt.debt(self.owed))
        self.owed -= nominal
        self.pair_nominal -= nominal
        self.debt.nominal, self.debt.reserve = (
            self.debt.nominal - nominal,
            self.debt.reserve + amount,
        )
        return amount

    def liquidate(self, asked: int, factor: int, *, rounds_up: bool) -> tuple[int, int, int]:
        """(paid, seized, bad debt) of a liquidation, applied; `rounds_up` its bad debt (V1.1b)."""
        owed, held = math.ceil(self.debt.debt(self.owed)), self.collateral.worth(self.held)
        repaid = min(asked, owed)
        usd = math.floor(Fraction(repaid * self.debt.price, self.debt.scale))
        share = Fraction(math.floor(Fraction(usd * ONE, self.collateral.price)), factor)
        seized = min(math.floor(share * self.collateral.scale), held)
        covered, bad = math.floor(Fraction(self.collateral_usd() * factor, ONE)), 0
        short = self.debt_usd() - covered
        value = Fraction(repaid * self.debt.price, self.debt.scale)
        if short > 0:
            if covered < (math.floor(value) if self.rounds_debt_down else math.ceil(value)):
                bad, repaid = math.floor(Fraction(short * self.debt.scale, self.debt.price)), owed
            else:
                part = Fraction(repaid * short, covered)
                bad = math.ceil(part) if rounds_up else math.floor(part)
                repaid += bad
        seized, removed = self.withdraw(seized), self.repay(repaid)
        self.debt.reserve -= bad
        return removed - bad, seized, bad

    def broken(self, *, takes: bool, borrows: bool) -> set[str]:
        """All rules that the state breaks after collateral was taken, or debt was added."""
        rules = {
            "insufficient-reserve": self.collateral.reserve < 0 or self.debt.reserve < 0,
            "inflation-fee-gt-collateral-shares-delta": self.held < 0,
            "not-collateralized": (takes or borrows)
            and Fraction(self.debt_usd() * ONE) > self.collateral_usd() * self.max_ltv,
            "utilization-exceeded": (
                (takes and self.collateral.utilization() > self.collateral.max_utilization)
                or (borrows and self.debt.utilization() > self.debt.max_utilization)
            ),
            "dusty-collateral-balance": bool(self.owed)
            and self.collateral_usd() <= self.collateral.floor
            and (self.is_v2 or self.collateral_usd() > 0),
            "dusty-debt-balance": 0 < self.debt_usd() <= self.debt.floor,
            "debt-cap-exceeded": (self.is_v2 or borrows)
            and 0 < self.debt_cap < math.ceil(self.debt.debt(self.pair_nominal)),
        }
        is_valid = self.collateral.is_valid and self.debt.is_valid
        if self.is_v2:
            rules["invalid-oracle"] = not is_valid
        else:
            rules["in-recovery"] = not is_valid and (takes or borrows)
        return {name for name, is_broken in rules.items() if is_broken}
