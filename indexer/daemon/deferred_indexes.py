"""Indexes of positions that are left out while a long history is written for the first time.

Every change of a position changes them too, at pages that are far apart. Made once at the end they
cost a small part of that. Which of them are missing is all that has to be known: a daemon that was
killed in between makes them after its next catch-up.
"""

from __future__ import annotations

import time

import asyncpg
import structlog

from indexer.audit import indexes
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
)
"""All on what changes with a position's state or value, and no part of a fill reads them. Without
them PostgreSQL updates a row within its page, and the other indexes stay as they are. Positions can
be read by id, user and pool all the while; sorted by health or worth they are slow."""


class DeferredIndexes:
    """Drops the indexes `NAMES` once in a first fill, and makes those that are missing."""

    def __init__(self, connection: asyncpg.Connection, from_events: int) -> None:
        """`from_events` 0: nothing is dropped; what is missing is made all the same.

        A fill of a few thousand events gains nothing by dropping them.
        """
        self._connection = connection
        self._from_events = from_events
        self._most_left = 0
        self._missing: frozenset[str] = frozenset()

    async def open(self, *, is_new: bool) -> None:
        """Find out which are missing.

        Only in a new database anything is dropped later on: who reads one that is in use counts on
        its indexes.
        """
        present = await self._connection.fetchval(_SQL["present"], NAMES)
        self._missing = frozenset(NAMES).difference(present)
        if not is_new:
            self._from_events = 0

    def are_due(self, events: int, blocks_left: int, *, is_at_head: bool) -> bool:
        """Whether `change` has to come before the next range, after so many events of this run.

        They are dropped while at least half of the blocks are still to come, and made before the
        head, where every block reads them.
        """
        if is_at_head:
            return bool(self._missing)
        self._most_left = max(self._most_left, blocks_left)
        is_long = blocks_left * 2 >= self._most_left
        return 0 < self._from_events <= events and is_long

    async def change(self) -> None:
        """Make those that are missing; where all are there, drop them."""
        if self._missing:
            await self.build()
        else:
            await self._drop()

    async def build(self) -> None:
        """Make those that are missing, each in a transaction of its own."""
        statements = indexes.statements()
        for name in NAMES:
            if name in self._missing:
                await self._build(name, statements[name])

    async def _build(self, name: str, statement: str) -> None:
        began = time.monotonic()
        async with self._connection.transaction():
            await self._connection.execute(_SQL["take_time"])
            # A text of the migrations; an index of this name that somebody made meanwhile stays.
            await self._connection.execute(statement.replace("INDEX", "INDEX IF NOT EXISTS", 1))
        self._missing -= {name}
        seconds = round(time.monotonic() - began, 1)
        log.info("index_made", index=name, seconds=seconds, left=len(self._missing))

    async def _drop(self) -> None:
        """Drop them in one transaction; they stay where this role may not, or where a reader holds
        the table. Tried once."""
        self._from_events = 0
        try:
            async with self._connection.transaction():
                await self._connection.execute(_SQL["wait_little"])
                await self._connection.execute(_SQL["drop"])
        except (asyncpg.InsufficientPrivilegeError, asyncpg.LockNotAvailableError) as error:
            log.info("indexes_kept", reason=str(error))
            return
        self._missing = frozenset(NAMES)
        log.info("indexes_deferred", indexes=sorted(NAMES))
