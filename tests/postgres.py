"""A real PostgreSQL for the tests: TEST_DATABASE_URL, or a throwaway server of our own.

VESU_TEST_PG chooses the programs: `system` (default: whatever is found first), `wheel-16`,
`wheel-18`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib import parse

import asyncpg
import psycopg
import pytest

from indexer.store import binaries, database, embedded, migrate

ROOM = 6 * 2**30
"""What a folder in memory must have free: each of several servers needs some hundred megabytes."""

_server: dict[str, str] = {}


def programs() -> Path | None:
    """The folder of PostgreSQL's programs that VESU_TEST_PG asks for; None: any."""
    asked = os.environ.get("VESU_TEST_PG", "system")
    if asked == "system":
        return None
    folders = {f"wheel-{binaries.major(folder)}": folder for folder in binaries.wheel()}
    if asked not in folders:
        raise pytest.UsageError(f"VESU_TEST_PG={asked}: know only system, {', '.join(folders)}")
    return folders[asked]


@pytest.fixture(scope="session", autouse=True)
def postgres_server() -> Iterator[None]:
    """One server for the whole run, started when a test first needs it; also gone after errors."""
    with serving():
        yield


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """While inside, a server may be started; it is stopped at the end."""
    try:
        yield
    finally:
        _stop()


def _stop() -> None:
    with contextlib.ExitStack() as undo:
        for stop in _stops:
            undo.callback(stop)
    _stops.clear()
    _server.clear()


_stops: list[Callable[[], None]] = []


def server_url() -> str:
    """The server's URL; starts it the first time."""
    if "url" not in _server:
        given = os.environ.get("TEST_DATABASE_URL")
        _server["url"] = given or _start()
    return _server["url"]


def _start() -> str:
    home = Path(tempfile.mkdtemp(prefix="vesu-pg-", dir=_in_memory()))
    server = embedded.EmbeddedPostgres(home, programs())

    def stop() -> None:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)

    _stops.append(stop)
    url = server.start()
    # It need not survive a power cut, and each database that is dropped waits for a checkpoint.
    _set_fsync(url, "off")
    return url


def _in_memory() -> str | None:
    """A folder that no disk holds up, where there is one with room; else the usual one."""
    folder = Path("/dev/shm")
    has_room = folder.is_dir() and shutil.disk_usage(folder).free >= ROOM
    return str(folder) if has_room else None


def _set_fsync(url: str, value: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET fsync = {value}".encode())
        connection.execute("SELECT pg_reload_conf()")
    for _ in range(500):
        # A new session has what the postmaster has read.
        with psycopg.connect(url) as connection:
            if connection.execute("SHOW fsync").fetchall() == [(value,)]:
                return
        time.sleep(0.01)
    raise RuntimeError(f"the server does not take fsync = {value}")


@pytest.fixture
def as_configured() -> Iterator[None]:
    """Meanwhile the server writes safely: `doctor` finds nothing wrong with it."""
    url = server_url()
    if os.environ.get("TEST_DATABASE_URL"):
        yield
        return
    _set_fsync(url, "on")
    try:
        yield
    finally:
        _set_fsync(url, "off")


def with_name(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return parse.urlunsplit(parse.urlsplit(url)._replace(path=f"/{name}"))


@contextlib.asynccontextmanager
async def fresh_database(migrated: bool = False, copy_of: str = "") -> AsyncIterator[str]:
    """An empty or migrated database of its own, or a copy of one that nobody is connected to
    (its URL), dropped afterwards."""
    template = _migrated_template() if migrated else "template1"
    if copy_of:
        template = parse.urlsplit(copy_of).path.removeprefix("/")
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(server_url())
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {_way_to_copy(admin)}')
        try:
            yield with_name(server_url(), name)
        finally:
            await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await admin.close()


def _way_to_copy(admin: asyncpg.Connection) -> str:
    """How a database is copied: file by file, a fifth of the work where no disk is waited for."""
    is_ours = "TEST_DATABASE_URL" not in os.environ
    return "STRATEGY FILE_COPY" if is_ours and admin.get_server_version().major >= 15 else ""


def _migrated_template() -> str:
    """The database that migrated ones are copies of; migrated when it is first needed."""
    if "template" not in _server:
        name = f"template_{uuid.uuid4().hex}"
        _administer(f'CREATE DATABASE "{name}"')
        _stops.append(lambda: _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        migrate.apply(with_name(server_url(), name))
        _server["template"] = name
    return _server["template"]


def _administer(statement: str) -> None:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(statement.encode())


async def execute(url: str, *statements: str) -> None:
    """Run statements on a connection of their own; a session that ends hands its statistics in."""
    async with _connected(url) as connection:
        for statement in statements:
            await connection.execute(statement)


async def fetch(url: str, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """The rows that a statement answers, on a connection of its own."""
    async with _connected(url) as connection:
        return list(await connection.fetch(statement, *arguments))


async def value(url: str, statement: str, *arguments: Any) -> Any:
    """The one value that a statement answers, on a connection of its own."""
    async with _connected(url) as connection:
        return await connection.fetchval(statement, *arguments)


async def lines(url: str, *tables: str) -> dict[str, list[str]]:
    """Every row of the tables, whole, as text in order."""
    return {
        table: [
            row["line"]
            for row in await fetch(url, f"SELECT t::text AS line FROM {table} t ORDER BY 1")
        ]
        for table in tables
    }


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def empty_database_url() -> AsyncIterator[str]:
    async with fresh_database() as url:
        yield url


@pytest.fixture
async def migrated_database_url() -> AsyncIterator[str]:
    async with fresh_database(migrated=True) as url:
        yield url


def yoyo_url(url: str) -> str:
    """The URL as yoyo's own command line takes it for psycopg 3."""
    return "postgresql+psycopg://" + database.libpq_url(url).partition("://")[2]
