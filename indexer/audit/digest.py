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
from indexer.audit import digested
from indexer.log import cursor
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "digest")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class TableDigest(msgspec.Struct, frozen=True):
    """A table's rows and their common hash."""

    rows: int
    hash: str


class Digest(msgspec.Struct, frozen=True):
    """What all tables hold at a block."""

    block_number: int
    all: str
    tables: dict[str, TableDigest]


async def at_block(connection: Connection, block: int | None = None) -> Digest:
    """The digest at `block`, or of the tables as they stand at the committed block.

    Both are equal at the committed block: the first is worked out from the histories, the
    second from the current rows.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stands = await cursor.read(connection)
        if stands is None or stands.block_hash is None:
            raise errors.NothingCommittedError("the database is empty: run the indexer first")
        committed = stands.block_number
        if block is not None and block > committed:
            raise errors.NotFoundError(f"block {block} is above the committed block {committed}")
        tables = {
            table: await _table(connection, table, committed if block is None else block, block)
            for table in (*digested.STATE_TABLES, *digested.LOG_TABLES)
        }
    return Digest(committed if block is None else block, _over(tables), tables)


async def _table(connection: Connection, table: str, block: int, asked: int | None) -> TableDigest:
    if table in digested.LOG_TABLES:
        row = await connection.fetchrow(statement("log_at", table), block)
    elif asked is None:
        row = await connection.fetchrow(statement("state_now", table))
    else:
        row = await connection.fetchrow(statement("state_at", table), block)
    assert row is not None  # aggregates have one row
    return added_up(row)


def statement(name: str, table: str) -> str:
    """A statement of digest.sql for one table; its names stand for identifiers, never values."""
    read, key = table, ""
    if name == "log_at":
        columns = digested.LOG_TABLES[table]
    elif name == "state_now":
        columns = digested.STATE_TABLES[table].current_columns
    else:
        state = digested.STATE_TABLES[table]
        read, key, columns = state.history, state.key, state.columns
    written = ", ".join(_written(column) for column in columns.split(", "))
    return _SQL[name].format(table=read, key=key, columns=columns, written=written)


def _written(column: str) -> str:
    """A column in the canonical form of a row."""
    value = f"extract(epoch FROM {column})::bigint" if column in digested.TIMES else column
    return f"coalesce({value}::text, '~')"


def added_up(row: asyncpg.Record) -> TableDigest:
    """The digest of a table from its number of rows and the four sums of their hashes."""
    parts = "|".join([str(row["rows"]), *(row[f"part_{part}"] for part in range(1, 5))])
    return TableDigest(row["rows"], hashlib.sha256(parts.encode()).hexdigest())


def _over(tables: dict[str, TableDigest]) -> str:
    lines = "\n".join(f"{table} {tables[table].hash}" for table in sorted(tables))
    return hashlib.sha256(lines.encode()).hexdigest()
