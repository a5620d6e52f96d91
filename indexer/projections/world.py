"""The state in the tables, now or at a past block, with the rows from which it was loaded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

import asyncpg
import msgspec

from indexer.projections import assets, contracts, pools, positions, storage, tables
from indexer.vesu import state


class Loaded(msgspec.Struct):
    """A world, and the row that each of its keys was read from.

    Keys are the address of a contract, a PoolKey, AssetKey, PairKey or PositionKey.
    """

    world: state.World
    rows: dict[Any, asyncpg.Record]

    @classmethod
    def empty(cls) -> Loaded:
        """Nothing yet."""
        return cls(state.World(), {})

    def keys_of(self, table: tables.Table) -> set[storage.Key]:
        """The keys, as the table has them, of the rows taken up from it."""
        return {tuple(self.rows[key][column] for column in table.key) for key in self.part(table)}

    @property
    def asset_ids(self) -> dict[state.AssetKey, str]:
        """The ids of the assets taken up."""
        return {key: str(self.rows[key]["id"]) for key in self.world.assets}

    def part(self, table: tables.Table) -> dict[Any, Any]:
        """The state of the rows taken up from a table."""
        if table is tables.CONTRACTS:
            return {**self.world.contracts, **self.world.pools}
        return self._part(table, None)

    def add(self, table: tables.Table, rows: Iterable[asyncpg.Record]) -> None:
        """Take up rows of a current table or of its history."""
        for row in rows:
            key, value = PARSERS[table.name](row)
            self._part(table, key)[key] = value
            self.rows[key] = row

    def _part(self, table: tables.Table, key: Any) -> dict[Any, Any]:
        if table is tables.CONTRACTS:
            inner: dict[Any, Any] = self.world.pools
            outer: dict[Any, Any] = self.world.contracts
            return inner if isinstance(key, state.PoolKey) else outer
        parts: dict[str, dict[Any, Any]] = {
            tables.ASSETS.name: self.world.assets,
            tables.POOLS.name: self.world.pairs,
            tables.POSITIONS.name: self.world.positions,
        }
        return parts[table.name]


def _parse_contract(row: asyncpg.Record) -> tuple[Any, state.ContractState]:
    """The row of a pool inside a singleton has the pool's key, others the contract's address."""
    address, contract = contracts.parse(row)
    if contract.kind not in contracts.POOL_KINDS:
        return address, contract
    assert contract.pool is not None, "a pool's row names its singleton"
    return contract.pool, contract


PARSERS: dict[str, Callable[[asyncpg.Record], tuple[Any, Any]]] = {
    tables.CONTRACTS.name: _parse_contract,
    tables.ASSETS.name: assets.parse,
    tables.POOLS.name: pools.parse,
    tables.POSITIONS.name: positions.parse,
}
"""From a row, with the columns of its history, to key and state."""

_MARKETS = (tables.CONTRACTS, tables.ASSETS, tables.POOLS)
"""Everything but the positions, which are many."""


async def current(connection: storage.Connection) -> Loaded:
    """Contracts, markets and pairs as the current rows have them; no positions."""
    return await _load(lambda table: storage.load(connection, table))


async def at_block(
    connection: storage.Connection, block: int, pool_ids: Collection[str] | None = None
) -> Loaded:
    """All contracts, and the markets and pairs of these pools (None: of all), at a block."""

    def read(table: tables.Table) -> Awaitable[list[asyncpg.Record]]:
        ids = None if table is tables.CONTRACTS else pool_ids
        return storage.versions_of_pools(connection, table, block, ids)

    return await _load(read)


async def in_history(connection: storage.Connection, block: int) -> Loaded:
    """The same of every row that the histories know, also where no current row is left."""
    return await _load(lambda table: storage.versions_of_all(connection, table, block))


async def _load(read: Callable[[tables.Table], Awaitable[list[asyncpg.Record]]]) -> Loaded:
    loaded = Loaded.empty()
    for table in _MARKETS:
        loaded.add(table, await read(table))
    return loaded
