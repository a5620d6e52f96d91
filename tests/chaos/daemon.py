"""A `vesu-indexer run` in a process of its own, with its log, health and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from tests import zygote

PATIENCE = 60.0
ANSWER_SECONDS = 5.0
STOP_SECONDS = 25.0
"""How long the end may take after SIGTERM, whatever holds the daemon."""

COMMITTED = "SELECT block_number FROM cursor WHERE block_hash IS NOT NULL"
BLOCKED = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND application_name LIKE 'vesu-indexer%'
"""
TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'vesu-indexer%'
"""


class Daemon:
    """The process; `log` holds what it printed."""

    def __init__(
        self, process: zygote.Process | asyncio.subprocess.Process, log: Path, port: int
    ) -> None:
        self.process = process
        self.port = port
        self._log = log

    def lines(self) -> list[str]:
        """What it printed so far."""
        return self._log.read_text("utf-8").splitlines()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's entries of an event."""
        found = [json.loads(line) for line in self.lines() if line.startswith("{")]
        return [entry for entry in found if entry["event"] == event]

    async def tells(self, event: str, times: int = 1, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for the log's last entry of an event."""
        await self.until(lambda: len(self.logged(event)) >= times, seconds)
        return self.logged(event)[-1]

    async def until(
        self, is_so: Callable[[], bool | Awaitable[bool]], seconds: float = PATIENCE
    ) -> None:
        """Wait for something while it runs."""
        async with asyncio.timeout(seconds):
            while True:
                answer = is_so()
                if isinstance(answer, Awaitable):
                    answer = await answer
                if answer:
                    return
                assert self.process.returncode is None, self.lines()
                await asyncio.sleep(0.02)

    async def commits(self, url: str, block: int) -> None:
        """Wait until a block is committed; the database may be away meanwhile."""
        asking: asyncpg.Connection | None = None

        async def has_committed() -> bool:
            nonlocal asking
            try:
                if asking is None:
                    asking = await _connected(url)
                found = await asking.fetchval(COMMITTED)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if asking is not None:
                    asking.terminate()
                    asking = None
                return False
            return found is not None and found >= block

        try:
            await self.until(has_committed)
        finally:
            if asking is not None:
                asking.terminate()

    async def health(self) -> int:
        """The status of /health."""
        return (await self._get("/health"))[0]

    async def answers(self, path: str) -> int:
        """The status of a path; its answer must come within five seconds."""
        async with asyncio.timeout(ANSWER_SECONDS):
            return (await self._get(path))[0]

    async def failures(self) -> float:
        """How many lost sessions the metrics tell of."""
        text = (await self._get("/metrics"))[1]
        name = "vesu_database_failures_total "
        return float(next(line for line in text.splitlines() if line.startswith(name)).split()[1])

    async def _get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def stop(self, times: int = 1) -> None:
        """SIGTERM; it must end well and in time, and have logged nothing but lines of JSON."""
        for _ in range(times):
            if self.process.returncode is not None:
                break  # nothing was being committed: it ended at the one before
            self.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3 if times > 1 else 0)  # two at once would be heard as one
        async with asyncio.timeout(STOP_SECONDS):
            assert await self.process.wait() == 0, self.lines()
        assert [line for line in self.lines() if not line.startswith("{")] == []

    async def refuses(self) -> str:
        """Wait for its end by itself: exit code 3, and one line, which is returned."""
        async with asyncio.timeout(PATIENCE):
            assert await self.process.wait() == 3, self.lines()
        plain = [line for line in self.lines() if not line.startswith("{")]
        assert plain == self.lines()[-1:], plain
        assert plain[0].startswith("error: ")
        return plain[0]


@contextlib.asynccontextmanager
async def started(
    environ: dict[str, str], log: Path, *, forked: bool = True
) -> AsyncIterator[Daemon]:
    """A daemon that logs from level info on; killed in the end.

    Forked from a process that has imported everything, or in a new Python.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = environ | {"VESU_LOG_LEVEL": "info", "VESU_API_PORT": str(port)}
    process: zygote.Process | asyncio.subprocess.Process
    if forked:
        assert zygote.can_start(environ)
        process = await zygote.shared.log_to(log, environ, "run")
    else:
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "indexer", "run"), env=environ, stdout=out, stderr=out
            )
    try:
        yield Daemon(process, log, port)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ask(url: str, statement: str, *arguments: Any) -> Any:
    """The one value that a statement answers."""
    connection = await _connected(url)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()


async def _connected(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url, server_settings={"application_name": "test"})
