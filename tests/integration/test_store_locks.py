"""The writer's lock: one holder, named to the next; and nobody goes on who lost it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from indexer import errors
from indexer.store import locks
from tests import postgres

FOREVER = 30.0


@pytest.fixture
async def admin(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def holder(admin: asyncpg.Connection) -> int:
    """The server process that holds the lock."""
    pid: int = await admin.fetchval(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
        locks.WRITER_KEY,
    )
    return pid


async def test_a_second_writer_is_told_who_the_first_is(
    empty_database_url: str, admin: asyncpg.Connection
) -> None:
    async with locks.WriterLock(empty_database_url) as first:
        assert first.is_held()
        pid = await holder(admin)
        with pytest.raises(errors.WriterConflictError) as refused:
            async with locks.WriterLock(empty_database_url):
                pytest.fail("there are two writers")
        assert f"server process {pid} (vesu-indexer) from " in str(refused.value)
        assert ", since 20" in str(refused.value)
        assert first.is_held()
    assert not first.is_held()
    assert await holder(admin) is None
    async with locks.WriterLock(empty_database_url) as second:
        assert second.is_held()


async def test_a_refused_writer_leaves_no_connection(
    empty_database_url: str, admin: asyncpg.Connection
) -> None:
    async with locks.WriterLock(empty_database_url):
        for _ in range(3):
            with pytest.raises(errors.WriterConflictError):
                await locks.WriterLock(empty_database_url).__aenter__()
        while await sessions(admin) > 2:  # a server process takes a moment to end
            await asyncio.sleep(0.02)


async def sessions(admin: asyncpg.Connection) -> int:
    count: int = await admin.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    )
    return count


async def test_each_database_has_a_writer_of_its_own(empty_database_url: str) -> None:
    async with (
        postgres.fresh_database() as other,
        locks.WriterLock(empty_database_url) as ours,
        locks.WriterLock(other) as theirs,
    ):
        assert ours.is_held()
        assert theirs.is_held()


async def test_other_locks_of_the_same_number_are_none_of_ours(
    empty_database_url: str, admin: asyncpg.Connection
) -> None:
    await admin.execute("SELECT pg_advisory_lock(0, $1)".replace("$1", str(locks.WRITER_KEY)))
    async with locks.WriterLock(empty_database_url) as lock:
        assert lock.is_held()


async def terminated(lock: locks.WriterLock, admin: asyncpg.Connection) -> None:
    """An administrator, a restart or a failing network ends the connection."""
    await admin.fetchval("SELECT pg_terminate_backend($1)", await holder(admin))


async def silent(lock: locks.WriterLock, _: asyncpg.Connection) -> None:
    """The other end vanishes without a word."""
    held(lock)._transport.pause_reading()  # type: ignore[attr-defined]


async def pooled(lock: locks.WriterLock, _: asyncpg.Connection) -> None:
    """A pooler gives the session that has the lock to somebody else."""
    await held(lock).execute("SELECT pg_advisory_unlock_all()")


def held(lock: locks.WriterLock) -> asyncpg.Connection:
    assert lock._connection is not None
    return lock._connection


async def go_on(lock: locks.WriterLock, loss: Callable[[], Awaitable[None]]) -> None:
    async with lock:
        await loss()
        await asyncio.sleep(FOREVER)
        pytest.fail("it went on")


@pytest.mark.parametrize(
    ("end", "kind", "said"),
    [
        (terminated, errors.DatabaseUnavailableError, "writer's lock was lost; nothing"),
        (silent, errors.DatabaseUnavailableError, "writer's lock was lost; nothing"),
        (pooled, errors.WriterConflictError, "pooler in transaction mode gave it away"),
    ],
)
async def test_nobody_goes_on_without_the_lock(
    empty_database_url: str,
    admin: asyncpg.Connection,
    end: Callable[[locks.WriterLock, asyncpg.Connection], Awaitable[None]],
    kind: type[Exception],
    said: str,
) -> None:
    lock = locks.WriterLock(empty_database_url, check_seconds=0.2)
    with pytest.raises(kind, match=said):
        await go_on(lock, lambda: end(lock, admin))
    assert not lock.is_held()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0  # used up: the caller goes on undisturbed
    await asyncio.sleep(0)


async def test_a_loss_does_not_hide_the_bodys_own_error(
    empty_database_url: str, admin: asyncpg.Connection
) -> None:
    async def fail() -> None:
        async with locks.WriterLock(empty_database_url) as lock:
            try:
                await terminated(lock, admin)
                await asyncio.sleep(FOREVER)
            except asyncio.CancelledError:
                raise ZeroDivisionError from None

    with pytest.raises(ZeroDivisionError):
        await fail()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_lock_outlives_its_checks(empty_database_url: str) -> None:
    async with locks.WriterLock(empty_database_url, check_seconds=0.01) as lock:
        await asyncio.sleep(0.3)
        assert lock.is_held()


async def test_the_bodys_own_end_is_its_own(
    empty_database_url: str, admin: asyncpg.Connection
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with locks.WriterLock(empty_database_url):
            raise ZeroDivisionError

    async def body() -> None:
        async with locks.WriterLock(empty_database_url):
            entered.set()
            await asyncio.sleep(FOREVER)

    entered = asyncio.Event()
    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while await holder(admin) is not None:
        await asyncio.sleep(0.02)
