"""Our history tables of V1, read once: what they say at a block is the last row up to it."""

from __future__ import annotations

import bisect
import collections
import contextlib
from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import asyncpg
import msgspec

from indexer.projections import assets as asset_rows
from indexer.projections import contracts as contract_rows
from indexer.projections import pools as pool_rows
from indexer.projections import positions as position_rows
from indexer.store import database
from indexer.vesu import accrual, state
from tests.acceptance import truth_v1

T = TypeVar("T", bound=msgspec.Struct)


class PoolAt(NamedTuple):
    """A pool in the tables: the singleton and the pool id, as integers."""

    pool_address: int
    pool_id: int


class AssetAt(NamedTuple):
    """An asset of a pool in the tables: addresses and pool id as integers."""

    pool_address: int
    pool_id: int
    asset: int


class PairAt(NamedTuple):
    pool_address: int
    pool_id: int
    collateral: int
    debt: int


class PositionAt(NamedTuple):
    pool_address: int
    pool_id: int
    collateral: int
    debt: int
    user: int


class HoldingAt(NamedTuple):
    v_token: int
    user: int


class Versions(Generic[T]):
    """Values by key and block; the last of a block counts."""

    def __init__(self) -> None:
        self._found: dict[Any, tuple[list[int], list[T]]] = collections.defaultdict(
            lambda: ([], [])
        )

    def add(self, key: Any, block: int, value: T) -> None:
        blocks, values = self._found[key]
        blocks.append(block)
        values.append(value)

    def at(self, key: Any, block: int) -> T | None:
        blocks, values = self._found.get(key, ([], []))
        place = bisect.bisect_right(blocks, block)
        return values[place - 1] if place else None

    def versions(self, key: Any) -> list[T]:
        """All values of a key, oldest first."""
        return self._found.get(key, ([], []))[1]

    @contextlib.contextmanager
    def off_by_one(self, field: str) -> Iterator[None]:
        """The last value of every key with one field one higher, for a while."""
        found = [values for _, values in self._found.values()]
        right = [values[-1] for values in found]
        for values, last in zip(found, right, strict=True):
            values[-1] = msgspec.structs.replace(last, **{field: getattr(last, field) + 1})
        try:
            yield
        finally:
            for values, last in zip(found, right, strict=True):
                values[-1] = last

    def __iter__(self) -> Iterator[Any]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class Tables:
    """The history tables, read once."""

    def __init__(self) -> None:
        self.assets: Versions[accrual.AssetState] = Versions()
        self.pairs: Versions[state.PairState] = Versions()
        self.positions: Versions[state.PositionState] = Versions()
        self.holdings: Versions[state.PositionState] = Versions()
        self.pools: Versions[state.ContractState] = Versions()
        self.protocols: dict[int, set[str]] = collections.defaultdict(set)

    @classmethod
    async def read(cls, connection: asyncpg.Connection) -> Tables:
        tables = cls()
        for row in await _history(connection, "vesu_asset_history"):
            key = AssetAt(*tables._pool(row), _felt(row["asset_address"]))
            tables.assets.add(key, row["block_number"], asset_rows.parse(row)[1])
        for row in await _history(connection, "vesu_pool_history"):
            pair = PairAt(*tables._pool(row), *_pair(row))
            tables.pairs.add(pair, row["block_number"], pool_rows.parse(row)[1])
        for row in await _history(connection, "vesu_position_history"):
            tables._add_position(row)
        for row in await _history(connection, "contract_history"):
            if row["kind"] in ("pool_v1_0", "pool_v1_1"):
                pool = PoolAt(_felt(row["pool_address"]), _felt(row["pool_id"]))
                tables.pools.add(pool, row["block_number"], contract_rows.parse(row)[1])
        return tables

    def _add_position(self, row: asyncpg.Record) -> None:
        block, (_, value) = row["block_number"], position_rows.parse(row)
        user = _felt(row["user_id"])
        if row["v_token"] is None:
            key = PositionAt(*self._pool(row), *_pair(row), user)
            self.positions.add(key, block, value)
        else:
            self.holdings.add(HoldingAt(_felt(row["v_token"]), user), block, value)

    def _pool(self, row: asyncpg.Record) -> tuple[int, int]:
        address = _felt(row["pool_address"])
        self.protocols[address].add(row["protocol"])
        return address, _felt(row["pool_id"])


async def _history(connection: asyncpg.Connection, table: str) -> list[asyncpg.Record]:
    return await connection.fetch(
        f"SELECT * FROM {table} ORDER BY block_number, transaction_index, event_index"
    )


def _felt(text: str) -> int:
    return int(text, 16)


def _pair(row: asyncpg.Record) -> tuple[int, int]:
    return _felt(row["collateral_address"]), _felt(row["debt_address"])


class Indexed(NamedTuple):
    """A recording, the database that a command filled from it, and its histories."""

    recorded: truth_v1.RecordedV1
    url: str
    tables: Tables

    async def fetch(self, statement: str) -> list[asyncpg.Record]:
        """What a statement answers."""
        connection = await database.connect(self.url)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    @classmethod
    async def read(cls, recorded: truth_v1.RecordedV1, url: str) -> Indexed:
        connection = await database.connect(url)
        try:
            return cls(recorded, url, await Tables.read(connection))
        finally:
            await connection.close()
