"""Maps stored blocks to chain time."""

from __future__ import annotations

import asyncpg

from indexer import errors
from indexer.log import facts
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "blocks_by_time")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def around(connection: Connection, seconds: int) -> tuple[int | None, int]:
    """The last stored block before a time, None where there is none, and the first one at or
    after it, which the committed block is or follows.

    LogMovedError where no such block is stored: a rollback took the committed block back since
    the caller read the cursor.
    """
    row = await connection.fetchrow(_SQL["around"], facts.as_datetime(seconds))
    if row is None or row["first"] is None:
        raise errors.LogMovedError()
    return row["last"], row["first"]


async def stored_hash(connection: Connection, number: int) -> str | None:
    """The hash of a block in minimal hex; None where it is not stored."""
    found = await connection.fetchval(_SQL["hash"], number)
    return None if found is None else facts.minimal(found)


async def first_time_with_assets(connection: Connection) -> int | None:
    """The time of the first block that a pool had an asset at; None: there is none."""
    moment = await connection.fetchval(_SQL["first_time_with_assets"])
    return None if moment is None else int(moment.timestamp())
