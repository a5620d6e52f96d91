"""The daemon's loop in this process, against nodes over real sockets and a real database.

Quicker than the command, and its log and its metrics can be looked at while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import prometheus_client
import structlog

from indexer import config, urls
from indexer.app import engines, networks, parts
from indexer.audit import digest
from indexer.chain import client, rpc
from indexer.daemon import ingestor
from indexer.recording import chain, options, playhead, server
from indexer.store import database
from tests import postgres
from tests.acceptance import stage, truth

Fault = options.Fault
Playhead = playhead.Playhead

QUICK = rpc.NodeSettings(
    request_timeout_seconds=5, max_requests_per_second=10_000, attempts=3, first_pause=0.001
)
SECONDS = 30.0

LAST = 60
"""The block up to which most tests index, and `undisturbed` is."""


def recorded() -> truth.Recorded:
    return truth.devnet_a()


def recording() -> chain.Recording:
    return recorded().chain


def settings(url: str, *nodes: str, **more: str) -> config.Settings:
    """The settings of a daemon that reads these nodes; `more` as in the environment."""
    environ = stage.environment(recorded(), ",".join(nodes), url, **more)
    ours = {key: it for key, it in environ.items() if key.startswith(stage.OURS)}
    return config.load(None, ours, {})


def serving(head: Playhead | None = None, **more: Any) -> server.RecordingServer:
    """A node that serves devnet-a; `more` as in ServerOptions."""
    return server.RecordingServer(recording(), head, options.ServerOptions(**more))


class Following:
    """A daemon's loop that runs in a task, its log, and a connection of the test's own."""

    def __init__(self, connection: asyncpg.Connection, logged: list[Any]) -> None:
        self.connection = connection
        self.logged = logged
        self.worker: ingestor.Ingestor
        self.node: client.StarknetNode
        self.task: asyncio.Task[None]

    async def until(self, holds: Callable[[], Awaitable[Any]]) -> Any:
        """Wait until this holds, and return what it gave; the daemon must go on meanwhile."""
        async with asyncio.timeout(SECONDS):
            while not (found := await holds()):
                if self.task.done():
                    await self.task
                    raise AssertionError("the daemon ended")
                await asyncio.sleep(0.01)
        return found

    async def committed(self, block: int) -> None:
        await self.until(lambda: self.ask("SELECT true FROM cursor WHERE block_number = $1", block))

    async def says(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for a line of the log with these fields."""

        async def found() -> dict[str, Any] | None:
            return self.said(event, **fields)

        line: dict[str, Any] = await self.until(found)
        return line

    def said(self, event: str, **fields: Any) -> dict[str, Any] | None:
        """The first line of the log with these fields so far."""
        wanted = {"event": event, **fields}
        return next((line for line in self.logged if line.items() >= wanted.items()), None)

    async def ask(self, query: str, *values: Any) -> Any:
        return await self.connection.fetchval(query, *values)

    async def ended(self) -> BaseException | None:
        """Wait for the loop to end by itself; the error it ended with."""
        async with asyncio.timeout(SECONDS):
            await asyncio.wait([self.task])
        return self.task.exception()


@contextlib.asynccontextmanager
async def following(
    url: str, *nodes: str, until_block: int | None = None, node: Any = None, **more: str
) -> AsyncIterator[Following]:
    """A daemon's loop on a migrated database; stopped at the end, as SIGTERM would."""
    set_up = settings(url, *nodes, **more)
    treated = msgspec.structs.replace(QUICK, **(node or {}))
    connection, watching = await database.connect(url), await database.connect(url)
    connected = await client.connect(set_up.node.urls, networks.chain_id(set_up), treated)
    with structlog.testing.capture_logs() as logged:
        made = Following(watching, logged)
        made.node = connected
        followed = parts.ingestor_settings(set_up)
        quick = msgspec.structs.replace(followed.reading, pause_seconds=0.001)
        made.worker = ingestor.Ingestor(
            connected,
            connection,
            engines.engine(set_up),
            msgspec.structs.replace(followed, reading=quick),
            networks.watched_contracts(set_up),
            open_second=functools.partial(database.session, url),
        )
        try:
            await made.worker.open(hex(networks.chain_id(set_up)), networks.start_block(set_up))
            made.task = asyncio.create_task(made.worker.run(until_block))
            try:
                yield made
            finally:
                made.worker.stopping.set()
                async with asyncio.timeout(SECONDS):
                    await asyncio.wait([made.task])
        finally:
            await connected.close()
            for opened in (connection, watching):
                await opened.close()


async def digest_at(url: str, block: int) -> str:
    """The digest of all tables at a block."""
    connection = await database.connect(url)
    try:
        return (await digest.at_block(connection, block)).all
    finally:
        await connection.close()


def count(endpoint: str, kind: str, outcome: str) -> float:
    """How often this trouble was met with this endpoint."""
    labels = {"endpoint": urls.redact(endpoint), "kind": kind, "outcome": outcome}
    return prometheus_client.REGISTRY.get_sample_value("vesu_node_trouble_total", labels) or 0.0


@contextlib.asynccontextmanager
async def filled(head: Playhead, until_block: int) -> AsyncIterator[str]:
    """A database that holds the chain as this head shows it, up to a block."""
    async with postgres.fresh_database(migrated=True) as url:
        async with (
            serving(head) as node,
            following(url, node.url, until_block=until_block) as running,
        ):
            assert await running.ended() is None
        yield url
