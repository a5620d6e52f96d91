"""Invented users in the markets of devnet-a, with the contracts' exact maths.

The markets go on where the recording ends: their states are those of its fold. Interest accrues
with each asset's recorded rate model up to the time of each context, shares and nominal debt are
worth what the state says, so every context is the one that the fold predicts. Prices stand still.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import folding
from indexer.cairo import selector
from indexer.recording import lines
from indexer.vesu import accrual, maths, state

USERS = 5_000
SIZE_OF_CONFIG = 22
SUPPLIES = (10**14, 10**20)
"""The fewest and the most shares that a user supplies; one is 10^18."""
BORROWED = (100, 650)
"""What a user borrows of what the collateral is worth, in thousandths."""

Event = tuple[int, list[int], list[int]]
"""Emitter, keys and data."""


class Market:
    """A pair of a pool: its last prices, the vToken of its collateral, who lent and earns."""

    def __init__(self, pool: int, collateral: int, debt: int, v_token: int | None) -> None:
        self.pool, self.collateral, self.debt, self.v_token = pool, collateral, debt, v_token
        self.prices: list[int] = []
        self.lent: dict[int, tuple[int, int]] = {}
        self.earned: dict[int, int] = {}

    def price(self, side: int) -> int:
        """The last price of its collateral (0) or debt (1), x 10^18."""
        low, high, _ = self.prices[3 * side : 3 * side + 3]
        return low + (high << 128)


class Actors:
    """Invented users who open, close, deposit, withdraw and transfer, by a seeded dice."""

    def __init__(self, folder: Path, seed: int, users: int = USERS) -> None:
        self._dice = random.Random(seed)
        self._assets = dict(folding.folded(folder).world.assets)
        self.markets = _read_markets(folder)
        self._users = [self._dice.getrandbits(250) for _ in range(users)]

    def reseed(self, seed: int) -> None:
        """Go another way from here on."""
        self._dice.seed(seed)

    def asset(self, market: Market, asset: int) -> accrual.AssetState:
        """An asset's state after its last event."""
        return self._assets[state.AssetKey(state.v2_pool(market.pool), asset)]

    def transaction(self, timestamp: int) -> list[Event]:
        """Events of Vesu's contracts in one transaction, in the contracts' order."""
        market = self._dice.choice(self.markets)
        user = self._dice.choice(self._users)
        dice = self._dice.random()
        if market.v_token is None or dice < 0.5:
            return self._borrow(market, user, timestamp)
        if dice < 0.9 or not market.earned:
            return self._earn(market, market.v_token, user, timestamp)
        return self._transfer(market, market.v_token, user)

    def modify(
        self, market: Market, user: int, shares: int, nominal: int, timestamp: int
    ) -> list[Event]:
        """What a pool emits where a user supplies and borrows, or takes back and repays."""
        return self._move(market, user, shares, nominal, timestamp)[1]

    def donate(self, market: Market, asset: int, amount: int, timestamp: int) -> list[Event]:
        """What a pool emits where somebody gives raw units to an asset's reserve."""
        held = self._accrued(market, asset, timestamp)
        self._keep(market, asset, msgspec.structs.replace(held, reserve=held.reserve + amount))
        return [(market.pool, [selector.of("Donate"), asset], u256(amount))]

    def _borrow(self, market: Market, user: int, timestamp: int) -> list[Event]:
        """Open a position, or close the one that is open."""
        held = market.lent.get(user)
        if held is not None and self._can_leave(market, held[0], timestamp):
            del market.lent[user]
            return self.modify(market, user, -held[0], -held[1], timestamp)
        shares = self._dice.randrange(*SUPPLIES)
        nominal = self._affordable(market, shares, timestamp)
        before = held or (0, 0)
        market.lent[user] = before[0] + shares, before[1] + nominal
        return self.modify(market, user, shares, nominal, timestamp)

    def _affordable(self, market: Market, shares: int, timestamp: int) -> int:
        """The nominal debt that a user takes on; 0 where half of the reserve is lent out."""
        collateral = self._accrued(market, market.collateral, timestamp)
        debt = self._accrued(market, market.debt, timestamp)
        part = self._dice.randrange(*BORROWED)
        price = market.price(1)
        if not price or not debt.scale or not collateral.scale:
            return 0
        units = accrual.collateral_of(shares, collateral)
        worth = maths.collateral_value(units, market.price(0), collateral.scale)
        nominal = worth * maths.SCALE * maths.SCALE * part // 1_000
        nominal //= price * debt.last_rate_accumulator
        owed = accrual.debt_of(nominal, debt)
        is_lent_out = debt.reserve - owed < debt.total_debt + owed
        return 0 if is_lent_out or not owed else nominal

    def _can_leave(self, market: Market, shares: int, timestamp: int) -> bool:
        """Whether the reserve holds what so many shares are worth."""
        held = self._accrued(market, market.collateral, timestamp)
        return accrual.collateral_of(shares, held) <= held.reserve

    def _earn(self, market: Market, v_token: int, user: int, timestamp: int) -> list[Event]:
        """Deposit, or withdraw what was deposited."""
        held = market.earned.get(user, 0)
        if held and self._can_leave(market, held, timestamp):
            del market.earned[user]
            delta, (sender, recipient) = -held, (user, 0)
            keys = [selector.of("Withdraw"), user, user, user]
        else:
            delta, (sender, recipient) = self._dice.randrange(*SUPPLIES), (0, user)
            market.earned[user] = held + delta
            keys = [selector.of("Deposit"), user, user]
        assets, moved = self._move(market, v_token, delta, 0, timestamp)
        return [
            *moved,
            _moved(v_token, sender, recipient, abs(delta)),
            (v_token, keys, [*u256(abs(assets)), *u256(abs(delta))]),
        ]

    def _transfer(self, market: Market, v_token: int, user: int) -> list[Event]:
        sender = self._dice.choice(list(itertools.islice(market.earned, 50)))
        value = market.earned.pop(sender)
        market.earned[user] = market.earned.get(user, 0) + value
        return [_moved(v_token, sender, user, value)]

    def _move(
        self, market: Market, user: int, shares: int, nominal: int, timestamp: int
    ) -> tuple[int, list[Event]]:
        """(raw units of collateral, events) of a change of a position.

        Rounded as the contract does: what comes in up, what goes out down.
        """
        collateral = self._accrued(market, market.collateral, timestamp)
        assets = _units_of(shares, collateral)
        self._keep(
            market,
            market.collateral,
            msgspec.structs.replace(
                collateral,
                total_collateral_shares=collateral.total_collateral_shares + shares,
                reserve=collateral.reserve + assets,
            ),
        )
        debt = self._accrued(market, market.debt, timestamp)
        owed = _debt_of(nominal, debt)
        self._keep(
            market,
            market.debt,
            msgspec.structs.replace(
                debt,
                total_nominal_debt=debt.total_nominal_debt + nominal,
                reserve=debt.reserve - owed,
            ),
        )
        sides = [self.asset(market, one) for one in (market.collateral, market.debt)]
        pair = [market.collateral, market.debt]
        deltas = [felt for delta in (assets, shares, owed, nominal) for felt in _i257(delta)]
        told = [*_config(sides[0]), *_config(sides[1]), *market.prices]
        return assets, [
            (market.pool, [selector.of("UpdateContext"), *pair], told),
            (market.pool, [selector.of("ModifyPosition"), *pair, user], deltas),
        ]

    def _accrued(self, market: Market, asset: int, timestamp: int) -> accrual.AssetState:
        return accrual.accrue(self.asset(market, asset), timestamp)

    def _keep(self, market: Market, asset: int, held: accrual.AssetState) -> None:
        self._assets[state.AssetKey(state.v2_pool(market.pool), asset)] = held


def _read_markets(folder: Path) -> list[Market]:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    v_tokens = {
        tuple(int(one[name], 16) for name in ("pool", "asset", "debt_asset")): int(
            one["address"], 16
        )
        for one in manifest["v_tokens"]
    }
    pools = {int(pool["address"], 16) for pool in manifest["pools"].values()}
    found: dict[tuple[int, int, int], Market] = {}
    for event in lines.Lines(folder, "events").decoded(dict[str, Any]):
        keys = [int(key, 16) for key in event["keys"]]
        emitter = int(event["from_address"], 16)
        if emitter not in pools or keys[0] != selector.of("UpdateContext"):
            continue
        key = (emitter, keys[1], keys[2])
        market = found.setdefault(key, Market(*key, v_tokens.get(key)))
        market.prices = [int(felt, 16) for felt in event["data"][2 * SIZE_OF_CONFIG :]]
    return list(found.values())


def _units_of(shares: int, held: accrual.AssetState) -> int:
    """Raw units that a supply (or, below 0, a withdrawal) of so many shares moves."""
    if shares <= 0:
        return -accrual.collateral_of(-shares, held)
    owed = accrual.debt_of(held.total_nominal_debt, held)
    total = held.total_collateral_shares
    return maths.calculate_collateral(shares, held.reserve, owed, total, up=True)


def _debt_of(nominal: int, held: accrual.AssetState) -> int:
    """Raw units that a loan (or, below 0, a repayment) of so much nominal debt moves."""
    if nominal <= 0:
        return -accrual.debt_of(-nominal, held)
    return maths.calculate_debt(nominal, held.last_rate_accumulator, held.scale, up=False)


def _config(held: accrual.AssetState) -> list[int]:
    """V2's AssetConfig in felts."""
    return [
        *u256(held.total_collateral_shares),
        *u256(held.total_nominal_debt),
        *u256(held.reserve),
        *u256(held.max_utilization),
        *u256(held.floor),
        *u256(held.scale),
        int(held.is_legacy),
        held.last_updated,
        *u256(held.last_rate_accumulator),
        *u256(held.last_full_utilization_rate),
        *u256(held.fee_rate),
        *u256(held.fee_shares),
    ]


def _moved(v_token: int, sender: int, recipient: int, value: int) -> Event:
    return v_token, [selector.of("Transfer"), sender, recipient], u256(value)


def u256(*values: int) -> list[int]:
    """Each value's low and high half; ValueError for a value that no u256 holds."""
    for value in values:
        if not 0 <= value < maths.U256_LIMIT:
            raise ValueError(f"{value} is no u256")
    return [half for value in values for half in (value & (2**128 - 1), value >> 128)]


def _i257(value: int) -> list[int]:
    return [*u256(abs(value)), int(value < 0)]
