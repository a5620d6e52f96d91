"""Every recorded change of a position, simulated: what passed passes with the same amounts.

The calls are what users sent, what they moved is what the tokens' own transfers say, and a
reverted one names the reason that the contract gave.
"""

from __future__ import annotations

import collections
from typing import Any

import asyncpg
import msgspec

from indexer.store import database
from indexer.vesu import amounts, market, quotes, refusals, state
from tests.acceptance import past_markets, recorded_calls, tables_v1, truth

OWNERSHIP = "no-delegation"
"""Whether a caller may act for an owner is not simulated."""


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
    async def read(cls, recorded: truth.Recorded, connection: asyncpg.Connection) -> Stage:
        events = await connection.fetch(
            "SELECT block_number, transaction_index, event_index, name, args, from_address "
            "FROM events WHERE name IN ('UpdateContext', 'ModifyPosition') "
            "ORDER BY block_number, transaction_index, event_index"
        )
        silent = await connection.fetch("SELECT * FROM accrual_mismatches")
        histories = await past_markets.Histories.read(connection)
        return cls(recorded, histories, events, silent)

    def change(self, call: recorded_calls.Call) -> tuple[past_markets.Place, amounts.Deltas]:
        """Where the call's UpdateContext stands, and what its ModifyPosition says; taken once."""
        place = (call.block, call.transaction)
        changes = self._changes[place]
        at, row = next(one for one in changes if _is_of(call.position, one[1]))
        changes.remove((at, row))
        context = max(index for index in self._contexts[place] if index < at)
        told = msgspec.json.decode(row["args"])
        names = ("collateral_delta", "collateral_shares_delta", "debt_delta", "nominal_debt_delta")
        return (*place, context), amounts.Deltas(*(int(told[name]) for name in names))

    def market(self, call: recorded_calls.Call, place: past_markets.Place) -> market.Market:
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

    def _with_silent_accruals(
        self, found: market.Market, call: recorded_calls.Call, place: past_markets.Place
    ) -> market.Market:
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


def simulate(found: market.Market, call: recorded_calls.Call) -> market.Outcome:
    return market.modify(
        found,
        call.amount_of(call.collateral, found.collateral_shares),
        call.amount_of(call.debt, found.nominal_debt),
    )


def compare(stage: Stage) -> collections.Counter[str]:
    """Simulate every call of a recording; how many passed, and were refused, by reason."""
    compared: collections.Counter[str] = collections.Counter()
    for call in recorded_calls.of(stage.recorded):
        if call.is_reverted:
            compared[compare_refused(stage, call)] += 1
        else:
            compare_allowed(stage, call)
            compared["allowed"] += 1
    print(dict(compared))
    return compared


def compare_allowed(stage: Stage, call: recorded_calls.Call) -> None:
    """Nothing refused, and the deltas and both assets as the contract's events say."""
    place, told = stage.change(call)
    found = stage.market(call, place)
    outcome = simulate(found, call)
    assert outcome.refusal is None, call.title
    assert outcome.moved == told, call.title
    compare_quotes(found, told, call)
    for asset, after in (
        (call.position.collateral, outcome.market.collateral),
        (call.position.debt, outcome.market.debt),
    ):
        if asset:
            written = stage.histories.assets.at(state.AssetKey(call.position.pool, asset), place)
            for field in ("total_collateral_shares", "total_nominal_debt", "reserve"):
                assert getattr(after, field) == getattr(written, field), (call.title, field)
    for leg in call.operations:
        if leg["assets"] is not None:
            side = told.collateral if leg["op"] in ("supply", "withdraw") else told.debt
            assert abs(side) == leg["assets"] or leg["op"] == "touch", (call.title, leg)


def compare_quotes(found: market.Market, told: amounts.Deltas, call: recorded_calls.Call) -> None:
    """What the contract gave is within the quotes of that moment."""
    if told.debt > 0 and not told.collateral:
        assert quotes.max_borrow(found).amount >= told.debt, call.title
    if told.collateral < 0 and not told.debt:
        assert quotes.max_withdraw(found).amount >= -told.collateral, call.title
    if told.collateral > 0 and not call.collateral.is_native:
        assert quotes.supply(found, told.collateral).shares == told.shares, call.title
    if call.debt is recorded_calls.EVERYTHING:
        assert found.debt_owed == -told.debt, call.title


def compare_refused(stage: Stage, call: recorded_calls.Call) -> str:
    """Refused for the reason that the contract gave, where the recording has all its words."""
    found = stage.market(call, (call.block, call.transaction, 0))
    outcome = simulate(found, call)
    if call.reason == OWNERSHIP:
        assert outcome.refusal is None, call.title
        return OWNERSHIP
    assert outcome.refusal is not None, call.title
    compare_refused_quotes(found, call)
    is_panic = call.reason == "u256_sub Overflow"
    named = refusals.PANICS if is_panic else {call.reason or outcome.refusal.value}
    assert outcome.refusal in named, (call.title, outcome.refusal, call.reason)
    return outcome.refusal.value


def compare_refused_quotes(found: market.Market, call: recorded_calls.Call) -> None:
    """What the contract refused is more than the quotes of that moment."""
    if call.collateral and call.collateral.value < 0 and not call.debt.value:
        left = quotes.max_withdraw(found)
        asked = amounts.collateral_deltas(
            call.collateral, found.collateral_shares, found.collateral
        )
        assert left.amount < -asked[0] or left.amount == 0, call.title
    if call.debt and call.debt.value > 0 and not call.collateral.value:
        assert quotes.max_borrow(found).amount < call.debt.value, call.title


async def test_v2(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    compared = compare(await Stage.read(recorded, indexed))
    assert compared == {
        "allowed": 172,
        "invalid-oracle": 3,
        "contract-paused": 1,
        "insufficient-reserve": 1,
        OWNERSHIP: 1,
    }


V1 = {
    "devnet-v10-genesis": {
        "allowed": 67,
        "in-recovery": 2,
        "in-subscription": 2,
        "in-redemption": 1,
        "not-collateralized": 1,
        "insufficient-reserve": 1,
        "inflation-fee-gt-collateral-shares-delta": 1,
    },
    "devnet-v10-migration": {
        "allowed": 99,
        "not-collateralized": 2,
        "insufficient-reserve": 1,
        "not-allowed": 6,
    },
    "devnet-v11": {
        "allowed": 139,
        "not-collateralized": 2,
        "in-recovery": 1,
        "in-subscription": 1,
        "in-redemption": 1,
    },
}
"""How many calls of each recording passed, and what refused the others."""


async def test_v1(indexed_v1: tables_v1.Indexed) -> None:
    connection = await database.connect(indexed_v1.url)
    try:
        stage = await Stage.read(indexed_v1.recorded, connection)
    finally:
        await connection.close()
    assert compare(stage) == V1[indexed_v1.recorded.name]
