"""Databases and users as they are: other encodings, several hosts, no name, no home."""

from __future__ import annotations

import asyncio
import os
import random
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from indexer import errors
from indexer.store import blocking, database, migrate
from indexer.store import connection as connections
from tests import postgres
from tests.chaos import proxy

SEED = 20263
ENCODINGS = (
    "SQL_ASCII",
    *random.Random(SEED).sample(
        ["LATIN1", "LATIN2", "LATIN5", "LATIN9", "WIN1250", "WIN1252", "KOI8R", "EUC_JP", "EUC_KR"],
        7,
    ),
)


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_only_utf8_is_taken(encoding: str) -> None:
    print(f"seed {SEED}: {encoding}")
    name = f"in_{encoding.lower()}"
    create = "CREATE DATABASE \"{}\" TEMPLATE template0 ENCODING '{}' LOCALE 'C'"
    await postgres.execute(postgres.server_url(), create.format(name, encoding))
    url = postgres.with_name(postgres.server_url(), name)
    try:
        for ask in (migrate.apply, migrate.pending):
            with pytest.raises(errors.SchemaError) as refused:
                ask(url)
            assert f"has the encoding {encoding}," in str(refused.value)
        words = shlex.split(str(refused.value).split("`")[1])
        assert words[0] == "createdb"
        assert words[-1] == f"{name}_utf8"
        assert "--encoding=UTF8" in words
    finally:
        await postgres.execute(postgres.server_url(), f'DROP DATABASE "{name}"')


def several(url: str, wrong: list[str], at: int) -> str:
    """The URL with other hosts (folders of sockets) put around its own."""
    base, _, query = url.partition("?")
    options = dict(item.partition("=")[::2] for item in query.split("&"))
    hosts = [*wrong[:at], options["host"], *wrong[at:]]
    return f"{base}?host={','.join(hosts)}&port=5432&target_session_attrs=read-write"


@pytest.fixture
async def swallowing(tmp_path: Path) -> AsyncIterator[str]:
    """The folder of a socket that takes connections and never answers."""
    folder = tmp_path / "swallowing"
    folder.mkdir()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(swallow, folder / proxy.SOCKET):
        yield str(folder)


@pytest.mark.parametrize("variant", range(6))
async def test_every_way_of_connecting_takes_several_hosts(
    empty_database_url: str,
    swallowing: str,
    tmp_path: Path,
    variant: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The right one stands anywhere among hosts that are down or never answer."""
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 2.0)
    chance = random.Random(f"{SEED}-{variant}")
    down = [str(tmp_path / f"down-{number}") for number in range(chance.randint(1, 3))]
    wrong = [*down, swallowing] if variant == 0 else down
    chance.shuffle(wrong)
    at = len(wrong) if swallowing in wrong else chance.randint(0, len(wrong))
    url = several(empty_database_url, wrong, at)
    print(f"seed {SEED}: {url}")
    async with database.session(url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    assert await blocking.in_thread(lambda: migrate.apply(url)) == migrate.known()
    pool = await database.connect_pool(database.DatabaseSettings(url))
    assert await pool.fetchval("SELECT count(*) FROM events") == 0
    pool.terminate()


async def test_no_host_that_takes_writes(empty_database_url: str) -> None:
    name = empty_database_url.partition("?")[0].rpartition("/")[2]
    await postgres.execute(
        empty_database_url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'
    )
    url = f"{empty_database_url}&target_session_attrs=read-write"
    with pytest.raises(errors.DatabaseUnavailableError, match="target_session_attrs"):
        await database.connect(url)
    with pytest.raises(errors.DatabaseUnavailableError, match="read-only"):
        migrate.pending(url)


# --- a user without a name --------------------------------------------------------------------


NAMELESS = """
import os, pwd, sys

def getpwuid(user):
    raise KeyError(f"getpwuid(): uid not found: {{user}}")

pwd.getpwuid = getpwuid
os.getuid = os.geteuid = lambda: {user}
sys.argv = ["vesu-indexer", *{arguments!r}]
from indexer import cli
cli.main()
"""
"""The command as a user id sees it that has no entry in the system's list of users."""


async def as_nobody(environ: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run a command as a user without a name and a home; its exit code and what it printed."""
    user = random.Random(f"{SEED}{arguments}").randint(10_000, 2_000_000_000)
    print(f"seed {SEED}: user id {user}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", NAMELESS.format(user=user, arguments=list(arguments))),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])} | environ,
        cwd="/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("migrate",),
        ("migrate", "--list"),
        ("migrate", "--rollback", "--yes"),
        ("migrate", "--json"),
        ("doctor",),
        ("verify-indexes",),
    ],
    ids=" ".join,
)
async def test_a_user_without_name_and_home_needs_neither(
    empty_database_url: str, arguments: tuple[str, ...]
) -> None:
    migrate.apply(empty_database_url)
    if arguments == ("migrate",):
        migrate.rollback(empty_database_url)
    code, said = await as_nobody({"DATABASE_URL": empty_database_url}, *arguments)
    assert code in (0, 1), said
    assert "Traceback" not in said


async def test_who_migrated_without_a_name_stands_by_number(empty_database_url: str) -> None:
    code, said = await as_nobody({"DATABASE_URL": empty_database_url}, "migrate")
    assert code == 0, said
    users = await postgres.fetch(empty_database_url, "SELECT DISTINCT username FROM _yoyo_log")
    assert [row["username"].partition(" id ")[0] for row in users] == ["user"]


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "VESU_DATA_DIR"),
        ({"VESU_DATA_DIR": "~/data"}, "HOME"),
        ({"VESU_ABI_FOLDER": "~/abis", "DATABASE_URL": "postgresql://u@h/d"}, "HOME"),
        ({"DATABASE_URL": "postgresql:///d"}, "PGUSER"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/d"}, "PGUSER"),
        ({"DATABASE_URL": "postgresql:///d?host=/nowhere"}, "PGUSER"),
    ],
)
@pytest.mark.parametrize("command", ["migrate", "status"])
async def test_where_a_name_or_home_is_needed_the_variable_is_named(
    environ: dict[str, str], named: str, command: str
) -> None:
    code, said = await as_nobody(environ, command)
    assert code == 2, said
    assert named in said
    assert len(said.splitlines()) == 1
