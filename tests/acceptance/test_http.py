"""The HTTP side of `run`: health tells the truth, metrics count, and stopping is quick."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from indexer import config
from indexer.api import problems
from indexer.api import server as http
from indexer.app import databases
from indexer.recording import options, playhead, server
from tests import postgres
from tests.acceptance import stage, truth

SILENCE = "UPDATE chain_head SET seen_at = seen_at - interval '200 seconds'"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


async def silence(url: str) -> None:
    """Make the node's last answer old, once none of its answers is on the way any more."""
    seen = None
    while seen != (latest := await postgres.value(url, "SELECT seen_at FROM chain_head")):
        seen = latest
        await asyncio.sleep(1)
    await postgres.execute(url, SILENCE)


class Daemon:
    """A running `vesu-indexer run` and a client of its HTTP side."""

    def __init__(
        self, process: asyncio.subprocess.Process, session: aiohttp.ClientSession, port: int
    ) -> None:
        self.process = process
        self.port = port
        self._session = session

    async def ask(self, path: str, method: str = "GET") -> tuple[int, str, str]:
        """Status, content type and body."""
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._session.request(method, url) as answer:
            return answer.status, answer.content_type, await answer.text()

    async def health(self, want: int, **fields: Any) -> dict[str, Any]:
        """Wait until /health answers this status and these fields."""
        last: object = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(aiohttp.ClientConnectionError):
                        status, _, body = await self.ask("/health")
                        last = (status, body)
                        found: dict[str, Any] = json.loads(body)
                        if status == want and found.items() >= fields.items():
                            return found
                    await asyncio.sleep(0.05)
        raise AssertionError(f"wanted {want} {fields}, the last answer was {last}")

    async def stop(self) -> tuple[int | None, float, str]:
        """End it with SIGTERM; exit code, seconds that it took, and its log."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(self.process.communicate(), 30)
        return self.process.returncode, time.monotonic() - began, err.decode()


@contextlib.asynccontextmanager
async def daemon(environ: dict[str, str]) -> AsyncIterator[Daemon]:
    port = free_port()
    process = await stage.start(environ | {"VESU_API_PORT": str(port)}, "run")
    try:
        async with aiohttp.ClientSession() as session:
            yield Daemon(process, session, port)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def value(metrics: str, name: str) -> float:
    line = next(line for line in metrics.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


async def test_a_daemon_s_life(recorded: truth.Recorded, migrated_database_url: str) -> None:
    """Fresh at the head, metrics through a reorganisation, silent node, its return, the end."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    fork = loaded.forks[0]
    node = server.RecordingServer(loaded, head, options.ServerOptions(port=free_port()))
    await node.start()
    environ = stage.environment(recorded, node.url, migrated_database_url)
    async with daemon(environ) as running:
        fresh = await running.health(200, committed_block=84)
        assert fresh["status"] == "fresh"
        head.go_to(fork.last, branch=1)
        await running.health(200, committed_block=fork.last)
        head.go_to(loaded.main.last)
        await running.health(200, committed_block=loaded.main.last)
        assert (await running.ask("/ready"))[0] == 200
        await _check_metrics(running, migrated_database_url, recorded)
        await _check_manners(running)

        await node.stop()
        await silence(migrated_database_url)
        silent = await running.health(503)
        assert silent["status"] == "stale"
        assert silent["reason"].startswith("no good answer from the node for 3 min")
        assert (await running.ask("/ready"))[0] == 200
        code, _, _ = await stage.command(environ, "status", expect=None)
        assert code == 1

        await node.start()
        await running.health(200, committed_block=loaded.main.last)
        code, seconds, log = await running.stop()
    await node.stop()
    assert code == 0, log
    assert seconds < 5
    assert "Traceback" not in log


async def _check_metrics(running: Daemon, url: str, recorded: truth.Recorded) -> None:
    status, kind, metrics = await running.ask("/metrics")
    assert (status, kind) == (200, "text/plain")
    last = recorded.last_block
    assert value(metrics, "vesu_committed_block") == last
    assert value(metrics, "vesu_head_block") == last
    assert value(metrics, "vesu_committed_block_timestamp_seconds") == recorded.timestamps[last]
    assert value(metrics, "vesu_reorgs_total") == 1
    connection = await asyncpg.connect(url)
    try:
        stored = await connection.fetchval("SELECT count(*) FROM events")
        orphaned = await connection.fetchval("SELECT count(*) FROM orphaned_events")
    finally:
        await connection.close()
    assert orphaned > 0
    assert value(metrics, "vesu_events_total") == stored + orphaned


async def _check_manners(running: Daemon) -> None:
    """Loopback alone, HEAD as GET without a body, other methods and paths refused."""
    status, kind, body = await running.ask("/nothing")
    assert (status, kind) == (404, "application/problem+json")
    assert json.loads(body)["title"] == "Not Found"
    for path in ("/health", "/ready", "/metrics"):
        assert (await running.ask(path, "HEAD"))[::2] == (200, "")
        for method in ("POST", "PUT", "DELETE"):
            status, kind, body = await running.ask(path, method)
            assert (status, kind) == (405, "application/problem+json")
            assert "Traceback" not in body
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.2", running.port)


async def test_lagging_is_not_healthy(recorded: truth.Recorded, migrated_database_url: str) -> None:
    """The head is told and moves, but its events cannot be read."""
    broken = options.Fault(status=503)
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 50)

    def fault(method: str, _: Any) -> options.Fault | None:
        return broken if method == "starknet_getEvents" and head.tip.number > 50 else None

    settings = options.ServerOptions(fault=fault)
    async with server.RecordingServer(loaded, head, settings) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url)
        async with daemon(environ) as running:
            await running.health(200, committed_block=50)
            head.go_to(60)
            lagging = await running.health(503, committed_block=50)
            assert lagging["reason"].startswith("10 blocks behind the head")
            code, seconds, log = await running.stop()
    assert code == 0, log
    assert seconds < 5


async def test_stopping_while_catching_up(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Events take half a minute to come: what is being read is given up, exit 0."""
    loaded = recorded.chain
    slow = options.Fault(delay=30)
    settings = options.ServerOptions(
        latency=0.1, fault=lambda method, _: slow if method == "starknet_getEvents" else None
    )
    async with server.RecordingServer(loaded, options=settings) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url)
        async with daemon(environ) as running:
            await running.health(503, reason="nothing is committed yet")
            assert (await running.ask("/ready"))[0] == 503
            code, seconds, log = await running.stop()
    assert code == 0, log
    assert seconds < 3
    assert "Traceback" not in log


async def test_probes_are_answered_before_the_api_is_up(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """From before the daemon's own modules are there, and until its node is: never silent.

    How soon is told by the processor time that the daemon had until then, whatever else the
    machine does.
    """
    async with unanswering() as silent:
        environ = stage.environment(recorded, silent, migrated_database_url)
        async with daemon(environ) as running:
            first = await running.health(503)
            assert cpu_seconds(running.process.pid) < 1
            assert first == STARTING
            status, kind, body = await running.ask("/ready")
            assert (status, kind) == (503, "application/json")
            assert json.loads(body) == {"ready": False, "reason": STARTING["reason"]}
            status, kind, body = await running.ask("/v1/pools")
            assert (status, kind) == (503, "application/problem+json")
            assert json.loads(body)["detail"] == "the indexer is starting: ask again"
            assert value((await running.ask("/metrics"))[2], "vesu_committed_block") == 0
            assert (await running.ask("/health", "HEAD"))[::2] == (503, "")
            async with asyncio.timeout(60):
                while json.loads((await running.ask("/health"))[2]) == STARTING:
                    await asyncio.sleep(0.02)
            assert (await running.ask("/health"))[0] == 503
            code, _, log = await running.stop()
    assert code == 0, log


STARTING = {
    "status": "stale",
    "reason": "the indexer is starting",
    "reasons": [
        {
            "name": "starting",
            "reason": "the indexer is starting",
            "remedy": "wait; `vesu-indexer doctor` says what a start may be waiting for",
        }
    ],
    "committed_block": None,
}


def cpu_seconds(pid: int) -> float:
    """The processor time that a process had so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def unanswering() -> AsyncIterator[str]:
    """The URL of a node that takes connections and never answers."""

    async def swallow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server_:
        yield f"http://127.0.0.1:{server_.sockets[0].getsockname()[1]}"


async def test_the_api_is_a_process_of_its_own(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Killed, it is replaced and the port stays; the daemon killed, it goes and frees the port."""
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url)
        async with daemon(environ) as running:
            await running.health(200, committed_block=recorded.last_block)
            first = child_of(running.process.pid)
            os.kill(first, signal.SIGKILL)
            ended = "the API's process ended and is started again"
            await running.health(503, reason=ended)
            await running.health(200, committed_block=recorded.last_block)
            second = child_of(running.process.pid)
            assert second != first
            status, _, text = await running.ask("/metrics")
            assert (status, value(text, "vesu_committed_block")) == (200, recorded.last_block)
            running.process.kill()
            await running.process.communicate()
            async with asyncio.timeout(10):
                while (Path("/proc") / str(second)).exists():
                    await asyncio.sleep(0.02)
            with socket.create_server(("127.0.0.1", running.port)):
                pass


def child_of(parent: int) -> int:
    """The API's process under a daemon."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    found = [
        int(one) for one in children if b"api_worker" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "/run/secret"), "no server listens at its address"),
        (ConnectionRefusedError(111, "10.1.2.3"), "no server listens at its address"),
        (TimeoutError(), "no answer in time"),
        (ConnectionResetError("10.1.2.3"), "the connection was lost"),
        (asyncpg.CannotConnectNowError("shutting down"), "the server is starting or stopping"),
        (asyncpg.TooManyConnectionsError("of role x"), "TooManyConnectionsError"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_why_the_database_does_not_answer_is_told_in_words(error: Exception, words: str) -> None:
    found = problems.of(error)
    assert found is not None
    assert found.detail == f"the database does not answer ({words}): ask again"


async def test_database_gone_is_not_healthy() -> None:
    async with (
        postgres.fresh_database(migrated=True) as url,
        databases.pool(config.load(None, {}, {}), url) as pool,
        http.serving(pool, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):

        async def ask(path: str) -> tuple[int, Any]:
            async with session.get(path) as answer:
                return answer.status, await answer.json()

        status, found = await ask("/health")
        assert (status, found["reason"]) == (503, "nothing is committed yet")
        name = url.partition("?")[0].rpartition("/")[2]
        await postgres.execute(postgres.server_url(), f'DROP DATABASE "{name}" WITH (FORCE)')
        status, found = await ask("/health")
        assert status == 503
        assert found["reason"].startswith("the database does not answer: ")
        status, found = await ask("/ready")
        assert (status, found["ready"]) == (503, False)
