"""The database goes away under a running daemon: it says so, waits, and goes on when it is back."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from indexer.recording import server
from indexer.store import embedded
from tests import postgres
from tests.acceptance import stage, truth
from tests.chaos import daemon, proxy
from tests.integration import embedded_stage

pytestmark = pytest.mark.heavy

SEED = 20265

STATEMENTS = 90
"""A session's beginning and a block with its views and all tables are fewer pieces than that."""

STEP = int(os.environ.get("VESU_TEST_EVERY_STATEMENT", "3"))
"""1: each of them; the tests of every day take every third."""

OF_RUN = """
    SELECT array_agg(pid ORDER BY backend_start) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'vesu-indexer'
"""
"""The connections of a session in the order in which it opens them."""


@pytest.fixture
async def way(empty_database_url: str) -> AsyncIterator[proxy.Proxy]:
    async with proxy.Proxy(empty_database_url) as made:
        yield made


async def equals(environ: dict[str, str], url: str, undisturbed: str) -> None:
    """Both databases hold the same, and the audit finds nothing."""
    ours = await stage.json_of(environ | {"DATABASE_URL": url}, "digest")
    theirs = await stage.json_of(environ | {"DATABASE_URL": undisturbed}, "digest")
    assert ours == theirs
    assert (await stage.json_of(environ | {"DATABASE_URL": url}, "audit"))["is_good"]


async def test_the_connection_is_lost_at_any_statement(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    way: proxy.Proxy,
    empty_database_url: str,
    indexed_url: str,
    tmp_path: Path,
) -> None:
    """The n-th piece that is sent once a block came is lost with its connection, for every n."""
    # Without connections kept ready, the HTTP side sends no piece that could be the one.
    quiet = {"VESU_DATABASE_POOL_MIN": "0"}
    environ = stage.environment(recorded, node.url, way.url) | quiet
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(empty_database_url, 20)
        for pieces in range(0, STATEMENTS, STEP):
            told = len(running.logged("database_trouble"))
            way.cut_after(pieces)
            node.playhead.go_to(21 + pieces)
            await running.commits(empty_database_url, 21 + pieces)
            await running.until(lambda: not way.is_armed)
            # Only then the next: two connections of one session may be lost as one.
            await running.tells("database_trouble", told + 1)
        assert await running.failures() >= STATEMENTS // STEP
        node.playhead.go_to(recorded.last_block)
        await running.commits(empty_database_url, recorded.last_block)
        assert "was lost" in (await running.tells("database_trouble"))["reason"]
        assert await running.tells("database_back")
        await running.stop()
    await equals(environ, empty_database_url, indexed_url)


@pytest.mark.parametrize("who", ["the lock's", "the writer's"])
async def test_one_connection_is_lost_while_following(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    empty_database_url: str,
    tmp_path: Path,
    who: str,
) -> None:
    environ = stage.environment(recorded, node.url, empty_database_url)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(empty_database_url, 20)
        async with asyncio.timeout(60):
            while len(pids := await daemon.ask(empty_database_url, OF_RUN)) < 3:
                await asyncio.sleep(0.01)
        lost = pids[["the lock's", "the writer's"].index(who)]
        assert await daemon.ask(empty_database_url, "SELECT pg_terminate_backend($1)", lost)
        assert "was lost" in (await running.tells("database_trouble"))["reason"]
        node.playhead.go_to(25)
        await running.commits(empty_database_url, 25)
        assert await running.failures() == 1
        await running.stop()


async def test_the_prover_loses_its_connection(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    """The writer goes on, and the prover comes back."""
    environ = stage.environment(recorded, node.url, empty_database_url)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(empty_database_url, 20)
        async with asyncio.timeout(60):
            while len(pids := await daemon.ask(empty_database_url, OF_RUN)) < 3:
                await asyncio.sleep(0.01)
        assert await daemon.ask(empty_database_url, "SELECT pg_terminate_backend($1)", pids[2])
        assert "was lost" in (await running.tells("helper_without_database"))["reason"]
        node.playhead.go_to(25)
        await running.commits(empty_database_url, 25)
        async with asyncio.timeout(60):
            while len(await daemon.ask(empty_database_url, OF_RUN)) < 3:
                await asyncio.sleep(0.01)
        assert await running.failures() == 0
        await running.stop()


@pytest.mark.parametrize("variant", range(6))
async def test_a_role_with_few_connections(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    empty_database_url: str,
    indexed_url: str,
    tmp_path: Path,
    variant: int,
) -> None:
    """Two are enough for the writer; whoever else gets none says so, and tries again."""
    chance = random.Random(f"{SEED}-{variant}")
    limit = 2 + variant % 3
    name = empty_database_url.partition("?")[0].rpartition("/")[2]
    await postgres.execute(
        empty_database_url,
        f'CREATE ROLE "{name}" LOGIN CONNECTION LIMIT {limit}',
        f'GRANT ALL ON SCHEMA public TO "{name}"',
        f'GRANT CREATE ON DATABASE "{name}" TO "{name}"',
    )
    url = empty_database_url.replace("postgres@", f"{name}@")
    reconcile = chance.choice(["0", "1", "2"])
    print(f"seed {SEED}: {limit} connections, reconciles every {reconcile} s")
    environ = stage.environment(recorded, node.url, url, VESU_RECONCILE_EVERY_SECONDS=reconcile)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(empty_database_url, 20)
        node.playhead.go_to(recorded.last_block)
        await running.commits(empty_database_url, recorded.last_block)
        if limit == 2:
            told = await running.tells("helper_without_database")
            assert "too many connections" in told["reason"]
        await running.until(lambda: running.answers("/health"))
        assert await running.failures() == 0
        await running.stop()
    ours = await stage.json_of(environ | {"DATABASE_URL": empty_database_url}, "digest")
    theirs = await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")
    assert ours == theirs
    await postgres.execute(empty_database_url, f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')


async def test_sigterm_while_the_database_is_away(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    way: proxy.Proxy,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    environ = stage.environment(recorded, node.url, way.url)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(empty_database_url, 20)
        way.is_refusing = True
        way.cut()
        await running.tells("database_trouble", times=3)
        assert await running.health() == 503
        await running.stop()


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_the_server_comes_back(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    indexed_url: str,
    tmp_path: Path,
    how: str,
) -> None:
    """An ordinary restart, and a crash with recovery from the server's own log."""
    server_ = embedded.EmbeddedPostgres(tmp_path / "pg", postgres.programs())
    url = server_.start()
    environ = stage.environment(recorded, node.url, url)
    try:
        async with daemon.started(environ, tmp_path / "log") as running:
            await running.commits(url, 20)
            node.playhead.go_to(recorded.last_block)
            if how == "kill":
                embedded_stage.kill_server(tmp_path / "pg")
            server_.stop()
            await running.tells("database_trouble")
            assert await running.health() == 503
            server_.start()
            await running.commits(url, recorded.last_block)
            await running.until(lambda: _is_healthy(running))
            await running.stop()
        await equals(environ, url, indexed_url)
    finally:
        server_.stop()


async def _is_healthy(running: daemon.Daemon) -> bool:
    return await running.health() == 200


async def test_the_embedded_server_is_killed_under_its_daemon(
    recorded: truth.Recorded, node: server.RecordingServer, tmp_path: Path
) -> None:
    """Nobody else would start it again."""
    environ = stage.environment(recorded, node.url, "", VESU_DATA_DIR=str(tmp_path / "data"))
    del environ["DATABASE_URL"]
    home = tmp_path / "data" / "postgres"
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.tells("started")
        url = embedded.EmbeddedPostgres(home).url
        await running.commits(url, 20)
        first = embedded_stage.kill_server(home)
        node.playhead.go_to(recorded.last_block)
        await running.commits(url, recorded.last_block)
        assert await running.tells("database_back")
        assert embedded_stage.pid_of(home) != first
        await running.stop()
        assert embedded_stage.has_ended(first)


async def test_a_newer_version_migrated_meanwhile(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    """Its statements name their columns: it goes on, and says so."""
    environ = stage.environment(recorded, node.url, empty_database_url)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(empty_database_url, 20)
        async with asyncio.timeout(30):
            connection = await asyncpg.connect(empty_database_url)
            await connection.execute(
                "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) "
                "VALUES ('x', '9999_newer', now())"
            )
            await connection.fetchval(daemon.TERMINATE)
            await connection.close()
        newer = await running.tells("schema_newer")
        assert newer["migrations"] == ["9999_newer"]
        node.playhead.go_to(60)
        await running.commits(empty_database_url, 60)
        await running.stop()
