"""The rows that a shadow begins from, and returns to: those of a block.

The live histories below the first block stay where they are; of them only the versions are
brought over for a moment that a rollback restores rows from.
"""

from __future__ import annotations

import asyncpg

from indexer.projections import engine as engines
from indexer.projections import statements, tables, valuations
from indexer.projections.shadow import derived
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "build")

ROWS_AT_ONCE = 5_000


async def seed(
    connection: asyncpg.Connection, engine: engines.Engine, live: str, first: int
) -> None:
    """Fill the shadow's current rows as they were before `first`; the caller's transaction."""
    await _bring_settings(connection, live)
    for table in tables.CURRENT:
        await connection.execute(statements.fill(_SQL["copy_current"], table, live))
    for history in tables.HISTORIES:
        for name in ("create_touched", "find_touched"):
            values = (first,) if name == "find_touched" else ()
            await connection.execute(statements.fill(_SQL[name], history, live), *values)
    for history in tables.HISTORIES:
        # Positions come last and are many; to value them takes the assets and pairs restored.
        await _restore(connection, engine, live, history, first)
    for history in tables.HISTORIES:
        for name in ("drop_touched", "drop_versions"):
            await connection.execute(statements.fill(_SQL[name], history, live))


async def _bring_settings(connection: asyncpg.Connection, live: str) -> None:
    statement = statements.fill(_SQL["bring_settings"], tables.ASSET_SETTINGS, live)
    await connection.execute(statement)


async def block_at(connection: asyncpg.Connection, number: int) -> valuations.Block:
    """The highest stored block up to a number; before the first one, the number at time 0."""
    row = await connection.fetchrow(_SQL["block_at"], number)
    if row is None:
        return valuations.Block(number, 0)
    return valuations.Block(row["number"], int(row["timestamp"].timestamp()))


async def _restore(
    connection: asyncpg.Connection,
    engine: engines.Engine,
    live: str,
    history: tables.Table,
    first: int,
) -> None:
    count = await connection.fetchval(statements.fill(_SQL["count_touched"], history, live))
    bring = statements.fill(_SQL["bring_versions"], history, live)
    block = await block_at(connection, first - 1)
    for begin in range(1, count + 1, ROWS_AT_ONCE):
        await connection.execute(bring, first, begin, begin + ROWS_AT_ONCE - 1)
        await engine.rollback(connection, block)


async def take_back(
    connection: asyncpg.Connection,
    engine: engines.Engine,
    live: str,
    first: int,
    ancestor: int,
) -> None:
    """Make the shadow, begun at `first`, what it was at `ancestor`; the caller's transaction."""
    await _bring_settings(connection, live)
    for history in tables.HISTORIES:
        await connection.execute(
            statements.fill(_SQL["bring_foundation"], history, live), first, ancestor
        )
    await engine.rollback(connection, await block_at(connection, ancestor))
    for history in tables.HISTORIES:
        await connection.execute(statements.fill(_SQL["drop_foundation"], history, live), first)
    await derived.drop_above(connection, ancestor)
