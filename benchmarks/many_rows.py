"""A database of a million positions: devnet-a, and on top of it rows that SQL invents."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import msgspec

from indexer.projections import rows
from indexer.store import sqlfile
from indexer.vesu import state

_SQL = sqlfile.load(__package__, "many_rows")

NAMED_AT_ONCE = 20_000


class Size(msgspec.Struct, frozen=True):
    """How many rows are invented, and over how many blocks they are spread.

    One of `near_every` positions with debt has one to 1.3 times its template's health.
    """

    positions: int
    transactions: int
    events: int
    blocks: int
    near_every: int = 50


async def fill(
    connection: asyncpg.Connection, size: Size, but_of: str | None = None
) -> dict[str, Any]:
    """Add the rows above the committed block; returns the new committed block and the seconds.

    None is of the pool `but_of`. Invariants over all positions of the other pools do not hold
    afterwards: markets' totals stay as recorded.
    """
    began = time.perf_counter()
    first = 1 + await connection.fetchval("SELECT block_number FROM cursor")
    last = first + size.blocks - 1
    await connection.execute("SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'")
    # No trigger looks up the foreign keys of rows that fit by construction.
    await connection.execute("SET session_replication_role = replica")
    dropped = await connection.fetch(_SQL["indexes"])
    for index in dropped:
        await connection.execute(f"DROP INDEX {sqlfile.quoted(index['name'])}")
    await connection.execute(_SQL["templates"])
    await connection.execute(_SQL["leave_out"], but_of)
    await connection.execute(_SQL["number"])
    await _name(connection, size.positions)
    await connection.execute(_SQL["blocks"], first, last)
    moved = await connection.fetchrow(_SQL["move"])
    assert moved is not None, "the cursor has one row"
    await connection.execute(_SQL["positions"], size.positions, first, last, size.near_every)
    await connection.execute("CREATE INDEX idx_vesu_positions_id ON vesu_positions (id)")
    await connection.execute(_SQL["versions"])
    await connection.execute(_SQL["transactions"], size.transactions, size.positions, first, last)
    await connection.execute(_SQL["events"], size.events, first, last)
    for index in dropped:
        if index["name"] != "idx_vesu_positions_id":
            await connection.execute(index["definition"])
    await connection.execute("RESET ALL")
    await connection.execute("VACUUM ANALYZE")
    bytes_ = await connection.fetchval("SELECT pg_database_size(current_database())")
    return {
        "block": moved["block_number"],
        "hash": moved["block_hash"],
        "timestamp": moved["at"],
        "seconds": round(time.perf_counter() - began, 1),
        "megabytes": bytes_ // 2**20,
    }


async def _name(connection: asyncpg.Connection, positions: int) -> None:
    """Work out the ids of the invented positions, which follow from what they are."""
    await connection.execute(_SQL["ids"])
    async with connection.transaction():
        named = await connection.cursor(_SQL["named"], positions)
        while found := await named.fetch(NAMED_AT_ONCE):
            ids = [(one["number"], rows.position_id(one["protocol"], _key(one))) for one in found]
            await connection.copy_records_to_table("invented", records=ids)
    await connection.execute("ANALYZE invented")


def _key(one: asyncpg.Record) -> state.PositionKey:
    pool, address, collateral, debt, v_token, user = (
        int(one[name] or "0x0", 16)
        for name in (
            *("pool_id", "pool_address", "collateral_address", "debt_address"),
            *("v_token", "user_id"),
        )
    )
    return state.PositionKey(state.PoolKey(address, pool), collateral, debt, v_token, user)
