"""What the tables hold at a block: versions from history and, at the committed block, current rows.

Both are read in one snapshot and checked alike, so that a row changed by hand in either table
is found.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, NamedTuple

import asyncpg
import msgspec

from indexer import errors
from indexer.projections import rows, samples, storage, stored_valuations, tables, world
from indexer.store import sqlfile
from indexer.vesu import state

_SQL = sqlfile.load(__package__, "reconcile")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Block(NamedTuple):
    """A block of the chain. `hash` in padded hex, `timestamp` in seconds since 1970."""

    number: int
    hash: str
    timestamp: int


class Scope(msgspec.Struct, frozen=True):
    """Which rows: of a pool (id or contract), of a user, or so many of each table by a seed."""

    pool: int | None = None
    user: int | None = None
    sample: int | None = None
    seed: str = "0"

    @property
    def name(self) -> str:
        """The scope in a word."""
        if self.sample is not None:
            return "sample"
        return "user" if self.user is not None else "pool" if self.pool is not None else "all"


class RowVersion(NamedTuple):
    """Where a value stands: table, row, and for a history row its version."""

    table: str
    row_id: str
    version: tuple[int, int, int] | None = None


class Side:
    """One of the two: the state that its rows hold, and where each row stands."""

    def __init__(self, tables: dict[str, str]) -> None:
        self.tables = tables
        self.world = state.World()
        self.versions: dict[Any, RowVersion] = {}
        self.protocols: dict[Any, str] = {}
        self.misnamed: list[tuple[RowVersion, str]] = []
        """Rows whose id does not belong to their key, with the expected id."""
        self.sampled: set[state.AssetKey] = set()
        """Assets whose price was sampled at the very block."""


_TABLES = {
    "positions": tables.POSITIONS,
    "assets": tables.ASSETS,
    "pairs": tables.POOLS,
    "contracts": tables.CONTRACTS,
}
HISTORY = {kind: table.past.name for kind, table in _TABLES.items()}
CURRENT = {kind: table.name for kind, table in _TABLES.items()}


class StoredState(msgspec.Struct):
    """Both sides at a block: history's first, the current rows' only at the committed one.

    `missing`: current rows that are gone while versions of them are there.
    """

    block: Block
    committed: int
    sides: list[Side]
    scope: Scope
    valuations: stored_valuations.Checked
    missing: list[RowVersion]


async def stored_block(connection: Connection, number: int | None) -> tuple[Block | None, Block]:
    """(The stored block of that number, the committed one); the first None where none is stored.

    Blocks without an event of ours that were read far behind the head are not stored.
    """
    row = await connection.fetchrow(_SQL["block"], number)
    if row is None:
        raise errors.NothingCommittedError(
            "no block is committed yet: run `vesu-indexer run` first"
        )
    if number is not None and number > row["committed"]:
        raise errors.NotFoundError(
            f"block {number} is above the committed block {row['committed']}"
        )
    committed_at = row["committed_at"]
    committed = Block(
        row["committed"],
        row["committed_hash"],
        0 if committed_at is None else _seconds(committed_at),
    )
    if row["hash"] is None:
        # A rollback ends at the common ancestor, stored or not; the cursor knows it.
        is_committed = number in (None, committed.number) and committed_at is not None
        return committed if is_committed else None, committed
    return Block(row["number"], row["hash"], _seconds(row["timestamp"])), committed


def _seconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp())


async def read(connection: Connection, block: Block, scope: Scope, committed: int) -> StoredState:
    """Read both sides, inside the caller's snapshot."""
    chosen = await _chosen(connection, scope)
    sides = [await _history(connection, block.number, scope, chosen)]
    ids = await samples.at_block(connection, block.number)
    sides[0].sampled = {
        key for key in sides[0].world.assets if sides[0].versions[key].row_id in ids
    }
    if block.number == committed:
        sides.append(await _current(connection, block.number, chosen))
        sides[1].sampled = sides[0].sampled
    valued = stored_valuations.Checked()
    if block.number == committed:
        live = await connection.fetchval("SELECT quote_ident(current_schema())")
        valued = await stored_valuations.check(connection, live, chosen)
    missing = await _missing(connection) if block.number == committed else []
    return StoredState(block, committed, sides, scope, valued, missing)


async def _missing(connection: Connection) -> list[RowVersion]:
    return [
        RowVersion(table.name, row_id)
        for table in tables.CURRENT
        if table.versions
        for row_id in await storage.versions_without_row(connection, table)
    ]


async def _chosen(connection: Connection, scope: Scope) -> list[storage.Key]:
    """The keys of the positions to check."""
    scope_values = [rows.padded_or_none(scope.pool), rows.padded_or_none(scope.user)]
    if scope.sample is None:
        found = await connection.fetch(_SQL["positions"], *scope_values)
    else:
        found = await connection.fetch(
            _SQL["sampled_positions"], *scope_values, scope.seed, scope.sample
        )
    return [(row["pool_id"], row["id"]) for row in found]


async def _history(
    connection: Connection, number: int, scope: Scope, chosen: list[storage.Key]
) -> Side:
    if scope.sample is None:
        loaded = await world.in_history(connection, number)
    else:
        loaded = await world.at_block(connection, number)
    loaded.add(
        tables.POSITIONS, await storage.versions(connection, tables.POSITIONS, chosen, number)
    )
    known = await samples.newest(connection, loaded.asset_ids, number)
    loaded.world = samples.over(loaded.world, known)
    return _side(HISTORY, loaded)


async def _current(connection: Connection, number: int, chosen: list[storage.Key]) -> Side:
    loaded = await world.current(connection)
    known = await samples.newest(connection, loaded.asset_ids, number)
    loaded.world = samples.over(loaded.world, known)
    loaded.add(tables.POSITIONS, await storage.load_rows(connection, tables.POSITIONS, chosen))
    return _side(CURRENT, loaded)


_IDS: dict[type, tuple[str, Callable[[str, Any], str]]] = {
    state.PositionKey: ("positions", rows.position_id),
    state.AssetKey: ("assets", rows.asset_id),
    state.PairKey: ("pairs", rows.pair_id),
}


def _side(names: dict[str, str], loaded: world.Loaded) -> Side:
    """A side of what was loaded; a row whose id is not that of its key is set apart."""
    side = Side(names)
    side.world = loaded.world
    for key, row in loaded.rows.items():
        if type(key) not in _IDS:
            row_id = f"{row['address']} {row['kind']}"
            side.versions[key] = RowVersion(names["contracts"], row_id, _version(row))
            continue
        kind, id_of = _IDS[type(key)]
        row_version = RowVersion(names[kind], str(row["id"]), _version(row))
        expected = id_of(row["protocol"], key)
        if expected == row_version.row_id:
            side.versions[key] = row_version
            side.protocols[key] = row["protocol"]
        else:
            side.misnamed.append((row_version, expected))
            del getattr(side.world, kind)[key]
    return side


def _version(row: asyncpg.Record) -> tuple[int, int, int] | None:
    if "transaction_index" not in row.keys():  # noqa: SIM118 - a Record is no dict
        return None
    return row["block_number"], row["transaction_index"], row["event_index"]
