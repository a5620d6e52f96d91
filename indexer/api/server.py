"""The HTTP server: serves the application on a socket while its context is open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import asyncpg
import structlog
import uvicorn

from indexer import errors
from indexer.api import application, probes, problems, protocol, sockets
from indexer.query import counts

log = structlog.get_logger(__name__)

STOP_SECONDS = 5
"""How long an unfinished answer may take once the server is told to stop."""

KEEP_ALIVE_SECONDS = 30
"""How long a connection without a request stays open; proxies keep theirs."""


class _Quiet(uvicorn.Server):
    """Says when it listens; leaves signals to the caller, who ends what is in hand first."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    pool: asyncpg.Pool,
    host: str,
    port: int,
    options: application.Options = application.DEFAULTS,
    metrics: probes.Metrics = probes.own_metrics,
) -> AsyncIterator[int]:
    """Serve while inside; yields the port (useful where 0 was asked for).

    PortInUseError where host and port cannot be listened on.
    """
    with contextlib.closing(sockets.bind(host, port)) as listening:
        async with serving_on(listening, pool, options, metrics):
            yield listening.getsockname()[1]


@contextlib.asynccontextmanager
async def serving_on(
    listening: socket.socket,
    pool: asyncpg.Pool,
    options: application.Options = application.DEFAULTS,
    metrics: probes.Metrics = probes.own_metrics,
) -> AsyncIterator[None]:
    """Serve on a listening socket while inside; closing it stays the caller's."""
    counted = counts.Counts()
    server = _Quiet(
        uvicorn.Config(
            application.app(pool, options, metrics, counted),
            http=protocol.Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listening]))
    listens = asyncio.create_task(server.listens.wait())
    counting = asyncio.create_task(_count_ahead(counted, pool))
    try:
        await asyncio.wait([task, listens], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
            raise errors.SurroundingsError("the HTTP side did not start; see the log above")
        yield
    finally:
        listens.cancel()
        counting.cancel()
        server.should_exit = True
        await asyncio.wait([task, counting], timeout=STOP_SECONDS + 1)


async def _count_ahead(counted: counts.Counts, pool: asyncpg.Pool) -> None:
    """Count whole tables before anybody asks, where that leaves connections for questions.

    What fails here fails again, and is told, where somebody asks for the counts.
    """
    if pool.get_max_size() == 1:
        return
    try:
        await counted.count_ahead(pool)
    except problems.PASSING as error:
        log.debug("not_counted_ahead", reason=str(error))
