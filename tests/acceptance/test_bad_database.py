"""Bad databases: one line that says what and what to do, and nothing begun."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib import parse

import asyncpg
import pytest

from indexer.recording import server
from tests import postgres
from tests.acceptance import refusal, stage, truth

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
async def node(recorded: truth.Recorded) -> AsyncIterator[server.RecordingServer]:
    async with server.RecordingServer(recorded.chain) as running:
        yield running


@pytest.fixture
def environ(
    recorded: truth.Recorded, node: server.RecordingServer, tmp_path: Path
) -> dict[str, str]:
    """Everything right but the database, which is unreachable: a test that needs it sets it."""
    return stage.environment(
        recorded,
        node.url,
        "postgresql://vesu@127.0.0.1:1/vesu",
        VESU_DATA_DIR=str(tmp_path / "data"),
    )


@pytest.mark.parametrize("command", ["run", "status", "migrate"])
async def test_unreachable_database(environ: dict[str, str], command: str) -> None:
    environ["DATABASE_URL"] = "postgresql://vesu:SECRET@127.0.0.1:1/vesu"
    line = await refusal.refused(environ, command, code=3)
    assert "127.0.0.1:1" in line
    assert "is PostgreSQL running" in line
    assert "SECRET" not in line


async def test_missing_database(environ: dict[str, str], empty_database_url: str) -> None:
    environ["DATABASE_URL"] = postgres.with_name(empty_database_url, "no_such_database")
    for command in ("run", "status"):
        line = await refusal.refused(environ, command, code=3)
        assert '"no_such_database" does not exist' in line


@pytest.fixture
async def limited(empty_database_url: str) -> AsyncIterator[Callable[[str], str]]:
    """Any database's URL for a role that may do nothing but log in."""
    role = "limited_by_tests"
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute(f"DROP ROLE IF EXISTS {role}")
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    await admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")

    def url(of: str) -> str:
        parts = parse.urlsplit(of)
        host = parts.netloc.rpartition("@")[2]
        return parse.urlunsplit(parts._replace(netloc=f"{role}:{role}@{host}"))

    yield url
    await admin.execute(f"DROP ROLE {role}")
    await admin.close()


@pytest.mark.parametrize("command", ["run", "migrate"])
async def test_role_that_may_not_create(
    environ: dict[str, str],
    empty_database_url: str,
    limited: Callable[[str], str],
    command: str,
) -> None:
    environ["DATABASE_URL"] = limited(empty_database_url)
    line = await refusal.refused(environ, command, code=3)
    assert "may not create tables" in line
    assert "GRANT CREATE" in line
    assert await refusal.tables(empty_database_url) == set()


@pytest.mark.parametrize("command", ["status", "digest", "events", "verify-indexes"])
async def test_role_that_may_not_read(
    environ: dict[str, str],
    indexed_url: str,
    limited: Callable[[str], str],
    command: str,
) -> None:
    environ["DATABASE_URL"] = limited(indexed_url)
    if command == "verify-indexes":  # the catalogue is open to everyone
        await stage.command(environ, command)
        return
    line = await refusal.refused(environ, command, code=3)
    assert "permission denied" in line
    assert "GRANT" in line


@pytest.mark.parametrize("command", ["status", "digest", "events", "verify-indexes"])
async def test_database_without_tables(
    environ: dict[str, str], empty_database_url: str, command: str
) -> None:
    environ["DATABASE_URL"] = empty_database_url
    line = await refusal.refused(environ, command, code=3)
    assert "run `vesu-indexer migrate`" in line
    assert await refusal.tables(empty_database_url) == set()


@pytest.mark.parametrize("command", ["status", "digest"])
async def test_database_without_blocks(
    environ: dict[str, str], migrated_database_url: str, command: str
) -> None:
    environ["DATABASE_URL"] = migrated_database_url
    line = await refusal.refused(environ, command, code=2)
    assert "run" in line


async def test_database_of_another_chain(
    environ: dict[str, str], recorded: truth.Recorded, indexed_url: str
) -> None:
    async with stage.edited(recorded, chainId=lambda _: "0x4f54484552") as url:
        environ |= {
            "DATABASE_URL": indexed_url,
            "VESU_NODE_URLS": url,
            "VESU_NETWORK_CHAIN_ID": "OTHER",
        }
        line = await refusal.refused(environ, "run", "--no-serve", code=2)
    assert "this database follows chain" in line
    assert "network.chain_id" in line


async def test_node_that_shares_no_block(
    environ: dict[str, str], recorded: truth.Recorded, indexed_copy: str
) -> None:
    # Beside the writer, before it is refused, classes are asked for, which marks a pool.
    def foreign(block: Any) -> Any:
        return block | {"block_hash": hex(int(block["block_hash"], 16) ^ 1)}

    async with stage.edited(recorded, getBlockWithTxHashes=foreign) as url:
        environ |= {"DATABASE_URL": indexed_copy, "VESU_NODE_URLS": url}
        # Whether something beside the writer warns of the node first depends on the machine.
        environ["VESU_LOG_LEVEL"] = "error"
        before = await stage.json_of(environ, "digest")
        line = await refusal.refused(environ, "run", "--no-serve", code=3)
        assert "shares no block with this database" in line
        assert await stage.json_of(environ, "digest") == before


async def test_second_daemon(environ: dict[str, str], empty_database_url: str) -> None:
    environ["DATABASE_URL"] = empty_database_url
    first = await stage.start(environ, "run", "--no-serve")
    try:
        await _committed(empty_database_url)
        for command in (("run", "--no-serve"), ("replay", "--from-block", "0")):
            line = await refusal.refused(environ, *command, code=3)
            assert "another indexer writes to this database" in line
            assert "stop it first" in line
    finally:
        first.send_signal(signal.SIGTERM)
        await first.communicate()
    assert first.returncode == 0


async def _committed(url: str) -> None:
    """Wait until something is committed."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(20):
            while True:
                made = await connection.fetchval("SELECT to_regclass('cursor') IS NOT NULL")
                if made and await connection.fetchval("SELECT count(block_hash) FROM cursor"):
                    return
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
