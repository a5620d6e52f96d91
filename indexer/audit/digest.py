"""Digests: one hash per table of what the indexer holds at a block.

A table's digest does not depend on row order, machine, PostgreSQL version or wall clock: every
row is written canonically, hashed with SHA-256, and the hashes are added up in four 60-bit
parts. Valuations are left out: they follow from the state, the prices and the asked time.
"""

from __future__ import annotations

import hashlib

import asyncpg
import msgspec

from indexer import errors
from indexer.log import cursor
from indexer.projections import tables
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "digest")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

DIGESTED = (
    *tables.CURRENT,
    *tables.LOG,
    tables.TRANSACTIONS,
    tables.LIQUIDATIONS,
    *tables.HISTORIES,
    tables.MISMATCHES,
    tables.EVENT_PRICES,
)
"""The tables of a digest, in the order in which it lists them."""

SAMPLES = msgspec.structs.replace(
    tables.EVENT_PRICES,
    name="vesu_sampled_prices",
    state=tuple(column for column in tables.EVENT_PRICES.state if column != "sampling"),
)


class TableDigest(msgspec.Struct, frozen=True):
    """A table's rows and their common hash."""

    rows: int
    hash: str


class Digest(msgspec.Struct, frozen=True):
    """What all tables hold at a block."""

    block_number: int
    all: str
    tables: dict[str, TableDigest]


class Samples(msgspec.Struct, frozen=True):
    """What was sampled of prices up to a block. Samples lie beside the log and are in no other
    digest."""

    block_number: int
    vesu_sampled_prices: TableDigest


class Valuations(msgspec.Struct, frozen=True):
    """What all positions are worth at the committed block, each row at its `valued_at_block`."""

    block_number: int
    vesu_positions: TableDigest


async def at_block(connection: Connection, block: int | None = None) -> Digest:
    """The digest at `block`, or of the tables as they stand at the committed block.

    Both are equal at the committed block: the first is worked out from the histories, the
    second from the current rows.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        committed = (await _stands(connection)).block_number
        if block is not None and block > committed:
            raise errors.NotFoundError(f"block {block} is above the committed block {committed}")
        found = {
            table.name: await _table(
                connection, table, committed if block is None else block, block
            )
            for table in DIGESTED
        }
    return Digest(committed if block is None else block, _over(found), found)


async def of_samples(connection: Connection, block: int | None = None) -> Samples:
    """The digest of the prices sampled up to a block, or up to the committed one."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        committed = (await _stands(connection)).block_number
        block_number = committed if block is None else block
        if block_number > committed:
            raise errors.NotFoundError(
                f"block {block_number} is above the committed block {committed}"
            )
        return Samples(block_number, await _table(connection, SAMPLES, block_number, block_number))


async def of_valuations(connection: Connection) -> Valuations:
    """The digest of what positions are worth as their rows stand, each at its own block."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        committed = await _stands(connection)
        columns = [*tables.POSITIONS.key, *tables.POSITIONS.valuation]
        columns.remove("sampling")  # each machine counts its own
        row = await connection.fetchrow(
            _SQL["state_now"].format(
                table=tables.POSITIONS.name, written=", ".join(map(_written, columns))
            )
        )
    assert row is not None  # aggregates have one row
    return Valuations(committed.block_number, added_up(row))


async def _stands(connection: Connection) -> cursor.Cursor:
    committed = await cursor.read(connection)
    if committed is None or committed.block_hash is None:
        raise errors.NothingCommittedError("the database is empty: run the indexer first")
    return committed


async def _table(
    connection: Connection, table: tables.Table, block: int, block_number: int | None
) -> TableDigest:
    if table.is_appended:
        row = await connection.fetchrow(statement("log_at", table), block)
    elif block_number is None:
        row = await connection.fetchrow(statement("state_now", table))
    else:
        row = await connection.fetchrow(statement("state_at", table), block)
    assert row is not None  # aggregates have one row
    return added_up(row)


def statement(name: str, table: tables.Table) -> str:
    """A statement of digest.sql for one table; its names stand for identifiers, never values."""
    columns = table.state
    if name == "state_now":
        columns = tuple(table.current_name(column) for column in columns)
    return _SQL[name].format(
        table=table.history if name == "state_at" else table.name,
        key=", ".join(table.key),
        columns=", ".join(columns),
        written=", ".join(map(_written, columns)),
    )


def _written(column: str) -> str:
    """The SQL expression of a column in its canonical form."""
    value = f"extract(epoch FROM {column})::bigint" if column in tables.TIMES else column
    return f"coalesce({value}::text, '~')"


def added_up(row: asyncpg.Record) -> TableDigest:
    """The digest of a table from its number of rows and the four sums of their hashes."""
    parts = "|".join([str(row["rows"]), *(row[f"part_{part}"] for part in range(1, 5))])
    return TableDigest(row["rows"], hashlib.sha256(parts.encode()).hexdigest())


def _over(found: dict[str, TableDigest]) -> str:
    lines = "\n".join(f"{table} {found[table].hash}" for table in sorted(found))
    return hashlib.sha256(lines.encode()).hexdigest()
