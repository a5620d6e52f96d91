"""A writer's sessions with its database: where one is lost, the next is begun.

A session is the writer's lock, one connection, and the work on it. Whatever takes it away by
itself passes by itself (a restart, a failover, a cut network, a deadlock, a full disk): then
everything is begun anew from what is committed, after a growing pause. What a person must mend
ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import structlog

from indexer import errors, metrics
from indexer.store import connection as connections
from indexer.store import database, locks, migrate

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 15.0

LET_GO_SECONDS = 90.0
"""How long after a loss the server may believe that the lost session lives, where it could not be
told to end it: it asks a silent connection for a sign of life after 30 s, three times."""


class Sessions:
    """The sessions of one daemon. `stopping` ends what is being waited for.

    `revive` brings a server of our own up again; it may block.
    """

    def __init__(
        self, url: str, stopping: asyncio.Event, revive: Callable[[], None] = lambda: None
    ) -> None:
        self._url = url
        self._stopping = stopping
        self._revive = revive
        self._has_begun = False
        self._is_inside = False
        self._has_moved = False
        self._backends: set[connections.Backend] = set()
        self._lost_at: float | None = None

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T | None:
        """Do the work, in as many sessions as it takes; None where stopped between two.

        The first session must come about at once: until then every error ends it. Inside
        `work` it is the work's own business to heed `stopping`.
        """
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            self._has_moved = False
            try:
                return await self._unless_stopped(self._session(work))
            except errors.DatabaseUnavailableError as error:
                pause = FIRST_PAUSE if self._has_moved else pause
                self._note(error, pause, self._has_begun)
            except errors.WriterConflictError as error:
                self._note(error, pause, self._is_our_own(error.holder))
            await self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        return None

    def _note(self, error: errors.SurroundingsError, pause: float, may_pass: bool) -> None:
        if not may_pass:
            raise error
        self._lost_at = self._lost_at or time.monotonic()
        metrics.database_failures.inc()
        log.warning("database_trouble", reason=str(error), retry_in=pause)

    def _is_our_own(self, holder: int | None) -> bool:
        """Whether the session that we lost still holds the lock, as far as the server knows."""
        lost = self._lost_at
        is_recent = lost is not None and _since(lost) < LET_GO_SECONDS
        return is_recent and any(holder == backend.pid for backend in self._backends)

    async def _session(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        self._is_inside = False
        if self._has_begun:
            await asyncio.to_thread(self._come_back)
        async with locks.WriterLock(self._url, left_behind=self._backends) as lock:
            self._backends = _known(lock.backend)
            async with database.session(self._url) as connection:
                self._backends |= _known(connection.backend)
                await locks.limit_idle(connection, in_this_transaction=False)
                self._is_inside = True
                return await work(connection)

    def _come_back(self) -> None:
        """What comes back may be another server, or an older or newer state of it."""
        self._revive()
        migrate.upgrade(self._url)

    def begun(self) -> None:
        """The work's word that it has read what it needs: from now on losses are survived."""
        if self._lost_at is not None:
            log.info("database_back", seconds=round(_since(self._lost_at), 1))
        self._has_begun = True
        self._lost_at = None

    def moved(self) -> None:
        """The work's word that it got on: after the next loss the pauses begin small again."""
        self._has_moved = True

    async def _unless_stopped(self, session: Awaitable[T]) -> T:
        """Break off the way into a session, but never the work in it, when asked to stop."""
        task = asyncio.ensure_future(session)
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not self._is_inside:
                task.cancel()
            return await task
        finally:
            stopped.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _known(backend: connections.Backend | None) -> set[connections.Backend]:
    return set() if backend is None else {backend}


def _since(moment: float) -> float:
    return time.monotonic() - moment
