"""Replays of Vesu V1's recordings: equal from every tenth block, in shadow, after a kill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import asyncpg
import pytest

from indexer.recording import server
from tests import postgres
from tests.acceptance import spoiled, stage, truth_v1

NOWHERE = "http://127.0.0.1:1"
LAST_BLOCKS = {"devnet-v10-genesis": 50, "devnet-v10-migration": 81, "devnet-v11": 116}


class Indexed(NamedTuple):
    """A recording in a database: the environment without a node, and the daemon's digest."""

    environ: dict[str, str]
    last_block: int
    digest: dict[str, Any]


@pytest.fixture(scope="module")
async def indexed() -> AsyncIterator[dict[str, Indexed]]:
    """All recordings, each in a database of its own."""
    found = {}
    async with (
        postgres.fresh_database(migrated=True) as one,
        postgres.fresh_database(migrated=True) as two,
        postgres.fresh_database(migrated=True) as three,
    ):
        for (name, last), url in zip(LAST_BLOCKS.items(), (one, two, three), strict=True):
            recorded = truth_v1.recorded(name)
            assert recorded.last_block == last
            async with server.RecordingServer(recorded.chain) as node:
                environ = stage.environment(recorded, node.url, url, VESU_INGEST_BATCH_EVENTS="20")
                await stage.command(environ, "run", "--until-block", str(last), "--no-serve")
            environ["VESU_NODE_URLS"] = NOWHERE
            found[name] = Indexed(environ, last, await stage.json_of(environ, "digest"))
        yield found


@pytest.mark.parametrize(
    ("name", "from_block"),
    [
        pytest.param(name, block, marks=[pytest.mark.heavy] if block % 80 else [])
        for name, last in LAST_BLOCKS.items()
        for block in range(0, last + 1, 10)
    ],
)
async def test_from_every_tenth_block(
    indexed: dict[str, Indexed], name: str, from_block: int
) -> None:
    environ, last, digest = indexed[name]
    start = ("replay", "--from-block", str(from_block))
    shadow = await stage.json_of(environ, *start, "--shadow", expect=None)
    assert shadow["difference"]["is_equal"], shadow
    done = await stage.json_of(environ, *start)
    assert (done["to_block"], done["rows_changed"]) == (last, 0)
    assert await stage.json_of(environ, "digest") == digest


@pytest.mark.parametrize("name", LAST_BLOCKS)
async def test_a_killed_replay_goes_on(indexed: dict[str, Indexed], name: str) -> None:
    """Killed in the middle, gone on with, and killed inside the swap."""
    environ, last, digest = indexed[name]
    start = ("replay", "--from-block", "0")
    for where in (f"kill-after-block:{last // 2}", "kill-inside-swap"):
        await spoiled.killed(environ, where, *start)
    done = await stage.json_of(environ, *start)
    assert done["resumed_at"] == last
    assert await stage.json_of(environ, "digest") == digest


TAKE_ONE_OF_EACH = """
    DELETE FROM observations o USING (
        SELECT DISTINCT ON (view) ctid FROM observations WHERE view = $1 ORDER BY view, block_number
    ) AS first
    WHERE o.ctid = first.ctid RETURNING o.*
"""


@pytest.mark.heavy
@pytest.mark.parametrize("name", LAST_BLOCKS)
async def test_a_missing_observation_is_named(indexed: dict[str, Indexed], name: str) -> None:
    """One answer of each view that the log holds, taken out: no replay without it."""
    environ, _, digest = indexed[name]
    connection = await asyncpg.connect(environ["DATABASE_URL"])
    asked = await connection.fetch("SELECT DISTINCT view FROM observations ORDER BY view")
    views = {row["view"] for row in asked}
    assert views >= {"symbol", "decimals", "name", "pool_owner", "interest_rate_config"}
    for view in views:
        taken = await connection.fetchrow(TAKE_ONE_OF_EACH, view)
        assert taken is not None
        _, _, err = await stage.command(environ, "replay", "--from-block", "0", expect=3)
        named = err.splitlines()[-1]
        assert f"the log lacks the observation {view}(" in named
        assert f"of {taken['contract']} at block {taken['block_number']}" in named
        await connection.copy_records_to_table("observations", records=[tuple(taken)])
        await stage.command(environ, "replay", "--discard")  # what was built up to there
    await connection.close()
    await stage.command(environ, "replay", "--from-block", "0")
    assert await stage.json_of(environ, "digest") == digest
