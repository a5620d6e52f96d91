"""Indexes that are left out while a long history is written for the first time.

Every change of a position changes its indexes too, at pages that are far apart, and those of
events by name or contract and of transactions by amount grow at as many places as there are
values. Made once at the end they cost a small part of that, and the latter take half of the room.
The table deferred_indexes says which were dropped: a daemon that was killed in between makes them
after its next catch-up.

At the end of that first fill PostgreSQL knows nothing of the tables yet: it gathers statistics
within a minute, and plans until then as if they were small.
"""

from __future__ import annotations

import time

import asyncpg
import structlog

from indexer.audit import indexes
from indexer.projections import tables
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "deferred_indexes")

log = structlog.get_logger(__name__)

NAMES = (
    "idx_vesu_positions_status",
    "idx_vesu_positions_health_factor",
    "idx_vesu_positions_status_health",
    "idx_vesu_positions_last_updated",
    "idx_vesu_positions_valued_at_block",
    "idx_vesu_positions_shares_to_debt",
    "idx_vesu_positions_by_debt",
    "idx_vesu_positions_by_shares",
    "idx_events_layout",
    "idx_events_emitter",
    "idx_vesu_transactions_asset",
    "idx_vesu_transactions_asset_address",
    "idx_vesu_transactions_amount",
)
"""No part of a fill reads them. Those of positions are on what changes with a position's state or
value: without them PostgreSQL updates a row within its page, and the other indexes stay as they
are. Positions can be read by id, user and pool all the while; sorted by health or worth they are
slow, and so are events by name or contract and transactions by asset or amount."""

STATISTICS_FROM = 1_000
"""The fewest events of a first fill whose tables need statistics at once."""

MARKETS = tuple(
    name
    for table in (tables.CONTRACTS, tables.ASSETS, tables.POOLS)
    for name in (table.name, table.past.stored_name)
)
"""The tables that any answer about state reads, of which a stranger can make thousands of rows. The
others are large, and take as long as all the rest of the end of a fill."""

PUT_OFF_SECONDS = 60.0
"""How long they are left alone where another session held the table."""

_KEEP = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.FeatureNotSupportedError,
)
"""Why indexes cannot be dropped: somebody else's table, a reader, or a table that Citus holds."""


class DeferredIndexes:
    """Drops the indexes `NAMES` once, in a first fill, and makes those that it dropped; then
    statistics are gathered.

    `is_building`: PostgreSQL is at that, which may take minutes.
    """

    def __init__(self, connection: asyncpg.Connection, from_events: int) -> None:
        """`from_events` 0: nothing is dropped; what was dropped is made all the same.

        A fill of a few thousand events gains nothing by dropping them.
        """
        self.is_building = False
        self._connection = connection
        self._from_events = from_events
        self._most_left = 0
        self._dropped: tuple[str, ...] = ()
        self._put_off_until = 0.0
        self._lacks_statistics = False

    async def open(self, *, is_new: bool) -> None:
        """Read which were dropped. Only in a new database others are dropped later on: readers of
        one that is in use need its indexes."""
        self._dropped = tuple(await self._connection.fetchval(_SQL["dropped"]))
        self._lacks_statistics = is_new
        if not is_new:
            self._from_events = 0

    @property
    def are_missing(self) -> bool:
        """Whether any is to be made: at the head every block reads them."""
        return bool(self._dropped) and time.monotonic() >= self._put_off_until

    def are_to_drop(self, events: int, blocks_left: int) -> bool:
        """Whether to drop them now, after so many events: half of the blocks must still come."""
        self._most_left = max(self._most_left, blocks_left)
        is_long = blocks_left * 2 >= self._most_left
        return 0 < self._from_events <= events and is_long

    async def drop(self) -> None:
        """Drop them in one transaction. They stay where the role may not drop them, or where a
        reader holds the table for seconds; this is tried once."""
        self._from_events = 0
        try:
            async with self._connection.transaction():
                await self._connection.execute(_SQL["wait_little"])
                dropped = await self._connection.fetchval(_SQL["note_dropped"], NAMES)
                await self._connection.execute(_SQL["drop"])
        except _KEEP as error:
            log.info("indexes_kept", reason=str(error))
            return
        self._dropped = tuple(dropped)
        log.info("indexes_deferred", indexes=dropped)

    async def build(self, events: int) -> None:
        """Make those that were dropped, each in a transaction of its own. The first fill is over,
        after so many events.

        Where another session holds the table for seconds, the rest is put off for a minute.
        """
        self._from_events = 0
        gathers = self._lacks_statistics and events >= STATISTICS_FROM
        self._lacks_statistics = False
        self.is_building = True
        try:
            if self.are_missing:
                await self._build_all()
            if gathers:
                await self._gather_statistics()
        finally:
            self.is_building = False

    async def _build_all(self) -> None:
        # Texts of the migrations.
        statements, comments = indexes.statements(), indexes.comments()
        try:
            for name in self._dropped:
                await self._build(name, statements[name], comments.get(name))
        except asyncpg.LockNotAvailableError as error:
            self._put_off_until = time.monotonic() + PUT_OFF_SECONDS
            log.info("indexes_put_off", indexes=self._dropped, reason=str(error))
        except asyncpg.InsufficientPrivilegeError as error:
            log.warning("indexes_not_made", indexes=self._dropped, reason=str(error))
            self._dropped = ()

    async def _gather_statistics(self) -> None:
        """Who holds one of the tables for seconds leaves it to PostgreSQL."""
        for table in MARKETS:
            try:
                async with self._connection.transaction():
                    await self._connection.execute(_SQL["wait_little"])
                    await self._connection.execute(_SQL["take_time"])
                    await self._connection.execute(f"ANALYZE {table}")
            except asyncpg.LockNotAvailableError:
                continue

    async def _build(self, name: str, statement: str, comment: str | None) -> None:
        began = time.monotonic()
        async with self._connection.transaction():
            await self._connection.execute(_SQL["wait_little"])
            await self._connection.execute(_SQL["take_time"])
            # An index of this name that somebody made meanwhile stays.
            await self._connection.execute(statement.replace("INDEX", "INDEX IF NOT EXISTS", 1))
            if comment is not None:
                await self._connection.execute(comment)
            await self._connection.execute(_SQL["note_made"], name)
        self._dropped = tuple(other for other in self._dropped if other != name)
        seconds = round(time.monotonic() - began, 1)
        log.info("index_made", index=name, seconds=seconds, left=len(self._dropped))
