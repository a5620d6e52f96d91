"""/health, /ready and /metrics: for those who watch over the indexer.

Health is the committed block held against what the node says and when it last said it: a stall of
either cannot look healthy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import litestar
import msgspec
from litestar import datastructures

from indexer import errors, metrics
from indexer.api import problems
from indexer.query import health as health_reasons
from indexer.query import status

Metrics = Callable[[], Awaitable[bytes]]
"""Where /metrics comes from."""

ANSWER_SECONDS = 3.0
"""How long the database may take to answer a health check before the check fails."""

READ = [litestar.HttpMethod.GET, litestar.HttpMethod.HEAD]


async def own_metrics() -> bytes:
    """The metrics of this process."""
    return metrics.exposition()


async def _freshness(state: datastructures.State) -> status.Freshness:
    """How fresh the tables are; stale where the database does not answer in time.

    What is asked in vain is given up in the background: its connection may take seconds to end.
    """
    asking = asyncio.ensure_future(_ask(state.pool, state.limits))
    try:
        await asyncio.wait([asking], timeout=ANSWER_SECONDS)
        if asking.done():
            return asking.result()
        return status.unhealthy("database", _no_answer(TimeoutError()))
    finally:
        asking.cancel()


async def _ask(pool: asyncpg.Pool, limits: status.Limits) -> status.Freshness:
    try:
        async with pool.acquire() as connection:
            return await status.freshness(connection, limits)
    except asyncpg.UndefinedTableError:
        return status.unhealthy("database", "the database is not migrated yet")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, errors.IndexerError) as error:
        return status.unhealthy("database", _no_answer(error))


def _no_answer(error: Exception) -> str:
    return f"the database does not answer: {problems.silence(error)}"


@litestar.route("/health", http_method=READ)
async def health(state: datastructures.State) -> litestar.Response[dict[str, Any]]:
    """200: the tables follow the head and every proof holds. 503: they are stale, the chain is
    suspect or a proof fails: every reason, with its remedy."""
    freshness = await _freshness(state)
    return litestar.Response(
        {
            "status": freshness.state,
            "reason": freshness.reason,
            "reasons": [msgspec.to_builtins(reason) for reason in freshness.reasons],
            "committed_block": freshness.committed_block,
        },
        status_code=200 if freshness.is_fresh else 503,
    )


@litestar.route("/ready", http_method=READ)
async def ready(state: datastructures.State) -> litestar.Response[dict[str, Any]]:
    """200: the database answers and a block is committed, however old. 503: not yet."""
    freshness = await _freshness(state)
    is_ready = freshness.committed_block is not None
    return litestar.Response(
        {"ready": is_ready, "reason": "a block is committed" if is_ready else freshness.reason},
        status_code=200 if is_ready else 503,
    )


@litestar.route("/metrics", http_method=READ, media_type="text/plain; version=0.0.4")
async def prometheus(state: datastructures.State) -> bytes:
    """All metrics in Prometheus' text format, and every current reason to be unhealthy."""
    exposition: bytes = await state.metrics()
    freshness = await _freshness(state)
    return exposition + metrics.unhealthy(
        health_reasons.NAMES, {reason.name for reason in freshness.reasons}
    )
