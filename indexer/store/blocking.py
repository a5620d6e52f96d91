"""psycopg, which waits in a thread: with limits, and so that another thread can break it off."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo

from indexer.store import connection as connections
from indexer.store import database, sqlfile

_SQL = sqlfile.load(__package__, "backends")

T = TypeVar("T")

ANSWER_SECONDS = 30.0
"""How long a statement that waits for nothing may take."""

LOOKS = 6
"""How many looks in a row must find that the server does not work on a migration."""


class Breaker:
    """The sockets of connections in use; tripped, whoever waits on one gets an error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._is_tripped = False

    @contextlib.contextmanager
    def guarding(self, file: int) -> Iterator[socket.socket]:
        """Guard the socket with this file number while inside."""
        guarded = socket.socket(fileno=os.dup(file))
        try:
            with self._lock:
                self._sockets.add(guarded)
            if self._is_tripped:
                shut(guarded)
            yield guarded
        finally:
            with self._lock:
                self._sockets.discard(guarded)
            guarded.close()

    def trip(self) -> None:
        """Shut every guarded socket, now and from now on."""
        with self._lock:
            self._is_tripped = True
            for guarded in self._sockets:
                shut(guarded)


_breaker: contextvars.ContextVar[Breaker] = contextvars.ContextVar("breaker")


def shut(connected: socket.socket) -> None:
    """End a connection in both directions, whoever else waits on it."""
    with contextlib.suppress(OSError):  # The other end was faster.
        connected.shutdown(socket.SHUT_RDWR)


async def in_thread(work: Callable[[], T]) -> T:
    """Do blocking work in a thread that ends with the caller: cancelled, it is broken off.

    Nobody waits for the thread then, the end of the process neither.
    """
    done: concurrent.futures.Future[T] = concurrent.futures.Future()
    done.set_running_or_notify_cancel()
    breaker = Breaker()
    context = contextvars.copy_context()
    context.run(_breaker.set, breaker)

    def run() -> None:
        try:
            done.set_result(context.run(work))
        except Exception as error:  # noqa: BLE001 - the caller gets it
            done.set_exception(error)

    threading.Thread(target=run, name="database", daemon=True).start()
    try:
        return await asyncio.wrap_future(done)
    finally:
        if not done.done():
            breaker.trip()


class Connection(psycopg.Connection[Any]):
    """psycopg's connection, none of whose statements waits longer than ANSWER_SECONDS."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer; OperationalError where it does not come in time."""
        return super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)


@contextlib.contextmanager
def connected(url: str, kind: type[psycopg.Connection[Any]] = Connection) -> Iterator[Any]:
    """A connection that commits each statement, while inside."""
    database.require_user(url)
    with (
        kind.connect(parameters(url), autocommit=True) as connection,
        _breaker.get(Breaker()).guarding(connection.fileno()),
    ):
        yield connection


def parameters(url: str) -> str:
    """The URL for libpq with the limits of every connection, where it does not set its own."""
    url_parameters = conninfo.conninfo_to_dict(database.libpq_url(url))
    limits: dict[str, Any] = {"connect_timeout": int(connections.CONNECT_SECONDS)}
    return conninfo.make_conninfo(**(limits | connections.TCP_PARAMETERS | url_parameters))


@contextlib.contextmanager
def watched(asking: psycopg.Connection[Any], working: psycopg.Connection[Any]) -> Iterator[None]:
    """While inside, end `working` once the server has not worked on it for half a minute.

    That is asked over `asking`, which nobody else may use meanwhile.
    """
    ended = threading.Event()
    pid = working.info.backend_pid

    def is_working() -> bool:
        with contextlib.suppress(psycopg.Error):
            row = asking.execute(_SQL["is_active"], {"pid": pid}).fetchone()
            return row is not None and bool(row[0])
        return False

    def look(guarded: socket.socket) -> None:
        idle = 0
        while not ended.wait(connections.LOOK_SECONDS):
            idle = 0 if is_working() else idle + 1
            if idle >= LOOKS:
                shut(guarded)

    with _breaker.get(Breaker()).guarding(working.fileno()) as guarded:
        looking = threading.Thread(target=look, args=(guarded,), daemon=True)
        if is_known(asking, pid):
            looking.start()
        try:
            yield
        finally:
            ended.set()
            if looking.is_alive():
                looking.join(ANSWER_SECONDS)


def is_known(asking: psycopg.Connection[Any], pid: int) -> bool:
    """Whether the server has a process with this number; behind a pooler it may not."""
    return asking.execute(_SQL["is_known"], {"pid": pid}).fetchone() is not None
