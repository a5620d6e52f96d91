"""Connecting over TCP to a server that asks for passwords, as most people's databases are."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from indexer import config, errors
from indexer.store import binaries, database, embedded, migrate, programs
from tests import postgres
from tests.integration import embedded_stage as stage

ROOT = Path(__file__).parents[2]
PASSWORD = "p@ss:w/o#rd%41"
QUOTED = "p%40ss%3Aw%2Fo%23rd%2541"
HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class Served:
    """A PostgreSQL on a TCP port of 127.0.0.1 that asks for passwords."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, login: str = f"vesu:{QUOTED}", name: str = "vesu", query: str = "") -> str:
        return f"postgresql://{login}@127.0.0.1:{self.port}/{name}{query}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("served")
    made = embedded.EmbeddedPostgres(home, postgres.programs())
    url = made.start()
    for statement in (
        "ALTER SYSTEM SET password_encryption = 'scram-sha-256'",
        "SELECT pg_reload_conf()",
        f"CREATE ROLE vesu LOGIN PASSWORD '{PASSWORD}'",
        "CREATE ROLE guest LOGIN PASSWORD 'guest'",
        "ALTER DATABASE vesu OWNER TO vesu",
        "GRANT ALL ON SCHEMA public TO vesu; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ):
        stage.ask(url, statement)
    made.stop()
    (home / "cluster" / "pg_hba.conf").write_text(HBA)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    folder = postgres.programs() or binaries.find()
    runner = programs.Runner(folder, home, home / "cluster")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories="
    runner.run("pg_ctl", "start", "-w", "-l", str(home / "tcp.log"), "-o", options)
    yield Served(port)
    runner.run("pg_ctl", "stop", "-m", "immediate", "-w")


async def connect(url: str) -> None:
    await (await database.connect(url)).close()


async def connect_pool(url: str) -> None:
    await (await database.connect_pool(database.DatabaseSettings(url))).close()


async def migrate_(url: str) -> None:
    await asyncio.to_thread(migrate.apply, url)


WAYS = pytest.mark.parametrize("way", [connect, connect_pool, migrate_])
Way = Callable[[str], Coroutine[Any, Any, None]]


@WAYS
async def test_a_password_with_every_awkward_character(served: Served, way: Way) -> None:
    await way(served.url())
    await way(served.url(query="?connect_timeout=5&channel_binding=prefer&application_name=x"))


@WAYS
@pytest.mark.parametrize(
    ("login", "name", "kind", "said"),
    [
        ("vesu:wr0ng", "vesu", errors.SurroundingsError, "password authentication failed"),
        ("nobody:wr0ng", "vesu", errors.SurroundingsError, "password authentication failed"),
        (f"vesu:{QUOTED}", "absent", errors.DatabaseUnavailableError, '"absent" does not exist'),
    ],
)
async def test_refused(
    served: Served, way: Way, login: str, name: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        await way(served.url(login, name))
    assert not {"wr0ng", QUOTED, PASSWORD} & set(str(caught.value).replace("@", ":").split(":"))
    assert "\n" not in str(caught.value)


@WAYS
async def test_nothing_listens(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(errors.DatabaseUnavailableError, match=r"Connection refused") as caught:
        await way(Served(port).url())
    assert "Errno" not in str(caught.value)


@WAYS
async def test_a_server_without_encryption_when_it_is_demanded(served: Served, way: Way) -> None:
    with pytest.raises(errors.DatabaseUnavailableError, match=r"SSL"):
        await way(served.url(query="?sslmode=require"))


async def test_a_parameter_that_nobody_knows(served: Served) -> None:
    with pytest.raises(errors.ConfigError, match="color"):
        await connect(served.url(query="?color=red"))


async def test_a_role_without_rights_on_the_tables(served: Served) -> None:
    await migrate_(served.url())
    guest = await database.connect(served.url("guest:guest"))
    denied, mapped = (
        pytest.raises(errors.DatabaseRightsError),
        database.translated_errors(served.url()),
    )
    with denied, mapped:
        await guest.fetch("SELECT * FROM vesu_pools")
    await guest.close()


async def test_the_guides_variables(served: Served, tmp_path: Path) -> None:
    environ = {
        "DB_NAME": "vesu",
        "DB_USER": "vesu",
        "DB_PASSWORD": PASSWORD,
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(served.port),
    }
    empty = tmp_path / "config.toml"
    empty.touch()
    settings = config.load(empty, environ, {})
    assert settings.database.url
    connection = await database.connect(settings.database.url)
    assert await connection.fetchval("SELECT current_user || current_database()") == "vesuvesu"
    await connection.close()
    assert PASSWORD not in repr(settings)


async def test_yoyos_command_over_tcp(served: Served) -> None:
    def yoyo(*arguments: str) -> None:
        subprocess.run(
            [Path(sys.executable).parent / "yoyo", *arguments],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": postgres.yoyo_url(served.url())},
            check=True,
            timeout=120,
        )

    migrate.rollback(served.url())
    yoyo("apply")
    assert migrate.pending(served.url()) == []
    yoyo("rollback", "--all")
    assert migrate.applied(served.url()) == []


@pytest.fixture
async def connection(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    made = await database.connect(empty_database_url)
    yield made
    await made.close()


async def test_we_tell_who_we_are(connection: asyncpg.Connection) -> None:
    assert await connection.fetchval("SHOW application_name") == database.APPLICATION


async def test_an_old_server_is_refused_and_left(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "OLDEST_SERVER", 99)
    for way in (connect, migrate_):
        with pytest.raises(errors.SchemaError, match="needs 99 or newer"):
            await way(empty_database_url)
