"""Reads the log for a shadow batch by batch, the next one while the one before is folded."""

from __future__ import annotations

import asyncio

import asyncpg
import msgspec

from indexer.log import facts, observations
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "build")


class Logged(msgspec.Struct, frozen=True):
    """A batch of the log, and the observations of its blocks."""

    batch: facts.Batch
    seen: list[observations.Observation]


class LogReader:
    """Reads from block `first` to `last` through `connection`, about `size` events at a time.

    `is_reorganised`: the log holds another branch than the shadow, and no more is read of it.
    """

    def __init__(self, connection: asyncpg.Connection, first: int, last: int, size: int) -> None:
        self.is_reorganised = False
        self._connection = connection
        self._first = first
        self._last = last
        self._size = size
        self._ahead: asyncio.Task[Logged | None] | None = None

    async def next(self) -> Logged | None:
        """The next batch; None: there is none, or it is of another branch."""
        self.read_ahead()
        if self._ahead is None:
            return None
        logged, self._ahead = await self._ahead, None
        self.is_reorganised = logged is None
        if logged is not None:
            self._first = logged.batch.to_block + 1
        return logged

    def read_ahead(self) -> None:
        """Begin to read what `next` returns; nothing else may use the connection until then."""
        if self._ahead is None and self._first <= self._last:
            self._ahead = asyncio.create_task(self._read())

    async def _read(self) -> Logged | None:
        # In one snapshot: what is read is of the branch that the shadow stands on.
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            if await self._connection.fetchval(_SQL["is_reorganised"]):
                return None
            batch = await facts.read_batch(self._connection, self._first, self._last, self._size)
            seen = await observations.read_blocks(
                self._connection, batch.from_block, batch.to_block
            )
            return Logged(batch, seen)

    async def stop(self) -> None:
        """Break off what is being read."""
        if self._ahead is not None:
            self._ahead.cancel()
            # What it failed with, if anything, goes behind the error that ends the build.
            await asyncio.gather(self._ahead, return_exceptions=True)
