"""Which blocks are proved together: so many as a node answers at once, and no more events than fit.

The log is held while a batch is compared with it, and the writer waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import NamedTuple

import asyncpg

from indexer.chain import source as sources
from indexer.log import verified
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "proof_batches")

MOST_EVENTS = 2_000
"""How many stored events a batch of several blocks holds at most."""


class Batch(NamedTuple):
    """Blocks, and how many events of them are stored."""

    numbers: Sequence[int]
    events: int


def of_spans(spans: Iterable[verified.Span]) -> Iterator[Sequence[int]]:
    """All blocks of these ranges, in batches that a node answers at once."""
    size = sources.BLOCKS_PER_BATCH
    for span in spans:
        for first in range(span.first_block, span.last_block + 1, size):
            yield range(first, min(first + size, span.last_block + 1))


def of_blocks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Single blocks in batches that a node answers at once."""
    size = sources.BLOCKS_PER_BATCH
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


async def limited(
    connection: asyncpg.Connection, batches: Iterable[Sequence[int]]
) -> AsyncIterator[Batch]:
    """These batches in the same order, divided where they hold too many events."""
    for numbers in batches:
        rows = await connection.fetch(_SQL["events_by_block"], numbers[0], numbers[-1])
        stored = {row["block_number"]: row["events"] for row in rows}
        start = events = 0
        for index, number in enumerate(numbers):
            block_events = stored.get(number, 0)
            if index > start and events + block_events > MOST_EVENTS:
                yield Batch(numbers[start:index], events)
                start, events = index, 0
            events += block_events
        yield Batch(numbers[start:], events)
