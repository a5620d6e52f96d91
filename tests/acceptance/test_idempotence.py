"""Nothing is lost or doubled: restarts, kills, replays and a reorganisation, by digest."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import stage, truth

SEED = 20261125
TABLES = (
    "vesu_pools",
    "vesu_assets",
    "vesu_positions",
    "vesu_transactions",
    "vesu_liquidations",
)


@pytest.fixture(scope="session")
async def undisturbed(indexed_url: str, recorded: truth.Recorded) -> dict[str, Any]:
    """The digest of one run over the whole recording."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    digest: dict[str, Any] = await stage.json_of(environ, "digest")
    return digest


@pytest.fixture
async def fresh() -> AsyncIterator[str]:
    async with postgres.fresh_database(migrated=True) as url:
        yield url


async def test_current_rows_equal_their_history(
    indexed_url: str, recorded: truth.Recorded, undisturbed: dict[str, Any]
) -> None:
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    at_head = await stage.json_of(environ, "digest", "--at-block", str(recorded.last_block))
    assert at_head == undisturbed


async def test_block_by_block_equals_all_at_once(
    fresh: str, recorded: truth.Recorded, undisturbed: dict[str, Any]
) -> None:
    """Batch boundaries leave no trace: every fifth block a new process, overlapping restarts."""
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, fresh)
        for until in (0, 7, 8, 50, 51, 84, 100, 100, recorded.last_block):
            await stage.command(environ, "run", "--until-block", str(until), "--no-serve")
        assert await stage.json_of(environ, "digest") == undisturbed


async def test_kills_lose_nothing(
    fresh: str, recorded: truth.Recorded, undisturbed: dict[str, Any]
) -> None:
    """SIGKILL at random moments while blocks come in, then a run to the end."""
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    loaded = recorded.chain
    head = playhead.Playhead.paced(loaded, held_back=124, blocks_per_second=25)
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, fresh)
        for _ in range(6):
            process = await stage.start(environ, "run", "--no-serve")
            await asyncio.sleep(dice.uniform(0.8, 1.8))
            process.kill()
            await process.communicate()
        await stage.command(environ, "run", "--until-block", str(recorded.last_block), "--no-serve")
        assert await stage.json_of(environ, "digest") == undisturbed


@pytest.mark.parametrize("from_block", [0, 60, 125])
async def test_replay_makes_the_same(
    indexed_url: str, recorded: truth.Recorded, undisturbed: dict[str, Any], from_block: int
) -> None:
    """A replay needs no node: the configured one does not answer."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    await stage.command(environ, "replay", "--from-block", str(from_block))
    assert await stage.json_of(environ, "digest") == undisturbed


async def test_replay_makes_the_same_rows_valuations_included(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    """Beyond the digest: every column of the four tables."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    before = await postgres.lines(indexed_url, *TABLES)
    await stage.command(environ, "replay", "--from-block", "0")
    assert await postgres.lines(indexed_url, *TABLES) == before


async def test_reorganisation_leaves_the_final_branch(
    fresh: str, recorded: truth.Recorded, undisturbed: dict[str, Any]
) -> None:
    """The fork's blocks are indexed, then abandoned: the tables equal those of a run that
    never saw them, and the audit tables hold what was abandoned."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    fork = loaded.forks[0]
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, fresh)
        await stage.command(environ, "run", "--until-block", "84", "--no-serve")
        head.go_to(fork.last, branch=1)
        await stage.command(environ, "run", "--until-block", str(fork.last), "--no-serve")
        on_fork = await stage.json_of(environ, "digest")
        head.go_to(loaded.main.last)
        await stage.command(environ, "run", "--until-block", str(recorded.last_block), "--no-serve")
        final = await stage.json_of(environ, "digest")
        status = await stage.json_of(environ, "status", expect=None)
    assert on_fork["all"] != final["all"]
    assert final == undisturbed
    assert status["fork_counter"] == 1
    assert status["reorgs"][0]["ancestor_number"] == 84
    assert status["reorgs"][0]["depth"] == 7
    assert status["reorgs"][0]["events_orphaned"] == await _orphans(fresh) > 0


async def test_reorganisation_under_a_running_daemon(
    fresh: str, recorded: truth.Recorded, undisturbed: dict[str, Any]
) -> None:
    """The same while one process follows the head: no restart between the branches."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, fresh)
        process = await stage.start(
            environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
        )
        await _committed(fresh, 84)
        head.go_to(loaded.forks[0].last, branch=1)
        await _committed(fresh, loaded.forks[0].last)
        # The head drops below what is committed: a lag or a reorganisation, not yet known.
        head.go_to(84)
        await asyncio.sleep(0.5)
        head.go_to(loaded.main.last)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert await stage.json_of(environ, "digest") == undisturbed
    assert await _orphans(fresh) > 0


async def _committed(url: str, block: int) -> None:
    """Wait until a block is committed."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(asyncpg.UndefinedTableError):
                connection = await asyncpg.connect(url)
                try:
                    if await connection.fetchval("SELECT block_number FROM cursor") == block:
                        return
                finally:
                    await connection.close()
            await asyncio.sleep(0.1)


async def _orphans(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM orphaned_events")
        return count
    finally:
        await connection.close()
