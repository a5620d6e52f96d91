"""The daemon: indexes into a migrated database until stopped, through any number of sessions.

process ─ lasts from start to end: node, HTTP side, systemd
   session ─ the writer's lock and one connection; begun anew where the database is lost
      ingestor ─ follows the chain and commits
      prover, reconciler, watcher, price sampler ─ run beside it on connections of their own
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import msgspec
import structlog

from indexer import errors
from indexer.chain import client
from indexer.daemon import contract_check, ingestor, sessions, systemd
from indexer.log import cursor, watch_list
from indexer.projections import listed_pools

log = structlog.get_logger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""How many seconds a helper without a connection waits for one, at first and at most."""

Helper = Callable[[client.StarknetNode, asyncio.Event], Awaitable[None]]
"""Work beside the ingestor, until the event is set."""


class Parts(msgspec.Struct, frozen=True):
    """What a daemon is made of; each part is made when it is first needed."""

    chain_id: str
    start_block: int
    node: Callable[[], Awaitable[client.StarknetNode]]
    ingestor: Callable[[client.StarknetNode, asyncpg.Connection], ingestor.Ingestor]
    contracts: tuple[watch_list.Contract, ...]
    listed: tuple[listed_pools.ListedPool, ...] = ()
    helpers: tuple[Helper, ...] = ()
    finish: Callable[[client.StarknetNode], Awaitable[None]] | None = None
    """The last step of a daemon that ends at a block."""
    serving: Callable[[], contextlib.AbstractAsyncContextManager[str]] | None = None
    """Serves HTTP while inside; yields the URL of its health check."""


class Daemon:
    """Indexes into a migrated database until stopped or until a block is committed."""

    def __init__(
        self,
        parts: Parts,
        database_sessions: sessions.Sessions,
        service: systemd.Notifier,
        stopping: asyncio.Event,
        until_block: int | None = None,
    ) -> None:
        self._parts = parts
        self._sessions = database_sessions
        self._service = service
        self._stopping = stopping
        self._until_block = until_block
        self._is_notifying = False
        self._lasting = contextlib.AsyncExitStack()
        self._node: client.StarknetNode | None = None
        self._ingestor: ingestor.Ingestor | None = None
        self._position: cursor.Cursor | None = None

    async def run(self) -> cursor.Cursor | None:
        """Index until stopped; the committed block, or None where no session came about.

        The HTTP side answers from the beginning, also while the database is migrated and the node
        probed.
        """
        async with self._lasting:
            if self._parts.serving is not None:
                url = await self._lasting.enter_async_context(self._parts.serving())
                log.info("serving", health=url)
            await self._sessions.run(self._session)
        return self._position

    async def _session(self, connection: asyncpg.Connection) -> None:
        """Work through one session with the database."""
        node = await self._connected_node()
        indexing = self._parts.ingestor(node, connection)
        await self._list_pools(connection)
        await indexing.open(self._parts.chain_id, self._parts.start_block)
        await contract_check.require(node, connection, self._parts.contracts)
        self._sessions.begun()
        log.info("started", from_block=indexing.position.block_number + 1)
        self._ingestor = indexing
        try:
            await self._notify_systemd()
            async with self._stop_passed_on(indexing), contextlib.AsyncExitStack() as helpers:
                for helper in self._parts.helpers:
                    await helpers.enter_async_context(_running(helper, node, indexing.stopping))
                await indexing.run(self._until_block)
            if self._has_arrived(indexing) and self._parts.finish is not None:
                await self._parts.finish(node)
                await indexing.revalue()
        finally:
            self._ingestor = None
            self._position = indexing.position

    async def _list_pools(self, connection: asyncpg.Connection) -> None:
        """Bring `is_listed` up to the configured list."""
        changed = await listed_pools.apply(connection, self._parts.listed)
        if changed:
            log.info("pools_listed", pools=len(self._parts.listed) or "all", changed=changed)

    def _has_arrived(self, indexing: ingestor.Ingestor) -> bool:
        """Whether the block at which the daemon ends is committed."""
        return (
            self._until_block is not None
            and indexing.position.block_number >= self._until_block
            and not self._stopping.is_set()
        )

    @contextlib.asynccontextmanager
    async def _stop_passed_on(self, indexing: ingestor.Ingestor) -> AsyncIterator[None]:
        """Pass the daemon's stop on to the ingestor while inside, but not the reverse."""
        waiting = asyncio.create_task(self._stopping.wait())
        waiting.add_done_callback(lambda _: indexing.stopping.set())
        try:
            yield
        finally:
            waiting.cancel()

    async def _connected_node(self) -> client.StarknetNode:
        """The node, probed the first time."""
        if self._node is None:
            self._node = await self._parts.node()
            self._lasting.push_async_callback(self._node.close)
        return self._node

    async def _notify_systemd(self) -> None:
        """Notify systemd from the first session to the end; begun once."""
        if not self._is_notifying:
            self._is_notifying = True
            await self._lasting.enter_async_context(
                self._service.telling(self._alive_at, self._describe, self._stopping)
            )

    def _alive_at(self) -> float:
        """The time of the last progress; waiting for the database counts as progress."""
        return time.monotonic() if self._ingestor is None else self._ingestor.alive_at

    def _describe(self) -> str:
        return "waiting for the database" if self._ingestor is None else self._ingestor.describe()


@contextlib.asynccontextmanager
async def _running(
    helper: Helper, node: client.StarknetNode, stopping: asyncio.Event
) -> AsyncIterator[None]:
    """Run a helper while inside; where it ends, so does the session, with the helper's error.

    A daemon whose helper died would look proved and checked, and would not be. One that gets no
    connection is tried again and again: the writer has its own.
    """
    running = asyncio.ensure_future(_with_patience(helper, node, stopping))
    running.add_done_callback(lambda _: stopping.set())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])
        # Retrieved even where the ingestor failed, whose error goes first.
        failure = None if running.cancelled() else running.exception()
    if failure is not None:
        raise failure


async def _with_patience(
    helper: Helper, node: client.StarknetNode, stopping: asyncio.Event
) -> None:
    """Run a helper, again where it has no connection to the database, or lost it."""
    pause = FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            return await helper(node, stopping)
        except errors.DatabaseUnavailableError as error:
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else pause
            log.warning("helper_without_database", reason=str(error), retry_in=pause)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)
            return None
        pause = min(pause * 2, LONGEST_PAUSE)
