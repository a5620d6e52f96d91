"""Failures of a node: one log line and one count each, by kind and by what is done about it.

Outcomes: `retry` (the same request again), `smaller_range`, `again` (the range from its first
block), `other_endpoint`, `wait` (until the next poll), `suspect` (nothing is committed), `stop`
(the daemon ends with the reason), `ignored` (nothing is lost).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from indexer import errors, metrics

log = structlog.get_logger(__name__)

T = TypeVar("T")

LAG_ATTEMPTS = 4


def record(
    endpoint: str,
    error: errors.NodeError,
    outcome: str,
    level: int = logging.WARNING,
    **details: object,
) -> None:
    """Log and count one failure. `endpoint` is a name without keys; see `urls.redact`."""
    metrics.node_trouble.labels(endpoint, error.kind, outcome).inc()
    log.log(
        level,
        "node_trouble",
        endpoint=endpoint,
        kind=error.kind,
        outcome=outcome,
        reason=str(error),
        **details,
    )


def record_division(endpoint: str, error: errors.NodeError, blocks: int) -> None:
    """Log that fewer blocks are asked for, and count it where the node is why.

    Where the reader wants fewer events at once, the node answered: that is no trouble of its.
    """
    if isinstance(error, errors.RangeTooFullError):
        log.debug("window_divided", endpoint=endpoint, reason=str(error), blocks=blocks)
    else:
        record(endpoint, error, "smaller_range", logging.INFO, blocks=blocks)


async def retry_while_lagging(endpoint: str, question: Callable[[], Awaitable[T]]) -> T:
    """The answer to `question`, repeated at once a few times while the node lags.

    A URL may be balanced over several nodes, and the next request may reach one that is ahead.
    """
    for _ in range(LAG_ATTEMPTS - 1):
        try:
            return await question()
        except errors.InconsistentAnswerError as error:
            if error.kind != "lagging":
                raise
            record(endpoint, error, "retry", logging.INFO)
    return await question()
