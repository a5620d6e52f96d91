"""The table `derived` of a shadow: what decoding says now of events that the log has otherwise."""

from __future__ import annotations

from collections.abc import Sequence

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
    numbered = _numbered(batch, decoded)
    # One event of each combination; the others are looked for where it differs.
    combined = {_combination(numbers, event): event for numbers, event in numbered}
    layouts = dictionaries.distinct(event.derived.layout for event in combined.values())
    layout_numbers = {id(layout): number for number, layout in enumerate(layouts, 1)}
    rows = await connection.fetch(
        _SQL["differing"],
        [emitter for emitter, *_ in combined],
        [decoded_as for _, decoded_as, *_ in combined],
        [event.derived.contract for event in combined.values()],
        [layout_numbers.get(id(event.derived.layout)) for event in combined.values()],
        *dictionaries.columns(layouts),
    )
    combinations = list(combined)
    others = {combinations[row["number"] - 1] for row in rows}
    differing = [
        event
        for numbers, event in (numbered if others else ())
        if _combination(numbers, event) in others
    ]
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


def _combination(
    numbers: Numbers, event: decoding.Decoded
) -> tuple[int | None, int | None, str, int]:
    """What the log and decoding say of an event; decoding gives the same layout for the same."""
    return *numbers, event.derived.contract, id(event.derived.layout)


def _numbered(
    batch: facts.Batch, decoded: Sequence[decoding.Decoded]
) -> list[tuple[Numbers, decoding.Decoded]]:
    """The decoded events, which may be fewer than the log's, with the numbers of each."""
    if len(decoded) == len(batch.events):
        return list(zip(batch.numbers, decoded, strict=True))
    numbers_of = {
        id(raw): numbers for raw, numbers in zip(batch.events, batch.numbers, strict=True)
    }
    return [(numbers_of[id(event.raw)], event) for event in decoded]


async def drop_above(connection: Connection, block: int) -> None:
    """Forget what was noted of events above a block."""
    await connection.execute(_SQL["drop_above"], block)
