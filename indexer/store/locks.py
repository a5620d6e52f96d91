"""The single writer: a session advisory lock on a connection of its own, tried, never awaited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection
from types import TracebackType

import asyncpg

from indexer import errors, urls
from indexer.store import connection as connections
from indexer.store import database, sqlfile

_SQL = sqlfile.load(__package__, "locks")
_BACKENDS = sqlfile.load(__package__, "backends")

WRITER_KEY = 0x5645_5355
"""The advisory lock's key: the letters VESU."""

CHECK_SECONDS = 10.0
"""How often the connection is asked; one whose other end vanished says nothing by itself."""

IDLE_LIMIT = "60s"

PATIENCE = 3
"""How many times CHECK_SECONDS an answer may take: a busy database is not a lost one."""

ANSWER_SECONDS = 30.0
"""How long the server may take to answer a question about locks, which waits for nothing."""

ENDING_SECONDS = 5.0
"""How long a server process that was told to end may hold its lock."""


class WriterLock:
    """The right to write this database, from entering to leaving the context.

    The body never goes on without the lock: when the connection that holds it ends, the body is
    cancelled and the context ends with DatabaseUnavailableError; with WriterConflictError when a
    pooler gave it to somebody else. Entering raises WriterConflictError, which says who holds it.
    `left_behind`: server processes of lost sessions of ours, which are ended first; a network
    that forgot a connection tells its server nothing.
    """

    def __init__(
        self,
        url: str,
        check_seconds: float = CHECK_SECONDS,
        left_behind: Collection[connections.Backend] = (),
    ) -> None:
        self._url = url
        self._check_seconds = check_seconds
        self._left_behind = left_behind
        self._connection: connections.Connection | None = None
        self._owner: asyncio.Task[object] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._is_lost = False
        self._is_given_away = False
        self._cancelled_before = 0

    async def __aenter__(self) -> WriterLock:
        connection = await database.connect(self._url)
        try:
            with database.translated_errors(self._url):
                await _take(connection, self._left_behind)
        except BaseException:
            await database.close(connection)
            raise
        self._connection = connection
        self._is_lost = self._is_given_away = False
        self._owner = asyncio.current_task()
        self._cancelled_before = self._owner.cancelling() if self._owner else 0
        connection.add_termination_listener(self._on_lost)
        self._watch = asyncio.create_task(self._keep_asking(connection))
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        connection, watch, owner = self._connection, self._watch, self._owner
        assert connection is not None and watch is not None and owner is not None
        connection.remove_termination_listener(self._on_lost)
        watch.cancel()
        self._connection = self._watch = self._owner = None
        if not self._is_lost:
            await database.close(connection)
            return
        connection.terminate()
        is_ours = owner.uncancel() <= self._cancelled_before
        # The body's own error, or somebody else's cancellation besides ours, goes on as such.
        if error is None or (is_ours and isinstance(error, asyncio.CancelledError)):
            raise self._loss() from None

    def _loss(self) -> errors.SurroundingsError:
        where = urls.redact(self._url)
        if self._is_given_away:
            return errors.WriterConflictError(
                f"the writer's lock was lost, and the connection to {where} that held it lives: a "
                "pooler in transaction mode gave it away: connect directly"
            )
        return errors.DatabaseUnavailableError(
            f"the connection to {where} that held the writer's lock was lost; {database.GOING_ON}"
        )

    @property
    def backend(self) -> connections.Backend | None:
        """The server process that holds the lock for us; None outside of the context."""
        return None if self._connection is None else self._connection.backend

    def is_held(self) -> bool:
        """Whether we hold the lock, as far as is known."""
        return self._connection is not None and not self._is_lost

    async def _keep_asking(self, connection: asyncpg.Connection) -> None:
        holder = _SQL["held"]
        is_held = True
        while is_held:
            await asyncio.sleep(self._check_seconds)
            is_held = False
            # Whatever kept it from answering, nothing says any more that the lock is ours.
            with contextlib.suppress(*database.CONNECTION_ERRORS):
                timeout = PATIENCE * self._check_seconds
                is_held = await connection.fetchval(holder, WRITER_KEY, timeout=timeout)
                self._is_given_away = not is_held
        self._on_lost(connection)

    def _on_lost(self, _connection: object) -> None:
        if not self._is_lost and self._owner is not None:
            self._is_lost = True
            self._owner.cancel()


async def try_lock(connection: asyncpg.Connection, key: int) -> bool:
    """Take an advisory lock of the session if it is free; whether it was."""
    return bool(await connection.fetchval(_SQL["try"], key))


async def holder_process(connection: asyncpg.Connection, key: int) -> int | None:
    """The server process that holds an advisory lock; None where nobody does."""
    pid: int | None = await connection.fetchval(_SQL["holder"], key)
    return pid


async def _take(
    connection: connections.Connection, left_behind: Collection[connections.Backend]
) -> None:
    await connection.execute(_SQL["keep_alive"], timeout=ANSWER_SECONDS)
    if left_behind:
        await end(connection, left_behind)
    deadline = time.monotonic() + (ENDING_SECONDS if left_behind else 0.0)
    while not await connection.fetchval(_SQL["try"], WRITER_KEY, timeout=ANSWER_SECONDS):
        if time.monotonic() >= deadline:
            holder = await connection.fetchrow(_SQL["holder"], WRITER_KEY, timeout=ANSWER_SECONDS)
            raise errors.WriterConflictError(
                _conflict(holder), None if holder is None else holder["pid"]
            )
        await asyncio.sleep(0.05)


async def end(connection: asyncpg.Connection, left_behind: Collection[connections.Backend]) -> None:
    """End server processes of our own role; those that are gone already are passed over."""
    pids = [backend.pid for backend in left_behind]
    started = [backend.started for backend in left_behind]
    await connection.execute(_BACKENDS["end"], pids, started, timeout=ANSWER_SECONDS)


def _conflict(holder: asyncpg.Record | None) -> str:
    if holder is None:
        return "another indexer just let go of this database: try again"
    name = f" ({holder['application_name']})" if holder["application_name"] else ""
    where = holder["client_addr"] or "this machine"
    since = holder["backend_start"]
    began = f", since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
    return (
        f"another indexer writes to this database: server process {holder['pid']}{name} from "
        f"{where}{began}; stop it first"
    )


async def limit_idle(connection: asyncpg.Connection, *, in_this_transaction: bool) -> None:
    """Have the server end a transaction that stands idle for a minute.

    A process that is put to sleep in one, or vanishes, must not keep what it holds locked.
    """
    await connection.execute(_SQL["limit_idle"], IDLE_LIMIT, in_this_transaction)
