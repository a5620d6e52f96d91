"""The table `derived` of a shadow: what decoding says now of events that the log has otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import asyncpg

from indexer.log import dictionaries, facts
from indexer.projections import decoding
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "derived")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Numbers = tuple[int | None, int | None]
"""The numbers that the log holds of an event's emitter and layout."""


async def create(connection: Connection) -> None:
    """Make the empty table."""
    await connection.execute(_SQL["create"])


async def note(
    connection: Connection, batch: facts.Batch, decoded: Sequence[decoding.Decoded]
) -> None:
    """Add the events of a batch of the log that decode differently now.

    Few combinations of stored and decoded values are many events: only where these differ are
    the events looked at.
    """
    combined: dict[tuple[object, ...], list[decoding.Decoded]] = {}
    for numbers, event in _numbered(batch, decoded):
        about = event.derived
        key = (*numbers, about.contract, id(about.layout))
        combined.setdefault(key, []).append(event)
    groups = list(combined.values())
    layouts = dictionaries.distinct(group[0].derived.layout for group in groups)
    layout_numbers = {id(layout): number for number, layout in enumerate(layouts, 1)}
    rows = await connection.fetch(
        _SQL["differing"],
        [emitter for emitter, *_ in combined],
        [decoded_as for _, decoded_as, *_ in combined],
        [group[0].derived.contract for group in groups],
        [layout_numbers.get(id(group[0].derived.layout)) for group in groups],
        *dictionaries.columns(layouts),
    )
    differing = [event for row in rows for event in groups[row["number"] - 1]]
    if differing:
        await connection.execute(
            _SQL["note"],
            [event.raw.block_number for event in differing],
            [event.raw.transaction_index for event in differing],
            [event.raw.event_index for event in differing],
            [event.derived.contract for event in differing],
            [layout_numbers.get(id(event.derived.layout)) for event in differing],
            *dictionaries.columns(layouts),
        )


def _numbered(
    batch: facts.Batch, decoded: Sequence[decoding.Decoded]
) -> Iterator[tuple[Numbers, decoding.Decoded]]:
    """The decoded events, which may be fewer than the log's, with the numbers of each."""
    stored = zip(batch.events, batch.numbers, strict=True)
    for event in decoded:
        for raw, numbers in stored:
            if raw is event.raw:
                yield numbers, event
                break
        else:
            raise AssertionError("what is decoded is of the batch, in its order")


async def drop_above(connection: Connection, block: int) -> None:
    """Forget what was noted of events above a block."""
    await connection.execute(_SQL["drop_above"], block)
