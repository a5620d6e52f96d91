"""The listed pools as the database remembers them, and `is_listed` in the rows of each pool.

The list is configuration: another one changes `is_listed`, and no state. Whatever writes rows
reads the list from the database, so that all of them agree.
"""

from __future__ import annotations

from collections.abc import Collection

import asyncpg
import msgspec

from indexer.projections import statements, tables
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "listed_pools")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class ListedPool(msgspec.Struct, frozen=True):
    """A pool of the list. `origin`: package or configuration."""

    pool_id: str
    name: str | None
    origin: str


class Listed(msgspec.Struct, frozen=True):
    """The pools that count, by pool id as the tables hold it; None: every pool."""

    pool_ids: frozenset[str] | None = None

    def has(self, pool_id: str) -> bool:
        """Whether a pool is listed."""
        return self.pool_ids is None or pool_id in self.pool_ids


EVERY = Listed()


async def read(connection: Connection) -> Listed:
    """The list that rows are written by. An empty list lists every pool."""
    rows = await connection.fetch(_SQL["read"])
    return Listed(frozenset(row["pool_id"] for row in rows)) if rows else EVERY


async def apply(connection: Connection, listed: Collection[ListedPool]) -> list[str]:
    """Remember the list (empty: every pool) and bring `is_listed` up to it, a pool at a time.

    Returns the ids of the pools whose rows changed. What a kill leaves is done by the next call.
    """
    async with connection.transaction():
        await connection.execute(
            _SQL["remember"],
            [listed_pool.pool_id for listed_pool in listed],
            [listed_pool.name for listed_pool in listed],
            [listed_pool.origin for listed_pool in listed],
        )
    return await settle(connection, is_live=True)


async def settle(connection: Connection, *, is_live: bool) -> list[str]:
    """Bring `is_listed` of every row up to the remembered list; the ids of the pools changed.

    `is_live`: readers see these rows, and what they keep of them counts no more.
    """
    misplaced = [row["pool_id"] for row in await connection.fetch(_SQL["misplaced"])]
    for pool_id in misplaced:
        async with connection.transaction():
            # The assets last: `misplaced` looks at them.
            for table in (tables.POSITIONS, tables.POOLS, tables.ASSETS):
                await connection.execute(statements.fill(_SQL["list_rows"], table), pool_id)
            if is_live:
                await connection.execute(_SQL["replaced"])
    return misplaced
