"""A connection on which no wait is without a limit.

asyncpg waits for ever in four places: for the answer to a statement, for the acknowledgement of
a cancel, for the end of a connection, and on a socket whose other end has vanished. Each has a
limit here; what reaches it is terminated, so that whoever waits gets an error.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import socket
import sys
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import asyncpg
import msgspec
import structlog

from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "backends")

log = structlog.get_logger(__name__)

Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])

CONNECT_SECONDS = 10.0
"""How long one host may take to accept a connection and its login."""

CLOSE_SECONDS = 3.0
"""How long a server may take to end a connection before the connection is terminated."""

CANCEL_SECONDS = 5.0
"""How long a server may take to acknowledge a cancelled statement."""

SILENT_SECONDS = 20.0
"""How long a statement waits before the server is asked whether it still works on it."""

LOOK_SECONDS = 5.0
"""How often a connection is checked for a statement that waits that long."""

LONGEST_SECONDS = 21_600.0
"""How long any statement may take."""

LOOKS = 2
"""How many looks in a row must find that the server does not work on a statement."""

KEEPALIVE_IDLE = 15
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 3
USER_TIMEOUT_MS = 30_000
"""How long sent data may stay unacknowledged before the kernel gives the connection up."""

TCP_PARAMETERS: dict[str, str | int] = {
    "keepalives": 1,
    "keepalives_idle": KEEPALIVE_IDLE,
    "keepalives_interval": KEEPALIVE_INTERVAL,
    "keepalives_count": KEEPALIVE_COUNT,
    "tcp_user_timeout": USER_TIMEOUT_MS,
}
"""The same for libpq."""


_open: weakref.WeakSet[Connection] = weakref.WeakSet()


class Backend(msgspec.Struct, frozen=True):
    """A server process of ours. Its start tells it from a later one with the same number."""

    pid: int
    started: datetime.datetime


def _timed(method: Method) -> Method:
    """The method, which notes when its statement was sent and when it was answered."""

    @functools.wraps(method)
    async def timed(connection: Connection, *args: Any, **kwargs: Any) -> Any:
        connection.asked_at = time.monotonic()
        try:
            return await method(connection, *args, **kwargs)
        finally:
            connection.asked_at = None

    return cast(Method, timed)


class Connection(asyncpg.Connection):
    """asyncpg's connection with limits; `backend` is None behind a pooler that hides it."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self.asked_at: float | None = None
        self.backend: Backend | None = None
        _open.add(self)
        limit_silence(transport.get_extra_info("socket"))

    execute = _timed(asyncpg.Connection.execute)
    executemany = _timed(asyncpg.Connection.executemany)
    fetch = _timed(asyncpg.Connection.fetch)
    fetchrow = _timed(asyncpg.Connection.fetchrow)
    fetchval = _timed(asyncpg.Connection.fetchval)
    copy_records_to_table = _timed(asyncpg.Connection.copy_records_to_table)
    copy_to_table = _timed(asyncpg.Connection.copy_to_table)

    def _cancel_current_command(self, waiter: Any, cancel_waiter: Any = None) -> None:
        """asyncpg's only hook for a cancel: one that is not acknowledged ends the connection."""
        super()._cancel_current_command(waiter, cancel_waiter)  # type: ignore[misc]
        timer = asyncio.get_running_loop().call_later(CANCEL_SECONDS, self.terminate)
        if cancel_waiter is not None:
            cancel_waiter.add_done_callback(lambda _: timer.cancel())

    async def close(self, *, timeout: float | None = None) -> None:
        """Close; raises TimeoutError, terminated, where the server does not within the limit."""
        async with asyncio.timeout(CLOSE_SECONDS if timeout is None else timeout):
            await super().close(timeout=timeout)

    async def identify(self) -> None:
        """Learn the server process, which a lost connection is asked after by."""
        row = await self.fetchrow(_SQL["own"], timeout=CONNECT_SECONDS)
        if row is not None and row["pid"] == self.get_server_pid():
            self.backend = Backend(row["pid"], row["backend_start"])


class ReadConnection(Connection):
    """A connection of a pool of readers: they leave nothing behind that a reset would take away.

    What they set holds for a transaction, and asyncpg ends one that is left open. So a connection
    goes back to its pool without a question to the server.
    """

    def get_reset_query(self) -> str:
        """Nothing is asked."""
        return ""


def terminate_all() -> None:
    """Terminate every connection of this process: whoever waits on one gets an error at once."""
    for connection in list(_open):
        connection.terminate()


def limit_silence(connected: socket.socket | None) -> None:
    """Have the kernel notice within half a minute that the other end of a socket is gone."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    tcp = {
        "TCP_KEEPIDLE" if sys.platform != "darwin" else "TCP_KEEPALIVE": KEEPALIVE_IDLE,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL,
        "TCP_KEEPCNT": KEEPALIVE_COUNT,
        "TCP_USER_TIMEOUT": USER_TIMEOUT_MS,
    }
    for name, value in tcp.items():
        # A system that lacks one of them has the others, and the limits of this module.
        if (option := getattr(socket, name, None)) is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    for level, option, value in options:
        connected.setsockopt(level, option, value)


def watch(watched: Connection, connect: Callable[[], Awaitable[Connection]]) -> None:
    """From now on terminate the connection once its statement waits and nobody works on it.

    `connect` opens another connection to the same server, over which that is asked.
    """
    watching = asyncio.ensure_future(_watch(weakref.ref(watched), connect))

    def end(_: object) -> None:
        watching.cancel()

    watched.add_termination_listener(end)


async def _watch(
    watched: weakref.ref[Connection], connect: Callable[[], Awaitable[Connection]]
) -> None:
    looks, since = 0, None
    while (connection := watched()) is not None and not connection.is_closed():
        asked_at = connection.asked_at
        looks = looks if asked_at == since else 0
        since = asked_at
        if asked_at is not None and time.monotonic() - asked_at > SILENT_SECONDS:
            looks = 0 if await _is_working(connection.backend, connect) else looks + 1
            if looks >= LOOKS and connection.asked_at == asked_at:
                log.info("connection_silent", seconds=round(time.monotonic() - asked_at, 1))
                connection.terminate()
                return
        del connection
        await asyncio.sleep(LOOK_SECONDS)


async def _is_working(
    backend: Backend | None, connect: Callable[[], Awaitable[Connection]]
) -> bool:
    """Whether the server works on the process's statement, or cannot be asked for being full."""
    if backend is None:
        return True
    try:
        asking = await connect()
        try:
            return bool(
                await asking.fetchval(
                    _SQL["is_working"],
                    backend.pid,
                    backend.started,
                    timeout=CONNECT_SECONDS,
                )
            )
        finally:
            asking.terminate()
    except (asyncpg.TooManyConnectionsError, asyncpg.InsufficientResourcesError):
        return True
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        # Neither does a server that does not answer.
        return False
