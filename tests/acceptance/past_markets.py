"""The state before an event or transaction, from our history tables: what an action meets."""

from __future__ import annotations

import bisect
import collections
from typing import Any

import asyncpg
import msgspec

from indexer.projections import assets as asset_rows
from indexer.projections import contracts as contract_rows
from indexer.projections import pools as pool_rows
from indexer.projections import positions as position_rows
from indexer.vesu import accrual, market, refusals, state
from tests.acceptance import truth

Place = tuple[int, int, int]
"""Block, transaction and event index."""


class Versions:
    """Values by key, in the chain's order."""

    def __init__(self) -> None:
        self._places: dict[Any, list[Place]] = collections.defaultdict(list)
        self._values: dict[Any, list[Any]] = collections.defaultdict(list)

    def add(self, key: Any, row: asyncpg.Record, value: Any) -> None:
        place = (row["block_number"], row["transaction_index"], row["event_index"])
        self._places[key].append(place)
        self._values[key].append(value)

    def before(self, key: Any, place: Place) -> Any | None:
        """The value that stood when the event at `place` was about to happen."""
        found = bisect.bisect_left(self._places.get(key, []), place)
        return self._values[key][found - 1] if found else None

    def at(self, key: Any, place: Place) -> Any | None:
        """The value that the event at `place` left."""
        found = bisect.bisect_right(self._places.get(key, []), place)
        return self._values[key][found - 1] if found else None

    @property
    def keys(self) -> list[Any]:
        return list(self._places)


class Histories:
    """All versions of all assets, pairs, positions and contracts."""

    def __init__(self) -> None:
        self.assets, self.pairs, self.positions = Versions(), Versions(), Versions()
        self.contracts, self.pools, self.limits = Versions(), Versions(), Versions()

    @classmethod
    async def read(cls, connection: asyncpg.Connection) -> Histories:
        found = cls()
        for table, parse, versions in (
            ("vesu_asset_history", asset_rows.parse, found.assets),
            ("vesu_pool_history", pool_rows.parse, found.pairs),
            ("vesu_position_history", position_rows.parse, found.positions),
            ("contract_history", contract_rows.parse, found.contracts),
        ):
            for row in await connection.fetch(
                f"SELECT * FROM {table} ORDER BY block_number, transaction_index, event_index"
            ):
                key, value = parse(row)
                if row.get("kind") in ("pool_v1_0", "pool_v1_1"):
                    found.pools.add(value.pool, row, value)
                else:
                    versions.add(key, row, value)
        for row in await connection.fetch(
            "SELECT * FROM events WHERE name = 'SetShutdownLTVConfig' "
            "ORDER BY block_number, transaction_index, event_index"
        ):
            told = msgspec.json.decode(row["args"])
            pair = [int(told[name], 16) for name in ("pool_id", "collateral_asset", "debt_asset")]
            found.limits.add((int(row["from_address"], 16), *pair), row, told)
        return found

    def held_before(self, key: state.PositionKey, place: Place) -> state.PositionState:
        """What a position holds: V1.1 reads through to V1.0's, until it has migrated."""
        own = self.positions.before(key, place)
        if own is not None:
            return own
        for singleton in {one.pool.address for one in self.positions.keys}:
            pool = self.pools.before(state.PoolKey(singleton, key.pool.id), place)
            if pool is not None and pool.successor == key.pool.address:
                old = self.positions.before(key._replace(pool=pool.pool), place)
                if old is not None and old.migrated_block is None:
                    return old
        return state.PositionState("borrow")

    def shutdown_ltv(
        self, recorded: truth.Recorded, key: state.PositionKey, place: Place
    ) -> int | None:
        """V1's limit of a pair. The first extension takes a missing one for 0, others for none."""
        pair = (key.pool.id, key.collateral, key.debt)
        for contract in recorded.manifest["contracts"].values():
            told = self.limits.before((int(contract["address"], 16), *pair), place)
            if told is not None:
                return int(told["shutdown_ltv_config"]["max_ltv"]) or None
        pools = recorded.manifest["pools"].values()
        is_genesis = any(
            pool.get("extension") == "extension_v0" and int(pool["pool_id"], 16) == key.pool.id
            for pool in pools
        )
        return 0 if is_genesis else None


class Rules:
    """What the oracles and V1's extensions said at the end of each block.

    Prices by pool, asset and block; shutdown modes by pool and block, the furthest of its pairs.
    """

    def __init__(self, recorded: truth.Recorded) -> None:
        self._contracts = recorded.manifest["contracts"]
        self._names = {int(one["address"], 16): name for name, one in self._contracts.items()}
        self.prices: dict[tuple[state.PoolKey, int, int], tuple[int, bool]] = {}
        self.modes: dict[tuple[state.PoolKey, int], refusals.ShutdownMode] = {}
        for block, contract, calldata, result in truth.Recorded.answered(recorded, "price"):
            if not self._names[contract].startswith("oracle"):
                place = (self._pool(contract, calldata), calldata[-1], block)
                self.prices[place] = truth.u256s(result[:2])[0], bool(result[2])
        for block, contract, calldata, result in truth.Recorded.answered(
            recorded, "shutdown_status"
        ):
            place = (self._pool(contract, calldata), block)
            furthest = max(result[0], self.modes.get(place, 0))
            self.modes[place] = refusals.ShutdownMode(furthest)

    def _pool(self, contract: int, calldata: list[int]) -> state.PoolKey:
        name = self._names[contract]
        if name.startswith("pool:"):
            return state.v2_pool(contract)
        singleton = "singleton_v11" if name.endswith("v11") else "singleton_v10"
        return state.PoolKey(int(self._contracts[singleton]["address"], 16), calldata[0])

    def price(self, pool: state.PoolKey, asset: int, block: int) -> tuple[int, bool]:
        """An asset's price and whether the pool trusts it; 0 where it had none."""
        return self.prices.get((pool, asset, block), (0, False)) if asset else (0, True)

    def mode(self, pool: state.PoolKey, block: int) -> refusals.ShutdownMode:
        """A pool's shutdown mode; there is none in V2."""
        return self.modes.get((pool, block), refusals.ShutdownMode.NONE)


def blank(asset: int) -> accrual.AssetState:
    return accrual.AssetState() if asset else market.NO_ASSET


def market_at(
    histories: Histories, key: state.PositionKey, place: Place, now: int
) -> market.Market:
    """A position and its pool as an event or a transaction (event 0) meets them."""
    sides = [
        histories.assets.before(state.AssetKey(key.pool, asset), place) or blank(asset)
        for asset in (key.collateral, key.debt)
    ]
    pair = histories.pairs.before(state.PairKey(key.pool, key.collateral, key.debt), place)
    held = histories.held_before(key, place)
    pool = histories.contracts.before(key.pool.address, place)
    return market.Market(
        accrual.accrue(sides[0], now),
        accrual.accrue(sides[1], now),
        pair or state.PairState(),
        held.collateral_shares,
        held.nominal_debt,
        is_paused=bool(pool and pool.is_paused),
    )


def priced(
    found: market.Market, collateral: tuple[int, bool], debt: tuple[int, bool]
) -> market.Market:
    """The market at these prices."""
    return msgspec.structs.replace(
        found,
        collateral=msgspec.structs.replace(
            found.collateral, price=collateral[0], price_is_valid=collateral[1]
        ),
        debt=msgspec.structs.replace(found.debt, price=debt[0], price_is_valid=debt[1]),
    )
