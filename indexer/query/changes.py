"""Positions that changed in some blocks: few in the last ones."""

from __future__ import annotations

import asyncpg

from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "changes")

MOST = 5_000
"""Versions above a block up to which what changed since is looked up."""

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def are_few(
    connection: Connection, block_number: int, most: int, last: int | None = None
) -> bool:
    """Whether at most `most` versions of positions lie above a block, up to the block `last`."""
    return bool(await connection.fetchval(_SQL["are_few"], block_number, most, last))


async def keys(connection: Connection, block_number: int, most: int) -> list[asyncpg.Record] | None:
    """Pool id and id of the positions that changed; None: more than `most` times."""
    if not await are_few(connection, block_number, most):
        return None
    return await connection.fetch(_SQL["keys"], block_number)
