"""`reorg`: the way on where the daemon refuses, below a final block."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from indexer.recording import playhead, server
from tests.acceptance import refusal, stage, truth

FINAL = "SELECT finalised_block FROM chain_head"
SUSPECT = "SELECT suspect_reason FROM chain_head"


async def suspicion(url: str, final: int) -> str:
    """Wait for the reason that names this final block, which two looks have told."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(60):
            while True:
                reason = str(await connection.fetchval(SUSPECT))
                if f"below block {final}," in reason:
                    return reason
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def follow_until_final(environ: dict[str, str], block: int) -> None:
    """Run the daemon until a block counts as final: from the second look that says so."""
    daemon = await stage.start(environ, "run", "--no-serve")
    connection = await asyncpg.connect(environ["DATABASE_URL"])
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval(FINAL) != block:
                assert daemon.returncode is None, (await daemon.communicate())[1].decode()
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
        if daemon.returncode is None:
            daemon.terminate()
        await daemon.communicate()
    assert daemon.returncode == 0


async def test_below_the_final_block_by_an_operator_s_word(
    recorded: truth.Recorded, indexed_url: str, migrated_database_url: str
) -> None:
    """Refused by `run`, done by `reorg --yes`, and in the end as if the fork had never been."""
    url = migrated_database_url
    loaded = recorded.chain
    fork, last = loaded.forks[0], str(recorded.last_block)
    head = playhead.Playhead.at_block(loaded, fork.common, story=True, finality_lag=2)
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, url)
        head.go_to(fork.last, branch=1)
        await stage.command(environ, "migrate")
        await follow_until_final(environ, fork.last - 2)
        on_fork = await stage.json_of(environ, "digest")

        head.go_to(recorded.last_block)
        daemon = await stage.start(environ, "run", "--no-serve")
        reason = await suspicion(url, recorded.last_block - 2)
        remedy = f"vesu-indexer reorg --to-block {fork.common} --yes"
        assert remedy in reason
        found = await stage.json_of(environ, "status", expect=1)
        assert (found["state"], found["reason"]) == ("suspect", reason)
        assert await stage.json_of(environ, "digest") == on_fork
        asked = remedy.removeprefix("vesu-indexer ").split()
        refused = await refusal.refused(environ, *asked, code=3)
        assert "another indexer writes to this database" in refused
        daemon.terminate()
        await daemon.communicate()
        assert daemon.returncode == 0

        _, out, _ = await stage.command(environ, *asked[:-1], expect=1)
        assert "below a block that was accepted on L1" in out
        assert "Nothing was changed: add --yes to do it." in out
        assert await stage.json_of(environ, "digest") == on_fork

        done = await stage.json_of(environ, *asked)
        assert (done["done"], done["below_final"], done["to_block"]) == (True, True, fork.common)
        assert (await stage.json_of(environ, "status", expect=None))["state"] != "suspect"
        _, told, _ = await stage.command(environ, "status", expect=None)
        lines = told.splitlines()
        of_reorgs = next(index for index, line in enumerate(lines) if line.startswith("reorgs "))
        assert lines[of_reorgs + 1].strip().startswith(f"block {fork.last} back to {fork.common}:")
        await stage.command(environ, "run", "--until-block", last, "--no-serve")
        assert await _audit(url) == (done["events"], fork.last - fork.common)
        final: Any = await stage.json_of(environ, "digest")
    undisturbed = await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")
    assert final == undisturbed


async def _audit(url: str) -> tuple[int, int]:
    """Orphaned events and the depth of the one reorganisation."""
    connection = await asyncpg.connect(url)
    try:
        events = await connection.fetchval("SELECT count(*) FROM orphaned_events")
        (row,) = await connection.fetch("SELECT depth, events_orphaned FROM reorgs")
        assert row["events_orphaned"] == events
        return events, row["depth"]
    finally:
        await connection.close()


@pytest.mark.parametrize("block", ["125", "999"])
async def test_a_block_that_is_not_below_the_committed_one(
    recorded: truth.Recorded, indexed_url: str, block: str
) -> None:
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    line = await refusal.refused(environ, "reorg", "--to-block", block, "--yes", code=2)
    assert "is not below the committed block 125" in line


async def test_nothing_to_take_back(recorded: truth.Recorded, migrated_database_url: str) -> None:
    environ = stage.environment(recorded, "http://127.0.0.1:1", migrated_database_url)
    line = await refusal.refused(environ, "reorg", "--to-block", "1", code=2)
    assert "nothing is committed yet" in line
