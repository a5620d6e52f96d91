"""The database goes away under a running indexer: one clear line, exit code 3, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from indexer.recording import chain, server
from indexer.store import embedded, locks
from tests.acceptance import stage, truth
from tests.acceptance.conftest import indexed_url, recorded
from tests.integration import embedded_stage

__all__ = ["indexed_url", "recorded"]

TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

WRITES = "SELECT true FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = $1"
REACHED = "SELECT true FROM cursor WHERE block_number >= $1"


@pytest.fixture
async def node(recorded: truth.Recorded) -> AsyncIterator[str]:
    async with server.RecordingServer(chain.load(recorded.folder)) as served:
        yield served.url


async def reaches(connection: asyncpg.Connection, block: int) -> None:
    """Wait until an indexer holds the database, and a block is committed."""
    async with asyncio.timeout(60):
        while True:
            if await connection.fetchval(WRITES, locks.WRITER_KEY):
                found = await connection.fetchval("SELECT to_regclass('cursor')")
                if found and await connection.fetchval(REACHED, block):
                    return
            await asyncio.sleep(0.01)


async def ends_in_one_line(process: asyncio.subprocess.Process) -> str:
    """The one line that the command ends with; checks its exit code."""
    out, err = await asyncio.wait_for(process.communicate(), 60)
    lines = err.decode().splitlines()
    assert process.returncode == 3, err.decode()
    assert [line for line in lines if not line.startswith("{")] == lines[-1:], err.decode()
    assert lines[-1].startswith("error: ")
    assert out == b""
    return lines[-1]


async def test_the_server_ends_the_connections_of_a_run_again_and_again(
    recorded: truth.Recorded, node: str, indexed_url: str, empty_database_url: str
) -> None:
    environ = stage.environment(recorded, node, empty_database_url)
    until = str(recorded.last_block)
    watching = await asyncpg.connect(empty_database_url)
    for part in (0, 1, 2, 3):
        process = await stage.start(environ, "run", "--until-block", "999999", "--no-serve")
        await reaches(watching, recorded.last_block * part // 3)
        assert await watching.fetchval(TERMINATE) >= 1
        assert "connection" in await ends_in_one_line(process)
    await watching.close()
    await stage.command(environ, "run", "--until-block", until, "--no-serve")
    digest = await stage.json_of(environ, "digest")
    expected = await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")
    assert digest == expected


OF_RUN = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY backend_start
"""
"""The connections of a running indexer in the order in which it opens them."""


@pytest.mark.parametrize("who", ["the lock's", "the writer's", "the prover's"])
async def test_one_connection_is_lost_while_following(
    recorded: truth.Recorded, node: str, empty_database_url: str, who: str
) -> None:
    environ = stage.environment(recorded, node, empty_database_url)
    process = await stage.start(environ, "run", "--no-serve")
    watching = await asyncpg.connect(empty_database_url)
    await reaches(watching, recorded.last_block)
    async with asyncio.timeout(60):
        while len(pids := [row["pid"] for row in await watching.fetch(OF_RUN)]) < 3:
            await asyncio.sleep(0.01)
    lost = pids[["the lock's", "the writer's", "the prover's"].index(who)]
    assert await watching.fetchval("SELECT pg_terminate_backend($1)", lost)
    await watching.close()
    assert "was lost" in await ends_in_one_line(process)


async def test_the_server_is_killed_and_comes_back(
    recorded: truth.Recorded, node: str, tmp_path: Path
) -> None:
    postgres = embedded.EmbeddedPostgres(tmp_path)
    url = postgres.start()
    environ = stage.environment(recorded, node, url)
    process = await stage.start(environ, "run", "--no-serve")
    watching = await asyncpg.connect(url)
    await reaches(watching, recorded.last_block // 2)
    embedded_stage.kill_server(tmp_path)
    await ends_in_one_line(process)
    watching.terminate()
    _, _, said = await stage.command(environ, "status", expect=3)
    assert "cannot reach the database" in said
    postgres.stop()
    postgres.start()
    await stage.command(environ, "run", "--until-block", str(recorded.last_block), "--no-serve")
    postgres.stop()
