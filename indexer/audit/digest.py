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
from indexer.store import sqlfile

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

STATE_TABLES = ("contracts", "vesu_pools", "vesu_assets", "vesu_positions")
LOG_TABLES = (
    "events",
    "receipts",
    "observations",
    "vesu_transactions",
    "vesu_liquidations",
    "contract_history",
    "vesu_pool_history",
    "vesu_asset_history",
    "vesu_position_history",
    "accrual_mismatches",
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


async def at_block(connection: Connection, block: int | None = None) -> Digest:
    """The digest at `block`, or of the tables as they stand at the committed block.

    Both are equal at the committed block: the first is worked out from the histories, the
    second from the current rows.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        committed = await connection.fetchval(sqlfile.load("status")["committed_block"])
        if committed is None:
            raise errors.ConfigError("the database is empty: run the indexer first")
        if block is not None and block > committed:
            raise errors.ConfigError(f"block {block} is above the committed block {committed}")
        tables = {
            table: await _table(connection, table, committed if block is None else block, block)
            for table in (*STATE_TABLES, *LOG_TABLES)
        }
    return Digest(committed if block is None else block, _over(tables), tables)


async def _table(connection: Connection, table: str, block: int, asked: int | None) -> TableDigest:
    statements = sqlfile.load("digest")
    if asked is None and table in STATE_TABLES:
        row = await connection.fetchrow(statements[f"{table}_now"])
    else:
        row = await connection.fetchrow(statements[f"{table}_at"], block)
    assert row is not None  # aggregates have one row
    return added_up(row)


def added_up(row: asyncpg.Record) -> TableDigest:
    """The digest of a table from its number of rows and the four sums of their hashes."""
    parts = "|".join([str(row["rows"]), *(row[f"part_{part}"] for part in range(1, 5))])
    return TableDigest(row["rows"], hashlib.sha256(parts.encode()).hexdigest())


def _over(tables: dict[str, TableDigest]) -> str:
    lines = "\n".join(f"{table} {tables[table].hash}" for table in sorted(tables))
    return hashlib.sha256(lines.encode()).hexdigest()
