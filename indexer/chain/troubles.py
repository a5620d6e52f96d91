"""Trouble with a node, told once: a log line and a count of each kind and what was decided.

Outcomes: `retry` (the same question again), `smaller_range`, `again` (the range from its
beginning), `other_endpoint`, `wait` (until the next look), `suspect` (nothing is committed),
`stop` (the daemon ends with the reason), `ignored` (nothing is lost by it).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import prometheus_client
import structlog

from indexer import errors

log = structlog.get_logger(__name__)

T = TypeVar("T")

LAG_TRIES = 4

counted = prometheus_client.Counter(
    "vesu_node_trouble",
    "Trouble with a node by its kind and what was decided",
    ["endpoint", "kind", "outcome"],
)


def note(
    endpoint: str,
    error: errors.NodeError,
    outcome: str,
    level: int = logging.WARNING,
    **more: object,
) -> None:
    """Log and count one trouble. `endpoint` is a name without keys; see rpc.redact."""
    counted.labels(endpoint, error.kind, outcome).inc()
    log.log(
        level,
        "node_trouble",
        endpoint=endpoint,
        kind=error.kind,
        outcome=outcome,
        reason=str(error),
        **more,
    )


async def insist(endpoint: str, question: Callable[[], Awaitable[T]]) -> T:
    """The answer; asked again at once, a few times, while whoever answers lags.

    Behind one URL several nodes may stand, and the next question may meet one that knows.
    """
    for _ in range(LAG_TRIES - 1):
        try:
            return await question()
        except errors.InconsistentAnswerError as error:
            if error.kind != "lagging":
                raise
            note(endpoint, error, "retry", logging.INFO)
    return await question()
