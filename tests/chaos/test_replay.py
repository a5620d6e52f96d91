"""Replays under kills from outside: the process at random moments, the server in the middle.

Seeds 1 to VESU_TEST_CHAOS_SEEDS (default 2); all but the first are heavy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path

import asyncpg
import pytest

from indexer.recording import playhead, server
from indexer.store import embedded
from tests import postgres
from tests.acceptance import spoiled, stage, truth
from tests.acceptance.conftest import indexed_url, recorded
from tests.integration import embedded_stage

__all__ = ["indexed_url", "recorded"]

NOWHERE = "http://127.0.0.1:1"
SEEDS = range(1, int(os.environ.get("VESU_TEST_CHAOS_SEEDS", "2")) + 1)
KILLS = 5


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[] if seed == 1 else [pytest.mark.heavy]) for seed in SEEDS]
)
async def test_a_shadow_killed_again_and_again_while_the_chain_forks(
    recorded: truth.Recorded, indexed_url: str, seed: int
) -> None:
    """The daemon follows a fork and its end; at last the shadow is swapped in, and all is equal."""
    dice = random.Random(seed)
    first = dice.choice([0, 30, 70])
    print(f"seed {seed}, from block {first}")
    loaded = recorded.chain
    head = playhead.Playhead.paced(loaded, held_back=60, blocks_per_second=8, story=True)
    start = ("replay", "--from-block", str(first), "--shadow", "--swap")
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, head) as node,
    ):
        environ = stage.environment(recorded, node.url, url, VESU_INGEST_BATCH_EVENTS="10")
        await stage.command(environ, "run", "--until-block", "66", "--no-serve")
        until = str(recorded.last_block)
        daemon = await stage.start(environ, "run", "--until-block", until, "--no-serve")
        await _spoil(url)
        for _ in range(KILLS):
            process = await stage.start(environ, *start, "--allow-differences", "all")
            await asyncio.sleep(dice.uniform(0.4, 1.6))
            with contextlib.suppress(ProcessLookupError):  # it may have ended before
                process.kill()
            await process.communicate()
        await asyncio.wait_for(daemon.communicate(), 120)
        assert daemon.returncode == 0
        environ["VESU_NODE_URLS"] = NOWHERE
        done = await stage.json_of(environ, *start, "--allow-differences", "all")
        assert done["swapped"]
        digest = await stage.json_of(environ, "digest")
    undisturbed = stage.environment(recorded, NOWHERE, indexed_url)
    assert digest == await stage.json_of(undisturbed, "digest")


async def _spoil(url: str) -> None:
    """A row less, which only a swap brings back."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "DELETE FROM vesu_transactions WHERE block_number = "
        "(SELECT max(block_number) FROM vesu_transactions)"
    )
    await connection.close()


async def test_a_crash_of_the_server_begins_a_replay_anew(
    recorded: truth.Recorded, indexed_url: str, tmp_path: Path
) -> None:
    """The shadow is unlogged, so a crash empties it; what is live is not touched."""
    server_ = embedded.EmbeddedPostgres(tmp_path)
    url = server_.start()
    try:
        async with server.RecordingServer(recorded.chain) as node:
            environ = stage.environment(recorded, node.url, url, VESU_INGEST_BATCH_EVENTS="20")
            until = str(recorded.last_block)
            await stage.command(environ, "run", "--until-block", until, "--no-serve")
        await spoiled.killed(environ, "kill-after-block:64", "replay", "--from-block", "0")
        embedded_stage.kill_server(tmp_path)
        server_.stop()
        server_.start()
        done = await stage.json_of(environ, "replay", "--from-block", "0")
        digest = await stage.json_of(environ, "digest")
    finally:
        server_.stop()
    assert (done["resumed_at"], done["rows_changed"]) == (None, 0)
    undisturbed = stage.environment(recorded, NOWHERE, indexed_url)
    assert digest == await stage.json_of(undisturbed, "digest")
