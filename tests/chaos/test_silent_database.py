"""The database goes silent under a running daemon: nothing is answered, and nothing reset."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from indexer.recording import server
from tests.acceptance import stage, truth
from tests.chaos import daemon, proxy

pytestmark = pytest.mark.heavy

SEED = 20262
ANSWER_SECONDS = 5.0
SESSION_SECONDS = 90.0
"""How long it may take until a new session commits once the network forgot the old one."""


@pytest.fixture
async def way(migrated_database_url: str) -> AsyncIterator[proxy.Proxy]:
    async with proxy.Proxy(migrated_database_url) as made:
        yield made


class Watcher:
    """Asks /health and /ready again and again; each answer must come within five seconds."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.answers: list[int] = []

    async def watch(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                for path in ("/health", "/ready"):
                    async with session.get(self._url + path) as answer:
                        self.answers.append(answer.status)
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def watched(running: daemon.Daemon) -> AsyncIterator[Watcher]:
    """The health of a daemon is watched while inside."""
    watcher = Watcher(running.port)
    watching = asyncio.ensure_future(watcher.watch())
    try:
        yield watcher
    finally:
        if watching.done():
            watching.result()
        watching.cancel()
        await asyncio.wait([watching])


@pytest.mark.parametrize("variant", range(3))
async def test_the_network_forgets_the_connections(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    way: proxy.Proxy,
    migrated_database_url: str,
    indexed_url: str,
    tmp_path: Path,
    variant: int,
) -> None:
    """All of them in the middle of a block, in one direction or both, or a single one."""
    chance = random.Random(f"{SEED}-{variant}")
    environ = stage.environment(recorded, node.url, way.url)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(migrated_database_url, 20)
        async with watched(running) as watcher:
            way.after(chance.randrange(60), forgetting(way, chance))
            node.playhead.go_to(recorded.last_block)
            await running.tells("database_back", seconds=SESSION_SECONDS)
            await running.commits(migrated_database_url, recorded.last_block)
        assert 503 in watcher.answers
        await running.stop()
    digest = await stage.json_of(environ | {"DATABASE_URL": migrated_database_url}, "digest")
    assert digest == await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")


def forgetting(way: proxy.Proxy, chance: random.Random) -> proxy.Happening:
    """What the network forgets, drawn at random."""
    directions = chance.choice([(True, True), (True, False), (False, True)])
    print(f"seed {SEED}: forgets to server, to client: {directions}")
    return lambda: way.forget(*directions)
