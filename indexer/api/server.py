"""The HTTP side of `run`: /health, /ready and /metrics, on loopback unless configured.

Health is the committed block held against what the node says and when it last said it: a
stall of either cannot look healthy.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import litestar
import uvicorn
from litestar.openapi import config as openapi

from indexer import errors
from indexer.api import metrics
from indexer.query import status
from indexer.store import database

ANSWER_SECONDS = 5.0
"""A health check that the database does not answer within this time is a failed one."""


def app(url: str) -> litestar.Litestar:
    """The application; opens a small pool to `url` when it starts."""
    return litestar.Litestar(
        route_handlers=[health, ready, prometheus],
        lifespan=[lambda app: _pooled(app, url)],
        openapi_config=openapi.OpenAPIConfig(title="vesu-indexer", version="1", path="/openapi"),
        request_max_body_size=16_384,
    )


@contextlib.asynccontextmanager
async def _pooled(app: litestar.Litestar, url: str) -> AsyncIterator[None]:
    pool = await database.connect_pool(database.DatabaseSettings(url, pool_min=0, pool_max=2))
    app.state.pool = pool
    try:
        yield
    finally:
        await pool.close()


async def _freshness(pool: asyncpg.Pool) -> tuple[bool, str, int | None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS), pool.acquire() as connection:
            return await status.freshness(connection)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return False, f"the database does not answer: {type(error).__name__}", None


@litestar.get("/health")
async def health(state: litestar.datastructures.State) -> litestar.Response[dict[str, Any]]:
    """200: the tables follow the head. 503: they do not, and why."""
    is_fresh, reason, block = await _freshness(state.pool)
    return litestar.Response(
        {
            "status": "fresh" if is_fresh else "stale",
            "reason": reason,
            "committed_block": block,
        },
        status_code=200 if is_fresh else 503,
    )


@litestar.get("/ready")
async def ready(state: litestar.datastructures.State) -> litestar.Response[dict[str, Any]]:
    """200: the database answers and a block is committed, however old. 503: not yet."""
    _, reason, block = await _freshness(state.pool)
    is_ready = block is not None
    return litestar.Response(
        {"ready": is_ready, "reason": "a block is committed" if is_ready else reason},
        status_code=200 if is_ready else 503,
    )


@litestar.get("/metrics", media_type="text/plain; version=0.0.4", sync_to_thread=False)
def prometheus() -> bytes:
    """All metrics in Prometheus' text format."""
    return metrics.exposition()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise errors.PortInUseError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another api.port "
            "(or run with --no-serve)"
        ) from error
    return listening


class _Quiet(uvicorn.Server):
    """Leaves signals to the daemon, which ends the batch in hand first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(url: str, host: str, port: int) -> AsyncIterator[int]:
    """Serve while inside; yields the port (useful where 0 was asked for)."""
    listening = _bind(host, port)
    server = _Quiet(
        uvicorn.Config(app(url), log_config=None, access_log=False, lifespan="on", backlog=128)
    )
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        if task.done():
            await task
            raise errors.SurroundingsError("the HTTP side did not start; see the log above")
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait([task], timeout=5)
        listening.close()
