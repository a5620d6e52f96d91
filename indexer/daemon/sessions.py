"""The writer's sessions with its database: a lost session is followed by the next.

A session is the writer's lock, one connection, and the work on it. After a loss that passes by
itself (a restart, a failover, a cut network, a deadlock, a full disk) the next session begins from
what is committed, after a growing pause. What a person must mend ends the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import structlog

from indexer import errors, metrics
from indexer.store import blocking, database, locks, migrate
from indexer.store import connection as connections

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 15.0

LET_GO_SECONDS = 90.0
"""How long after a loss the server may believe that the lost session lives, where it could not be
told to end it: it asks a silent connection for a sign of life after 30 s, three times."""


COMMIT_SECONDS = 10.0
"""How long a commit may take once the daemon is told to stop, before it is rolled back."""

ROLLBACK_SECONDS = 3.0
"""How long the rollback may take; then the connections are terminated, and the server does it."""


class Sessions:
    """The sessions of one daemon. `stopping` ends what is being waited for, `hurrying` a commit.

    `revive` starts an embedded server again that died; it may block.
    """

    def __init__(
        self,
        url: str,
        stopping: asyncio.Event,
        revive: Callable[[], None] = lambda: None,
        hurrying: asyncio.Event | None = None,
    ) -> None:
        self._url = url
        self._stopping = stopping
        self._hurrying = hurrying or asyncio.Event()
        self._revive = revive
        self._has_begun = False
        self._is_indexing = False
        self._has_progressed = False
        self._backends: set[connections.Backend] = set()
        self._lost_at: float | None = None

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T | None:
        """Do the work, in as many sessions as it takes; None where it was stopped.

        Every error ends the first session until `work` calls `begun`. From then on `work` itself
        heeds `stopping`; before, it is cancelled.
        """
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            self._has_progressed = False
            try:
                return await self._until_stopped(self._session(work))
            except errors.DatabaseUnavailableError as error:
                pause = FIRST_PAUSE if self._has_progressed else pause
                self._note(error, pause, self._has_begun)
            except errors.WriterConflictError as error:
                self._note(error, pause, self._is_our_own(error.holder))
            await self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        return None

    def _note(self, error: errors.SurroundingsError, pause: float, may_pass: bool) -> None:
        if not may_pass and not self._stopping.is_set():
            raise error
        self._lost_at = self._lost_at or time.monotonic()
        metrics.database_failures.inc()
        log.warning("database_trouble", reason=str(error), retry_in=pause)

    def _is_our_own(self, holder: int | None) -> bool:
        """Whether the lost session still holds the lock, as far as the server knows."""
        lost = self._lost_at
        is_recent = lost is not None and _since(lost) < LET_GO_SECONDS
        return is_recent and any(holder == backend.pid for backend in self._backends)

    async def _session(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        self._is_indexing = False
        await blocking.in_thread(self._prepare)
        async with locks.WriterLock(self._url, left_behind=self._backends) as lock:
            self._backends = _known(lock.backend)
            async with database.session(self._url) as connection:
                self._backends |= _known(connection.backend)
                await locks.limit_idle(connection, in_this_transaction=False)
                return await work(connection)

    def _prepare(self) -> None:
        """Migrate: after a loss it may be another server, or an older or newer state of it."""
        if self._has_begun:
            self._revive()
            migrate.upgrade_again(self._url)
        else:
            migrate.upgrade(self._url)

    def begun(self) -> None:
        """Called by the work once it has read its state: from now on losses are survived."""
        if self._lost_at is not None:
            log.info("database_back", seconds=round(_since(self._lost_at), 1))
        self._has_begun = self._is_indexing = True
        self._lost_at = None

    def progressed(self) -> None:
        """Called by the work when it progressed: after the next loss the pauses begin small."""
        self._has_progressed = True

    async def _until_stopped(self, session: Awaitable[T]) -> T | None:
        """The session's result; None where it was ended because the daemon stops."""
        task = asyncio.ensure_future(session)
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await self._end(task)
            if not task.done() or (task.cancelled() and self._stopping.is_set()):
                return None
            return await task
        finally:
            stopped.cancel()
            if not task.done():
                await _roll_back(task)

    async def _end(self, task: asyncio.Future[T]) -> None:
        """End a session at once, or once the commit in progress is done, if that is soon."""
        if self._is_indexing:
            hurried = asyncio.create_task(self._hurrying.wait())
            waited: list[asyncio.Future[Any]] = [task, hurried]
            await asyncio.wait(waited, timeout=COMMIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
        if not task.done():
            await _roll_back(task)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


async def _roll_back(task: asyncio.Future[T]) -> None:
    """Cancel a session; the connections of one that does not end soon are terminated."""
    task.cancel()
    await asyncio.wait([task], timeout=ROLLBACK_SECONDS)
    if not task.done():
        log.warning("connections_terminated", reason="the database does not answer")
        connections.terminate_all()
        await asyncio.wait([task], timeout=ROLLBACK_SECONDS)


def _known(backend: connections.Backend | None) -> set[connections.Backend]:
    return set() if backend is None else {backend}


def _since(moment: float) -> float:
    return time.monotonic() - moment
