"""What PostgreSQL's catalogue says of the schema: its relations, their sizes, its name."""

from __future__ import annotations

import asyncpg

from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "catalog")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def relations(connection: Connection) -> dict[str, str]:
    """Everything of the schema that holds rows or a name, in the order of names, with its kind.

    Kind r is a table, p a partitioned one, v a view, m a materialised one, S a sequence, f a
    foreign table.
    """
    found = await connection.fetch(_SQL["relations"])
    return {row["name"]: row["kind"] for row in found}


async def sizes(connection: Connection) -> dict[str, int]:
    """The bytes of each table of the schema, without its indexes."""
    found = await connection.fetch(_SQL["sizes"])
    return {row["name"]: row["bytes"] for row in found}


async def schema(connection: Connection) -> str:
    """The schema in which tables are made and found."""
    return str(await connection.fetchval(_SQL["schema"]))


async def export_snapshot(connection: Connection) -> str:
    """A name by which another session sees what the caller's transaction sees."""
    return str(await connection.fetchval(_SQL["export_snapshot"]))
