"""What the recorded calls met and did, from our tables, the recorded views and the events."""

from __future__ import annotations

import collections
from typing import Any

import asyncpg
import msgspec

from indexer.store import database
from indexer.vesu import amounts, state
from indexer.vesu import market as market_module
from tests.acceptance import past_markets, recorded_calls, truth


class Stage:
    """A recording, its histories, and its position events by transaction."""

    def __init__(
        self,
        recorded: truth.Recorded,
        histories: past_markets.Histories,
        events: list[asyncpg.Record],
        silent: list[asyncpg.Record],
    ) -> None:
        self.recorded = recorded
        self.histories = histories
        self.rules = past_markets.Rules(recorded)
        self._silent = {
            (int(row["asset_address"], 16), *_place(row), row["event_index"]) for row in silent
        }
        self._contexts: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
        self._changes: dict[tuple[int, int], list[tuple[int, Any]]] = collections.defaultdict(list)
        for row in events:
            place = _place(row)
            if row["name"] == "UpdateContext":
                self._contexts[place].append(row["event_index"])
            else:
                self._changes[place].append((row["event_index"], row))

    @classmethod
    async def open(cls, recorded: truth.Recorded, url: str) -> Stage:
        """The stage of a database that a command filled from the recording."""
        connection = await database.connect(url)
        try:
            return await cls.read(recorded, connection)
        finally:
            await connection.close()

    @classmethod
    async def read(cls, recorded: truth.Recorded, connection: asyncpg.Connection) -> Stage:
        events = await connection.fetch(
            "SELECT block_number, transaction_index, event_index, name, args, from_address "
            "FROM events WHERE name IN ('UpdateContext', 'ModifyPosition', 'LiquidatePosition') "
            "ORDER BY block_number, transaction_index, event_index"
        )
        silent = await connection.fetch("SELECT * FROM accrual_mismatches")
        histories = await past_markets.Histories.read(connection)
        return cls(recorded, histories, events, silent)

    def change(
        self, call: recorded_calls.Sent, contexts: int = 1
    ) -> tuple[past_markets.Place, amounts.Deltas, int]:
        """Where the call's UpdateContext stands, what its event says, and the bad debt.

        Each event is taken once. `contexts` are there before it: the first is the position's own.
        """
        place = (call.block, call.transaction)
        changes = self._changes[place]
        at, row = next(one for one in changes if _is_of(call.position, one[1]))
        changes.remove((at, row))
        context = [index for index in self._contexts[place] if index < at][-contexts]
        told = msgspec.json.decode(row["args"])
        names = ("collateral_delta", "collateral_shares_delta", "debt_delta", "nominal_debt_delta")
        deltas = amounts.Deltas(*(int(told[name]) for name in names))
        return (*place, context), deltas, int(told.get("bad_debt", 0))

    def market(self, call: recorded_calls.Sent, place: past_markets.Place) -> market_module.Market:
        """What the call meets, at the prices that its own context tells (or those of the block)."""
        key = call.position
        found = past_markets.market_at(
            self.histories, key, place, self.recorded.timestamps[call.block]
        )
        prices = [
            self.rules.price(key.pool, asset, call.block)
            if call.is_reverted
            else self._told_price(key.pool, asset, place)
            for asset in (key.collateral, key.debt)
        ]
        return msgspec.structs.replace(
            self._with_silent_accruals(past_markets.priced(found, *prices), call, place),
            mode=self.rules.mode(key.pool, call.block),
            shutdown_ltv=self.histories.shutdown_ltv(self.recorded, key, place),
        )

    def market_at_end(self, key: state.PositionKey, block: int) -> market_module.Market:
        """A position and its pool at the end of a block, at the recorded prices."""
        end = (block + 1, 0, 0)
        found = past_markets.market_at(self.histories, key, end, self.recorded.timestamps[block])
        prices = [self.rules.price(key.pool, asset, block) for asset in (key.collateral, key.debt)]
        return msgspec.structs.replace(
            past_markets.priced(found, *prices),
            mode=self.rules.mode(key.pool, block),
            shutdown_ltv=self.histories.shutdown_ltv(self.recorded, key, end),
        )

    def compare_assets(
        self, key: state.PositionKey, after: market_module.Market, place: past_markets.Place
    ) -> None:
        """Both assets are as the contract's UpdateContext at a place tells them."""
        for asset, ours in ((key.collateral, after.collateral), (key.debt, after.debt)):
            if asset:
                told = self.histories.assets.at(state.AssetKey(key.pool, asset), place)
                for field in ("total_collateral_shares", "total_nominal_debt", "reserve"):
                    assert getattr(ours, field) == getattr(told, field), (place, field)

    def is_silent(self, call: recorded_calls.Sent, place: past_markets.Place) -> bool:
        """Whether V1 had moved an accumulator without an event, as the call's context showed."""
        assets = (call.position.collateral, call.position.debt)
        return any((asset, *place) in self._silent for asset in assets)

    def _with_silent_accruals(
        self, found: market_module.Market, call: recorded_calls.Sent, place: past_markets.Place
    ) -> market_module.Market:
        """V1 moved an accumulator without an event, and the table of mismatches says so here."""
        for side, asset in (("collateral", call.position.collateral), ("debt", call.position.debt)):
            if (asset, *place) in self._silent:
                key = state.AssetKey(call.position.pool, asset)
                told = self.histories.assets.at(key, place).last_rate_accumulator
                told_side = msgspec.structs.replace(
                    getattr(found, side), last_rate_accumulator=told
                )
                found = msgspec.structs.replace(found, **{side: told_side})
        return found

    def _told_price(
        self, pool: state.PoolKey, asset: int, place: past_markets.Place
    ) -> tuple[int, bool]:
        if not asset:
            return 0, True
        told = self.histories.assets.at(state.AssetKey(pool, asset), place)
        return told.price, told.price_is_valid


def _place(row: asyncpg.Record) -> tuple[int, int]:
    return row["block_number"], row["transaction_index"]


def _is_of(key: state.PositionKey, row: asyncpg.Record) -> bool:
    told = msgspec.json.decode(row["args"])
    pool = int(told.get("pool_id", row["from_address"]), 16)
    names = ("collateral_asset", "debt_asset", "user")
    return (pool, *(int(told[name], 16) for name in names)) == (
        key.pool.id,
        key.collateral,
        key.debt,
        key.user,
    )
