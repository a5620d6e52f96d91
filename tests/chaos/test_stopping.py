"""SIGTERM while something holds the daemon: it ends well, and within 25 seconds."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from indexer.recording import options, server
from indexer.store import migrate
from tests.acceptance import stage, truth
from tests.chaos import daemon, proxy

pytestmark = pytest.mark.heavy

SEED = 20264
TABLES = ("events", "blocks", "vesu_positions", "vesu_assets", "vesu_position_history", "cursor")


@contextlib.asynccontextmanager
async def locked(url: str, table: str, mode: str) -> AsyncIterator[None]:
    """Somebody holds a lock on a table while inside."""
    holder = await asyncpg.connect(url, server_settings={"application_name": "test"})
    try:
        async with holder.transaction():
            await holder.execute(f"LOCK TABLE {table} IN {mode} MODE")
            yield
    finally:
        await holder.close()


@pytest.mark.parametrize("variant", range(6))
async def test_stopping_while_a_lock_holds_the_commit(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    empty_database_url: str,
    tmp_path: Path,
    variant: int,
) -> None:
    """One signal waits for the commit and then rolls back; a second one rolls back at once."""
    chance = random.Random(f"{SEED}-{variant}")
    table, mode = TABLES[variant], chance.choice(["SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE"])
    signals = 1 if variant == 2 else 2
    print(f"seed {SEED}: {signals} signals, {table} in {mode} mode")
    environ = stage.environment(recorded, node.url, empty_database_url)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(empty_database_url, 20)
        async with locked(empty_database_url, table, mode):
            node.playhead.go_to(30)

            async def is_blocked() -> bool:
                return await daemon.ask(empty_database_url, daemon.BLOCKED) is not None

            await running.until(is_blocked)
            await running.stop(signals)
    assert await daemon.ask(empty_database_url, daemon.COMMITTED) == 20
    assert await daemon.ask(empty_database_url, "SELECT max(number) FROM blocks") == 20


@pytest.mark.parametrize("variant", range(6))
async def test_stopping_while_the_database_swallows_everything(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    empty_database_url: str,
    tmp_path: Path,
    variant: int,
) -> None:
    """Before the first commit, in the middle of one, or between two."""
    chance = random.Random(f"{SEED}-{variant}")
    async with proxy.Proxy(empty_database_url) as way:
        environ = stage.environment(recorded, node.url, way.url)
        pieces = (0 if variant % 3 else 20) + chance.randrange(40)
        print(f"seed {SEED}: stalls after {pieces} pieces")
        if variant % 3 == 0:
            way.after(pieces, way.stall)
        async with daemon.started(environ, tmp_path / "log") as running:
            if variant % 3:
                await running.commits(empty_database_url, 20)
                way.after(pieces, way.stall)
                node.playhead.go_to(40)
            await running.until(lambda: not way.is_armed)
            assert await running.answers("/health") == 503
            assert await running.answers("/ready") in (200, 503)
            await running.stop()
        way.flow()


async def test_stopping_while_another_process_migrates(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    holder = await asyncpg.connect(empty_database_url)
    await holder.execute("SELECT pg_advisory_lock($1)".replace("$1", str(migrate.MIGRATE_KEY)))
    environ = stage.environment(recorded, node.url, empty_database_url)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.tells("serving")
        assert await running.answers("/health") == 503
        assert await running.answers("/ready") == 503
        await running.stop()
    await holder.close()


@pytest.mark.parametrize("variant", range(8))
async def test_stopping_while_the_node_never_answers(
    recorded: truth.Recorded, empty_database_url: str, tmp_path: Path, variant: int
) -> None:
    """A node that takes connections: from the very start, or after some answers."""
    chance = random.Random(f"{SEED}-{variant}")
    signal_ = [signal.SIGTERM, signal.SIGINT][variant % 2]
    answers = 0 if variant < 2 else chance.randint(1, 12)
    print(f"seed {SEED}: {signal_.name} after {answers} answers")
    silent = asyncio.Event()
    asked = 0

    def swallow(_method: str, _params: object) -> options.Fault | None:
        nonlocal asked
        asked += 1
        if asked <= answers:
            return None
        silent.set()
        return options.Fault(delay=daemon.PATIENCE * 2)

    loaded = recorded.chain
    async with server.RecordingServer(loaded, options=options.ServerOptions(fault=swallow)) as node:
        environ = stage.environment(recorded, node.url, empty_database_url)
        async with daemon.started(environ, tmp_path / "log") as running:
            await running.until(silent.is_set)
            assert await running.answers("/health") == 503
            assert await running.answers("/ready") == 503
            running.process.send_signal(signal_)
            async with asyncio.timeout(daemon.STOP_SECONDS):
                assert await running.process.wait() == 0, running.lines()
