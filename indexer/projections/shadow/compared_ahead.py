"""Compares what a build adds to the shadow with the live rows of the same blocks, as it goes on.

PostgreSQL waits for the fold most of the time, so it compares then. Only tables that are added to
are compared: what is found to differ is looked at again in the snapshot of the whole comparison,
and what is equal stays so, but for blocks that a reorganisation takes back.
"""

from __future__ import annotations

import asyncpg

from indexer.projections import statements, tables
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "compared_ahead")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

VERSIONS = tuple(table.past for table in tables.CURRENT if table.versions)
"""The histories that are views of tables of versions."""

TABLES = (*VERSIONS, *tables.EFFECTS)


async def create(connection: Connection, live: str, first: int) -> None:
    """Make the tables of a build that begins at block `first`; the caller's transaction."""
    for table in TABLES:
        await connection.execute(statements.fill(_SQL["create_suspected"], table, live))
    await connection.execute(_SQL["create_compared"], first - 1)


async def compared_to(connection: Connection) -> int:
    """The last block whose added rows were compared."""
    block: int = await connection.fetchval(_SQL["read"])
    return block


async def compare(connection: asyncpg.Connection, live: str, last: int) -> None:
    """Compare the rows that were added since, up to block `last`."""
    async with connection.transaction():
        first = await compared_to(connection) + 1
        for table in TABLES:
            await connection.execute(statements.fill(_SQL["suspect"], table, live), first, last)
        await connection.execute(_SQL["move"], last)


async def take_back(connection: Connection, ancestor: int) -> None:
    """What was compared above a block says nothing any more."""
    await connection.execute(_SQL["take_back"], ancestor)


async def mark(connection: Connection, live: str, table: tables.Table, last: int) -> None:
    """Mark rows up to block `last` that were found to differ, and still do."""
    if await connection.fetchval(statements.fill(_SQL["suspected_exist"], table, live)):
        await connection.execute(statements.fill(_SQL["analyze_found"], table, live))
        await connection.execute(statements.fill(_SQL["mark_still_differing"], table, live), last)
