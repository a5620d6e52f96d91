"""What PostgreSQL's catalogue says of the schema: its relations, their sizes, its name."""

from __future__ import annotations

import asyncpg

from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "catalog")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def relations(connection: Connection) -> dict[str, str]:
    """Everything of the schema and of vesu_guide that holds rows or a name, with its kind.

    In the order of names, which are qualified in vesu_guide. Kind r is a table, p a partitioned
    one, v a view, m a materialised one, S a sequence, f a foreign table.
    """
    rows = await connection.fetch(_SQL["relations"])
    return {row["name"]: row["kind"] for row in rows}


async def tables(connection: Connection) -> dict[str, str]:
    """The tables among them by name, each as a statement names it."""
    rows = await connection.fetch(_SQL["relations"])
    return {row["name"]: row["place"] for row in rows if row["kind"] in ("r", "p")}


async def make_guide(connection: Connection) -> None:
    """Make the schema vesu_guide, empty, if it is not there: pg_restore fills what is there."""
    await connection.execute(_SQL["make_guide"])


async def open_guide(connection: Connection) -> None:
    """Give the rights in vesu_guide that a dump leaves out; drop the schema if it is empty."""
    await connection.execute(_SQL["open_guide"])


async def sizes(connection: Connection) -> dict[str, int]:
    """The bytes of each table of the schema, without its indexes."""
    rows = await connection.fetch(_SQL["sizes"])
    return {row["name"]: row["bytes"] for row in rows}


async def schema(connection: Connection) -> str:
    """The schema in which tables are made and found."""
    return str(await connection.fetchval(_SQL["schema"]))


async def export_snapshot(connection: Connection) -> str:
    """A name by which another session sees what the caller's transaction sees."""
    return str(await connection.fetchval(_SQL["export_snapshot"]))
