"""What the operations of a V1 recording should have left in our tables.

`operations.jsonl` says what tokens really moved, worked out from their own transfers. Where no
token moves (a position given to somebody, or taken over by V1.1) the sign alone is known.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any, NamedTuple

from indexer.cairo import selector
from indexer.projections import rows
from indexer.vesu import maths
from tests.acceptance import truth_v1

MIGRATE_POSITION = hex(selector.of("MigratePosition"))


class Effect(NamedTuple):
    """A row of vesu_transactions with the singleton of its position.

    `amount` in raw units, or None where the sign alone is known.
    """

    singleton: str
    transaction_hash: str
    type: str
    user: str
    asset: str
    sign: int
    amount: int | None

    @property
    def without_amount(self) -> Effect:
        return self._replace(amount=None)


def effect(
    singleton: int, tx_hash: str, type_: str, user: int, asset: int, sign: int, amount: int | None
) -> Effect:
    """An effect in the texts of the tables."""
    return Effect(
        rows.padded(singleton),
        rows.padded(int(tx_hash, 16)),
        type_,
        rows.padded(user),
        rows.padded(asset),
        sign,
        None if amount is None else sign * amount,
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
            {one: count for one, count in self.effects.items() if one.amount is not None}
        )
        signs = self.effects - exact
        missing, left = exact - ours, ours - exact
        extra: collections.Counter[Effect] = collections.Counter()
        for one, count in left.items():
            extra[one.without_amount] += count
        return missing + (signs - extra), extra - signs

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
        amount: int | None,
    ) -> Effect:
        singleton, holder, moved = (int(operation[key], 16) for key in ("singleton", user, asset))
        return effect(singleton, operation["tx_hash"], type_, holder, moved, sign, amount)

    def _liquidation(self, operation: dict[str, Any]) -> Iterator[Effect]:
        seized, in_shares = operation["collateral_assets"], not operation["collateral_assets"]
        if in_shares:
            seized = self._seized_as_shares(operation)
            yield self._at(operation, "transfer", "liquidator", "collateral_asset", 1, None)
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
        for user, collateral, debt, sign in sides:
            if int(operation[user], 16) in self._nobody or (operation.get("unwrap") and sign < 0):
                continue
            if operation["collateral_asset"] == operation["to_collateral_asset"]:
                yield self._at(operation, "transfer", user, collateral, sign, None)
            if operation["debt_asset"] == operation["to_debt_asset"] != "0x0":
                yield self._at(operation, "transfer", user, debt, sign, None)
        v_token = operation | {"v_token": hex(self._v_token(operation))}
        for key, sign in (("v_token_minted", 1), ("v_token_burned", -1)):
            if operation[key]:
                yield self._at(v_token, "transfer", "user", "v_token", sign, operation[key])

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
            for asset, moved in ((collateral, shares), (debt, nominal)):
                for singleton, user, sign in ((before, sender, -1), (after, recipient, 1)):
                    if moved and user not in self._nobody:
                        assert singleton is not None
                        yield effect(singleton, tx_hash, "transfer", user, asset, sign, None)


def _text(short: str) -> int:
    return int.from_bytes(short.encode())
