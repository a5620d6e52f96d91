"""Data of every earlier schema: migrated, replayed, and gone on with, equal to a fresh run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from indexer.projections import tables
from indexer.recording import server
from indexer.store import migrate
from tests import postgres, schema_data
from tests.acceptance import refusal, stage, truth

SCHEMAS = sorted(schema_data.FOLDER.glob("*.json.gz"))
GONE_ON_TO = 90


@pytest.fixture(scope="module")
async def node(recorded: truth.Recorded) -> AsyncIterator[str]:
    async with server.RecordingServer(recorded.chain) as running:
        yield running.url


@pytest.fixture(scope="module")
async def fresh(recorded: truth.Recorded, node: str) -> dict[int, dict[str, Any]]:
    """By last block, the digest of tables that the code of today made from nothing."""
    made = {}
    async with postgres.fresh_database() as url:
        environ = stage.environment(recorded, node, url)
        for last in (schema_data.LAST_BLOCK, GONE_ON_TO):
            await stage.command(environ, "run", "--until-block", str(last), "--no-serve")
            made[last] = await stage.json_of(environ, "digest")
    return made


def test_the_first_release_is_kept() -> None:
    assert "0007_status" in {path.name.removesuffix(".json.gz") for path in SCHEMAS}


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name.partition(".")[0])
async def test_migrated_replayed_and_gone_on_with(
    recorded: truth.Recorded,
    node: str,
    fresh: dict[int, dict[str, Any]],
    empty_database_url: str,
    path: Path,
) -> None:
    held = schema_data.read(path)
    schema_data.migrate_to(empty_database_url, held["schema"])
    await schema_data.load(empty_database_url, held)
    environ = stage.environment(recorded, node, empty_database_url)
    newer = [name for name in migrate.known() if name > held["schema"]]
    assert (await stage.json_of(environ, "migrate"))["changed"] == newer
    fold = held["tables"]["cursor"]["columns"].index("fold_version")
    made_by = int(held["tables"]["cursor"]["rows"][0].split("\t")[fold])
    if made_by != tables.FOLD_VERSION:
        line = await refusal.refused(environ, "run", "--no-serve", code=3)
        assert "`vesu-indexer replay --from-block 0`" in line
    done = await stage.json_of(environ, "replay", "--from-block", "0")
    assert done["events"] == len(held["tables"]["events"]["rows"])
    assert await stage.json_of(environ, "digest") == fresh[held["last_block"]]
    assert (await stage.json_of(environ, "audit"))["is_good"]
    await stage.command(environ, "run", "--until-block", str(GONE_ON_TO), "--no-serve")
    assert await stage.json_of(environ, "digest") == fresh[GONE_ON_TO]
