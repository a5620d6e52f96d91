"""A database that goes silent in the middle of anything: no wait on it is without an end."""

from __future__ import annotations

import asyncio
import datetime
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from indexer import errors
from indexer.store import connection as connections
from indexer.store import database, locks
from tests import postgres
from tests.chaos import proxy

SEED = 20261
VARIANTS = 12
PATIENCE = 30.0


@pytest.fixture
async def way(empty_database_url: str) -> AsyncIterator[proxy.Proxy]:
    await postgres.execute(empty_database_url, "CREATE TABLE written (number int)")
    async with proxy.Proxy(empty_database_url) as made:
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of the daemon, a hundred times shorter."""
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(connections, "CANCEL_SECONDS", 0.2)
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.2)


async def asks(connection: connections.Connection, forget: Callable[[], None]) -> None:
    forget()
    await connection.fetchval("SELECT 1")


async def writes(connection: connections.Connection, forget: Callable[[], None]) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO written VALUES (1)")
        forget()
        await connection.execute("INSERT INTO written VALUES (2)")


async def commits(connection: connections.Connection, forget: Callable[[], None]) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO written VALUES (1)")
        forget()


async def copies(connection: connections.Connection, forget: Callable[[], None]) -> None:
    async with connection.transaction():
        forget()
        await connection.copy_records_to_table("written", records=[(1,), (2,)])


async def is_cancelled(connection: connections.Connection, forget: Callable[[], None]) -> None:
    async with connection.transaction():
        waiting = asyncio.ensure_future(connection.execute("SELECT pg_sleep(600)"))
        await asyncio.sleep(0.05)
        forget()
        waiting.cancel()
        await asyncio.wait([waiting])


async def runs_out_of_time(connection: connections.Connection, forget: Callable[[], None]) -> None:
    forget()
    await connection.fetchval("SELECT pg_sleep(600)", timeout=0.1)


OPERATIONS = (asks, writes, commits, copies, is_cancelled, runs_out_of_time)
Operation = Callable[[connections.Connection, Callable[[], None]], Awaitable[None]]


def variants() -> list[tuple[Operation, bool, bool]]:
    chance = random.Random(SEED)
    directions = [(True, True), (True, False), (False, True)]
    return [
        (OPERATIONS[number % len(OPERATIONS)], *chance.choice(directions))
        for number in range(VARIANTS)
    ]


@pytest.mark.parametrize(("operation", "to_server", "to_client"), variants())
async def test_no_statement_waits_for_a_silent_database(
    way: proxy.Proxy,
    empty_database_url: str,
    operation: Operation,
    to_server: bool,
    to_client: bool,
) -> None:
    print(f"seed {SEED}: {operation.__name__}, to server {to_server}, to client {to_client}")
    with pytest.raises(errors.DatabaseUnavailableError):
        async with asyncio.timeout(PATIENCE), database.session(way.url) as connection:
            await operation(connection, lambda: way.forget(to_server, to_client))
    count = await postgres.value(empty_database_url, "SELECT count(*) FROM written")
    assert count in ((0, 1) if operation is commits else (0, 2))


async def test_closing_has_a_limit(way: proxy.Proxy) -> None:
    connection = await database.connect(way.url)
    way.forget()
    async with asyncio.timeout(PATIENCE):
        await database.close(connection)
    assert connection.is_closed()


async def test_a_slow_statement_is_not_a_silent_one(empty_database_url: str) -> None:
    async with database.session(empty_database_url) as connection:
        assert await connection.fetchval("SELECT 7 FROM pg_sleep(2)") == 7


async def test_one_that_waits_for_a_lock_is_not_silent(way: proxy.Proxy) -> None:
    async with database.session(way.url) as holder, database.session(way.url) as waiter:
        async with holder.transaction():
            await holder.execute("LOCK TABLE written")
            waiting = asyncio.ensure_future(waiter.execute("INSERT INTO written VALUES (1)"))
            await asyncio.sleep(2)
        await waiting


async def lose_the_lock(way: proxy.Proxy) -> connections.Backend:
    """The server process that the network forgot, and that still holds the lock."""
    lock = locks.WriterLock(way.url, check_seconds=0.2)

    async def hold() -> None:
        async with lock:
            held.set_result(lock.backend)
            way.forget()
            await asyncio.sleep(PATIENCE)

    held: asyncio.Future[connections.Backend] = asyncio.get_running_loop().create_future()
    with pytest.raises(errors.DatabaseUnavailableError):
        await hold()
    return held.result()


async def test_the_writer_s_lock_is_taken_from_a_lost_session(way: proxy.Proxy) -> None:
    """The server still believes in the session that the network forgot."""
    async with asyncio.timeout(PATIENCE):
        backend = await lose_the_lock(way)
        with pytest.raises(errors.WriterConflictError):
            await locks.WriterLock(way.url).__aenter__()
        async with locks.WriterLock(way.url, left_behind=[backend]) as second:
            assert second.is_held()


async def test_a_later_process_with_the_number_of_ours_is_left_alone(way: proxy.Proxy) -> None:
    async with (
        locks.WriterLock(way.url) as stranger,
        database.session(way.url) as connection,
    ):
        assert stranger.backend is not None
        earlier = stranger.backend.started - datetime.timedelta(days=1)
        await locks.end(connection, [connections.Backend(stranger.backend.pid, earlier)])
        assert await postgres.value(
            way.url, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", stranger.backend.pid
        )
        assert stranger.is_held()


async def test_the_kernel_gives_up_a_vanished_peer() -> None:
    """The options of every TCP connection, as the kernel has them."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as connected:
            connections.limit_silence(connected)
            assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            tcp = {
                socket.TCP_KEEPIDLE: connections.KEEPALIVE_IDLE,
                socket.TCP_KEEPINTVL: connections.KEEPALIVE_INTERVAL,
                socket.TCP_KEEPCNT: connections.KEEPALIVE_COUNT,
                socket.TCP_USER_TIMEOUT: connections.USER_TIMEOUT_MS,
            }
            for option, value in tcp.items():
                assert connected.getsockopt(socket.IPPROTO_TCP, option) == value


def test_asyncpg_still_has_the_hook_for_a_cancel() -> None:
    assert callable(asyncpg.Connection._cancel_current_command)  # type: ignore[attr-defined]
