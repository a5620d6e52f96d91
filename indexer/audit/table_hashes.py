"""One hash for each table, of every column as PostgreSQL writes it.

Other than a digest it knows no table and leaves nothing out: it tells whether a copy of the
database is a copy. Independent of row order, and equal on every version of PostgreSQL.
"""

from __future__ import annotations

import asyncpg

from indexer.audit import digest
from indexer.store import catalog

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

SKIPPED = frozenset({"yoyo_lock"})
"""Holds a row only while somebody migrates."""


async def read(connection: Connection) -> dict[str, digest.TableDigest]:
    """Rows and hash of every table of the schema and of vesu_guide.

    Call it inside a transaction that holds one snapshot.
    """
    # How these types are written depends on the role's and the database's settings.
    for setting in ("timezone = 'UTC'", "datestyle = 'ISO'", "extra_float_digits = 1"):
        await connection.execute(f"SET LOCAL {setting}")
    tables = await catalog.tables(connection)
    return {
        name: await _table(connection, table)
        for name, table in tables.items()
        if name not in SKIPPED
    }


async def _table(connection: Connection, table: str) -> digest.TableDigest:
    parts = ", ".join(
        f"coalesce(sum(('x' || substr(hash, {15 * part - 14}, 15))::bit(60)::bigint), 0)::text "
        f"AS part_{part}"
        for part in range(1, 5)
    )
    row = await connection.fetchrow(
        f"SELECT count(*) AS rows, {parts} FROM ("  # noqa: S608
        "SELECT encode(sha256(convert_to(whole_row::text, 'UTF8')), 'hex') AS hash "
        f"FROM {table} AS whole_row) AS hashed"
    )
    assert row is not None  # aggregates have one row
    return digest.added_up(row)
