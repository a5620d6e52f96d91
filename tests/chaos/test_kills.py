"""SIGKILL at random moments while a chain with a reorganisation happens: equal digests in the end.

Seeds 1 to VESU_TEST_CHAOS_SEEDS (default 2; `make chaos SEEDS=100` runs more).
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest

from indexer.recording import chain, playhead, server
from tests import postgres
from tests.acceptance import stage, truth

SEEDS = range(1, int(os.environ.get("VESU_TEST_CHAOS_SEEDS", "2")) + 1)
KILLS = 8


@pytest.fixture(scope="module")
def recorded() -> truth.Recorded:
    return truth.Recorded()


@pytest.fixture(scope="module")
async def undisturbed(recorded: truth.Recorded) -> dict[str, Any]:
    """The digest of a run that nobody kills, on a chain that never forks."""
    async with (
        postgres.fresh_database() as url,
        server.RecordingServer(chain.load(recorded.folder)) as node,
    ):
        environ = stage.environment(recorded, node.url, url)
        await stage.command(environ, "run", "--until-block", str(recorded.last_block), "--no-serve")
        digest: dict[str, Any] = await stage.json_of(environ, "digest")
    return digest


@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_again_and_again(
    recorded: truth.Recorded, undisturbed: dict[str, Any], seed: int
) -> None:
    """The last 70 steps, the fork and its end among them, come while the process is killed."""
    dice = random.Random(seed)
    print(f"seed {seed}")
    loaded = chain.load(recorded.folder)
    head = playhead.Playhead.paced(loaded, held_back=70, blocks_per_second=12, story=True)
    async with postgres.fresh_database() as url, server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, url)
        for _ in range(KILLS):
            process = await stage.start(environ, "run", "--no-serve")
            await asyncio.sleep(dice.uniform(0.5, 1.6))
            process.kill()
            await process.communicate()
        await stage.command(environ, "run", "--until-block", str(recorded.last_block), "--no-serve")
        assert await stage.json_of(environ, "digest") == undisturbed
        assert (await stage.json_of(environ, "audit"))["is_good"]
