"""A database that others use too: a schema of one's own, collisions, nobody else's tables."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.recording import server
from tests import postgres
from tests.acceptance import refusal, stage, truth

FOREIGN = (
    "CREATE TABLE vesu_pools (id int PRIMARY KEY, mine text); "
    "INSERT INTO vesu_pools VALUES (1, 'kept'); CREATE VIEW events AS SELECT 1 AS one"
)


@pytest.fixture
async def shared(empty_database_url: str) -> str:
    """A database with two relations of somebody else's under names of the indexer's."""
    await postgres.execute(empty_database_url, FOREIGN)
    return empty_database_url


async def rows(url: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_names_in_the_way_are_found_before_the_first_migration(
    recorded: truth.Recorded, shared: str
) -> None:
    environ = stage.environment(recorded, "http://127.0.0.1:1", shared)
    for command in (("migrate",), ("run", "--no-serve")):
        line = await refusal.refused(environ, *command, code=3)
        assert "holds events, vesu_pools, which the indexer did not make" in line
        assert "VESU_DATABASE_SCHEMA=vesu" in line
    tables = await refusal.tables(shared)
    assert not tables & {"cursor", "observations", "contracts", "blocks"}
    assert await rows(shared, "SELECT mine FROM vesu_pools") == [("kept",)]
    found = await stage.json_of(environ, "doctor", expect=1)
    said = [one["found"] for one in found["findings"] if one["what"] == "migrations"]
    assert "events, vesu_pools" in said[0]
    for command in (("status",), ("audit",), ("positions",), ("verify-indexes",)):
        line = await refusal.refused(environ, *command, code=3)
        assert "vesu-indexer migrate" in line


async def test_a_schema_of_its_own_holds_everything(
    recorded: truth.Recorded, shared: str, indexed_url: str
) -> None:
    """Made by `run`, in the chain's every table; what others have in public stays as it was."""
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, shared, VESU_DATABASE_SCHEMA="vesu")
        until = ("run", "--until-block", str(recorded.last_block), "--no-serve")
        await stage.command(environ, *until)
    await stage.command(environ, "verify-indexes")
    digest = await stage.json_of(environ, "digest")
    expected = await stage.json_of(
        environ | {"DATABASE_URL": indexed_url, "VESU_DATABASE_SCHEMA": ""}, "digest"
    )
    assert digest["all"] == expected["all"]
    assert await refusal.tables(shared) == {"vesu_pools"}
    assert await rows(shared, "SELECT mine FROM public.vesu_pools") == [("kept",)]
    assert await rows(shared, "SELECT count(*) FROM vesu.vesu_transactions") == await rows(
        indexed_url, "SELECT count(*) FROM vesu_transactions"
    )
    found = await stage.json_of(environ, "replay", "--from-block", "0", "--shadow")
    assert found["difference"]["first_event"] is None
    await stage.command(environ, "migrate", "--rollback", "--yes")
    assert await rows(shared, "SELECT mine FROM public.vesu_pools") == [("kept",)]


async def test_maintenance_leaves_other_peoples_tables_alone(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    await postgres.execute(
        migrated_database_url,
        "CREATE TABLE theirs (id int PRIMARY KEY); CREATE INDEX a ON theirs (id)",
    )
    environ = stage.environment(recorded, "http://127.0.0.1:1", migrated_database_url)
    _, out, _ = await stage.command(environ, "maintenance", "--vacuum", "--reindex", "--advise")
    assert "vesu_positions" in out
    assert "theirs" not in out


@pytest.mark.parametrize("name", ["Vesu", "pg_mine", "a b", "a;b", "1a", "x" * 64])
async def test_a_schemas_name_is_plain(recorded: truth.Recorded, name: str) -> None:
    environ = stage.environment(recorded, "http://127.0.0.1:1", "postgresql://127.0.0.1:1/x")
    line = await refusal.refused(environ | {"VESU_DATABASE_SCHEMA": name}, "status", code=2)
    assert "database.schema" in line
