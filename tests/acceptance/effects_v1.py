"""What the operations of a V1 recording should have left in our tables.

`operations.jsonl` says what tokens really moved, worked out from their own transfers. Where no
token moves (a position given to somebody, or taken over by V1.1), V1.1's event tells the amounts;
else the positions' own views tell the shares and the nominal debt, and the market's view what they
are worth: to one raw unit, since what else the block did may turn its rounding.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from indexer.cairo import selector
from indexer.projections import rows
from indexer.vesu import maths
from tests.acceptance import truth_v1

TRANSFER_POSITION = hex(selector.of("TransferPosition"))
MIGRATE_POSITION = hex(selector.of("MigratePosition"))


class Effect(NamedTuple):
    """A row of vesu_transactions with the singleton of its position.

    `amount` in raw units, rounded to within `NEAR` of it where `is_near`.
    """

    singleton: str
    transaction_hash: str
    type: str
    user: str
    asset: str
    sign: int
    amount: int
    is_near: bool = False

    @property
    def without_amount(self) -> Effect:
        return self._replace(amount=0, is_near=False)


NEAR = 1
"""Raw units."""


class Worth(NamedTuple):
    """An amount that a view's rounding gives."""

    amount: int


def effect(
    singleton: int,
    tx_hash: str,
    type_: str,
    user: int,
    asset: int,
    sign: int,
    amount: int | Worth,
) -> Effect:
    """An effect in the texts of the tables."""
    return Effect(
        rows.padded(singleton),
        rows.padded(int(tx_hash, 16)),
        type_,
        rows.padded(user),
        rows.padded(asset),
        sign,
        sign * (amount.amount if isinstance(amount, Worth) else amount),
        isinstance(amount, Worth),
    )


class Expected:
    """All effects of a recording's operations, and its liquidations."""

    def __init__(self, recorded: truth_v1.RecordedV1) -> None:
        self.recorded = recorded
        self.effects: collections.Counter[Effect] = collections.Counter()
        self.liquidations: list[tuple[str, str, str, int, int, int]] = []
        self._nobody = {0, *map(_text, ("ZERO", "0x0")), *recorded.contracts}
        for operation in recorded.operations:
            if not operation["reverted"]:
                self.effects.update(self._of(operation))
        self.effects.update(self._migrations())

    def missing_and_extra(
        self, found: list[Effect]
    ) -> tuple[collections.Counter[Effect], collections.Counter[Effect]]:
        """Effects that no row shows, and rows that no operation explains."""
        ours = collections.Counter(found)
        exact = collections.Counter(
            {one: count for one, count in self.effects.items() if not one.is_near}
        )
        missing, extra = exact - ours, ours - exact
        for one in (self.effects - exact).elements():
            matching = [row for row in extra if _is_near(row, one)]
            if matching:
                extra -= collections.Counter(matching[:1])
            else:
                missing[one] += 1
        return missing, extra

    def _of(self, operation: dict[str, Any]) -> Iterator[Effect]:
        kind = operation["op"]
        amount = operation["assets"] or 0
        if kind in ("supply", "withdraw") and amount:
            sign = 1 if kind == "supply" else -1
            yield self._at(operation, kind, "user", "collateral_asset", sign, amount)
        elif kind in ("borrow", "repay") and amount:
            sign = 1 if kind == "borrow" else -1
            yield self._at(operation, kind, "user", "debt_asset", sign, amount)
        elif kind == "liquidation":
            yield from self._liquidation(operation)
        elif kind == "transfer":
            yield self._at(operation, kind, "user", "v_token", -1, operation["shares"])
            yield self._at(operation, kind, "to", "v_token", 1, operation["shares"])
        elif kind == "migrate_v_token":
            before = self.recorded.address("singleton_v10")
            gone = operation | {"singleton": hex(before or 0), "v_token": operation["from_v_token"]}
            yield self._at(gone, "transfer", "user", "v_token", -1, operation["shares"])
            yield self._at(operation, "transfer", "user", "v_token", 1, operation["shares"])
        elif kind == "transfer_position":
            yield from self._position_transfer(operation)

    def _at(
        self,
        operation: dict[str, Any],
        type_: str,
        user: str,
        asset: str,
        sign: int,
        amount: int | Worth,
    ) -> Effect:
        singleton, holder, moved = (int(operation[key], 16) for key in ("singleton", user, asset))
        return effect(singleton, operation["tx_hash"], type_, holder, moved, sign, amount)

    def _liquidation(self, operation: dict[str, Any]) -> Iterator[Effect]:
        seized, in_shares = operation["collateral_assets"], not operation["collateral_assets"]
        if in_shares:
            seized = self._seized_as_shares(operation)
            kept = Worth(seized)  # added again, and rounded up
            yield self._at(operation, "transfer", "liquidator", "collateral_asset", 1, kept)
        yield self._at(operation, "liquidation", "user", "collateral_asset", -1, seized)
        yield self._at(
            operation, "liquidation", "user", "debt_asset", -1, operation["debt_removed"]
        )
        self.liquidations.append(
            (
                rows.padded(int(operation["tx_hash"], 16)),
                rows.padded(int(operation["user"], 16)),
                rows.padded(int(operation["liquidator"], 16)),
                seized,
                operation["assets"],
                operation["bad_debt"],
            )
        )

    def _seized_as_shares(self, operation: dict[str, Any]) -> int:
        """V1.0: no token moves and the event says zero; the contract's formula says how much.

        (debt paid in USD) / (collateral's price) / (liquidation factor), rounded down each time;
        it is less than what the position has, for it has no bad debt.
        """
        assert not operation["bad_debt"]
        block, pool = operation["block_number"], int(operation["pool"], 16)
        singleton = int(operation["singleton"], 16)
        collateral, debt = (int(operation[key], 16) for key in ("collateral_asset", "debt_asset"))
        prices = self.recorded.prices
        pays = prices[singleton, pool, debt, block].value
        gets = prices[singleton, pool, collateral, block].value
        (factor,) = {
            one.value.liquidation_factor
            for one in self.recorded.answered("liquidation_config")
            if one.block == block
            and tuple(one.arguments.values()) == (pool, collateral, debt)
            and self.recorded.singleton_of(one.contract) == singleton
        }
        scale = self._scale(singleton, pool)
        paid: int = operation["assets"]
        usd = paid * pays // scale[debt]
        worth = usd * maths.SCALE // gets * scale[collateral] // maths.SCALE
        seized: int = worth * maths.SCALE // factor
        return seized

    def _scale(self, singleton: int, pool: int) -> dict[int, int]:
        return {
            one.arguments["asset"]: one.value.config.scale
            for one in self.recorded.answered("asset_config")
            if (one.contract, one.arguments["pool_id"]) == (singleton, pool)
        }

    def _position_transfer(self, operation: dict[str, Any]) -> Iterator[Effect]:
        """Collateral moves between positions with the same one, debt likewise."""
        sides = (
            ("user", "collateral_asset", "debt_asset", -1),
            ("to", "to_collateral_asset", "to_debt_asset", 1),
        )
        moved = self._told(operation) or self._worked_out(operation)
        for user, collateral, debt, sign in sides:
            if int(operation[user], 16) in self._nobody or (operation.get("unwrap") and sign < 0):
                continue
            if moved[0] and operation["collateral_asset"] == operation["to_collateral_asset"]:
                yield self._at(operation, "transfer", user, collateral, sign, moved[0])
            if moved[1] and operation["debt_asset"] == operation["to_debt_asset"] != "0x0":
                yield self._at(operation, "transfer", user, debt, sign, moved[1])
        v_token = operation | {"v_token": hex(self._v_token(operation))}
        for key, sign in (("v_token_minted", 1), ("v_token_burned", -1)):
            if operation[key]:
                yield self._at(v_token, "transfer", "user", "v_token", sign, operation[key])

    def _told(self, operation: dict[str, Any]) -> tuple[int, int] | None:
        """(collateral, debt) that V1.1's event says; V1.0's has no data."""
        (raw,) = (
            raw
            for raw in self.recorded.events
            if raw["transaction_hash"] == operation["tx_hash"]
            and raw["keys"][0] == TRANSFER_POSITION
        )
        felts = [int(felt, 16) for felt in raw["data"]]
        if not felts:
            return None
        assert felts[2] == 1 or not felts[0], "what the giver loses is negative"
        return felts[0] + (felts[1] << 128), felts[6] + (felts[7] << 128)

    def _worked_out(self, operation: dict[str, Any]) -> tuple[Worth | None, Worth | None]:
        """(collateral, debt) that V1.0's views show: what one side has more, and is worth."""
        minted = operation["v_token_minted"] or operation["v_token_burned"]
        shares, nominal = (minted, 0) if minted else self._gained(operation)
        block, pool = operation["block_number"], int(operation["pool"], 16)
        singleton = int(operation["singleton"], 16)
        return (
            self._collateral(singleton, pool, operation["collateral_asset"], block, shares),
            self._debt(singleton, pool, operation["debt_asset"], block, nominal),
        )

    def _gained(self, operation: dict[str, Any]) -> tuple[int, int]:
        """What the taker has after the block and had not before; the giver lost as much."""
        block, names = operation["block_number"], ("collateral_asset", "debt_asset")
        sides = [
            (*(int(operation[prefix + name], 16) for name in names), int(operation[user], 16))
            for prefix, user in (("", "user"), ("to_", "to"))
        ]
        changes = []
        for side in sides:
            after, before = (self._held(operation, side, one) for one in (block, block - 1))
            changes.append([one - other for one, other in zip(after, before, strict=True)])
        lost, gained = changes
        moved = [0, 0]
        for index, name in enumerate(names):
            if operation[name] == operation[f"to_{name}"]:
                assert gained[index] == -lost[index], "both sides' views tell the same"
                moved[index] = gained[index]
        return moved[0], moved[1]

    def _held(
        self, operation: dict[str, Any], side: tuple[int, ...], block: int
    ) -> tuple[int, int]:
        key = (int(operation["singleton"], 16), int(operation["pool"], 16), *side, block)
        return self._positions.get(key, (0, 0))

    @functools.cached_property
    def _positions(self) -> dict[tuple[int, ...], tuple[int, int]]:
        return {
            (one.contract, *one.arguments.values(), one.block): (
                one.value.position.collateral_shares,
                one.value.position.nominal_debt,
            )
            for one in self.recorded.answered("position_unsafe")
        }

    @functools.cached_property
    def _configs(self) -> dict[tuple[int, int, int, int], truth_v1.AssetConfig]:
        return {
            (one.contract, *one.arguments.values(), one.block): one.value.config
            for one in self.recorded.answered("asset_config_unsafe")
        }

    def _collateral(
        self, singleton: int, pool: int, asset: str, block: int, shares: int
    ) -> Worth | None:
        """shares x (reserve + debt) / total shares at the block's end, rounded down."""
        if not shares:
            return None
        market = self._configs[singleton, pool, int(asset, 16), block]
        owed = (
            market.total_nominal_debt
            * market.last_rate_accumulator
            * market.scale
            // maths.SCALE**2
        )
        return Worth(shares * (market.reserve + owed) // market.total_collateral_shares)

    def _debt(
        self, singleton: int, pool: int, asset: str, block: int, nominal: int
    ) -> Worth | None:
        """nominal debt x accumulator x scale / 10^36, rounded up."""
        if not nominal:
            return None
        market = self._configs[singleton, pool, int(asset, 16), block]
        owed = nominal * market.last_rate_accumulator * market.scale
        return Worth(-(-owed // maths.SCALE**2))

    def _v_token(self, operation: dict[str, Any]) -> int:
        place = tuple(int(operation[key], 16) for key in ("singleton", "pool", "collateral_asset"))
        return next(at for at, of in self.recorded.all_v_tokens.items() if of == place)

    def _migrations(self) -> Iterator[Effect]:
        """Positions that V1.1 took over with something in them: out of V1.0, into V1.1."""
        before = self.recorded.address("singleton_v10")
        for raw in self.recorded.events:
            if raw["keys"][0] != MIGRATE_POSITION:
                continue
            _, _, collateral, debt, sender, recipient = (int(key, 16) for key in raw["keys"])
            shares, nominal = (int(felt, 16) for felt in raw["data"][::2])
            after, tx_hash = int(raw["from_address"], 16), raw["transaction_hash"]
            block, pool = raw["block_number"], int(raw["keys"][1], 16)
            worth = (
                self._collateral(after, pool, hex(collateral), block, shares),
                self._debt(after, pool, hex(debt), block, nominal),
            )
            for asset, moved in zip((collateral, debt), worth, strict=True):
                for singleton, user, sign in ((before, sender, -1), (after, recipient, 1)):
                    if moved is not None and user not in self._nobody:
                        assert singleton is not None
                        yield effect(singleton, tx_hash, "transfer", user, asset, sign, moved)


def _text(short: str) -> int:
    return int.from_bytes(short.encode())


def _is_near(row: Effect, expected: Effect) -> bool:
    is_same = row.without_amount == expected.without_amount
    return is_same and abs(row.amount - expected.amount) <= NEAR
