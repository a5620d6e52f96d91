"""The HTTP side of `run`: /health, /ready and /metrics, on loopback unless configured.

Health is the committed block held against what the node says and when it last said it: a
stall of either cannot look healthy.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import litestar
import uvicorn
from litestar import datastructures
from litestar import exceptions as litestar_errors
from litestar.openapi import config as openapi

from indexer import errors, metrics
from indexer.query import status

ANSWER_SECONDS = 3.0
"""How long the database may take to answer a health check before the check fails."""

BACKLOG = 128
READ = [litestar.HttpMethod.GET, litestar.HttpMethod.HEAD]

STOP_SECONDS = 5
"""So long may an answer in hand take once the server is told to stop."""


def app(pool: asyncpg.Pool, limits: status.Limits) -> litestar.Litestar:
    """The application; it asks through `pool`, which stays the caller's to close."""
    return litestar.Litestar(
        route_handlers=[health, ready, prometheus],
        state=datastructures.State({"pool": pool, "limits": limits}),
        exception_handlers={litestar_errors.HTTPException: _problem},
        openapi_config=openapi.OpenAPIConfig(title="vesu-indexer", version="1", path="/openapi"),
        request_max_body_size=16_384,
        logging_config=None,
    )


def _problem(
    _: litestar.Request[Any, Any, Any], error: litestar_errors.HTTPException
) -> litestar.Response[dict[str, Any]]:
    """An error as problem+json."""
    return litestar.Response(
        {
            "type": "about:blank",
            "title": http.HTTPStatus(error.status_code).phrase,
            "status": error.status_code,
            "detail": error.detail,
        },
        status_code=error.status_code,
        headers=error.headers,
        media_type="application/problem+json",
    )


async def _freshness(state: datastructures.State) -> status.Freshness:
    """How fresh the tables are; stale where the database does not answer in time.

    What is asked in vain is given up in the background: its connection may take seconds to end.
    """
    asking = asyncio.ensure_future(_ask(state.pool, state.limits))
    try:
        await asyncio.wait([asking], timeout=ANSWER_SECONDS)
        if asking.done():
            return asking.result()
        return status.Freshness("stale", _no_answer("TimeoutError"), None)
    finally:
        asking.cancel()


async def _ask(pool: asyncpg.Pool, limits: status.Limits) -> status.Freshness:
    try:
        async with pool.acquire() as connection:
            return await status.freshness(connection, limits)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, errors.IndexerError) as error:
        return status.Freshness("stale", _no_answer(type(error).__name__), None)


def _no_answer(reason: str) -> str:
    return f"the database does not answer: {reason}"


@litestar.route("/health", http_method=READ)
async def health(state: datastructures.State) -> litestar.Response[dict[str, Any]]:
    """200: the tables follow the head. 503: they are stale or the chain is suspect, and why."""
    found = await _freshness(state)
    return litestar.Response(
        {
            "status": found.state,
            "reason": found.reason,
            "committed_block": found.committed_block,
        },
        status_code=200 if found.is_fresh else 503,
    )


@litestar.route("/ready", http_method=READ)
async def ready(state: datastructures.State) -> litestar.Response[dict[str, Any]]:
    """200: the database answers and a block is committed, however old. 503: not yet."""
    found = await _freshness(state)
    is_ready = found.committed_block is not None
    return litestar.Response(
        {"ready": is_ready, "reason": "a block is committed" if is_ready else found.reason},
        status_code=200 if is_ready else 503,
    )


@litestar.route(
    "/metrics", http_method=READ, media_type="text/plain; version=0.0.4", sync_to_thread=False
)
def prometheus() -> bytes:
    """All metrics in Prometheus' text format."""
    return metrics.exposition()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise errors.PortInUseError(
            f"cannot listen on {host} port {port}: {error.strerror}; set api.host and api.port "
            "to a free address of this machine (--port for the port alone)"
        ) from error
    return listening


class _Quiet(uvicorn.Server):
    """Says when it listens; leaves signals to the daemon, which ends the batch in hand first."""

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
    pool: asyncpg.Pool, host: str, port: int, limits: status.Limits = status.DEFAULTS
) -> AsyncIterator[int]:
    """Serve while inside; yields the port (useful where 0 was asked for).

    PortInUseError where host and port cannot be listened on.
    """
    listening = _bind(host, port)
    server = _Quiet(
        uvicorn.Config(
            app(pool, limits),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listening]))
    listens = asyncio.create_task(server.listens.wait())
    try:
        await asyncio.wait([task, listens], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
            raise errors.SurroundingsError("the HTTP side did not start; see the log above")
        yield listening.getsockname()[1]
    finally:
        listens.cancel()
        server.should_exit = True
        await asyncio.wait([task], timeout=STOP_SECONDS + 1)
        listening.close()
