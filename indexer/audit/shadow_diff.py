"""How a shadow differs from the live tables: by table and column, with examples, and where first.

Both sides are read in one snapshot. Valuations of positions may be of different blocks and are not
compared; a live one that is wrong at its own block counts as a difference of its row.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import asyncpg
import msgspec

from indexer import errors
from indexer.projections import statements, tables
from indexer.projections.shadow import build, swap
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "shadow_diff")

EXAMPLES = 3
ATTEMPTS = 20
"""How often a comparison is tried until shadow and live tables stand at one block."""

EVENTS = tables.DECODED_EVENTS


class EventPosition(msgspec.Struct, frozen=True):
    """Where an event stands in the chain."""

    block_number: int
    transaction_index: int
    event_index: int


class Example(msgspec.Struct, frozen=True):
    """One row that differs: its key, and both sides of the columns that differ, as text.

    `live` or `shadow` is None where that side lacks the row.
    """

    key: dict[str, str]
    live: dict[str, str | None] | None
    shadow: dict[str, str | None] | None


class TableDifference(msgspec.Struct, frozen=True):
    """How one table differs. `missing` rows are in the shadow alone, `extra` in the live alone.

    `columns` counts the rows, present on both sides, that differ in each column; `first` is the
    first event whose rows differ, None in tables whose rows belong to no event.
    """

    live_rows: int
    shadow_rows: int
    differing: int
    missing: int
    extra: int
    columns: dict[str, int]
    first: EventPosition | None
    examples: list[Example]

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differing


class Event(msgspec.Struct, frozen=True):
    """The first event after which the two sides part. The log has no such event where
    `transaction_hash` is None: what was observed at the end of a block changed a row."""

    block_number: int
    transaction_index: int
    event_index: int
    transaction_hash: str | None
    contract: str | None
    name: str | None


class Difference(msgspec.Struct, frozen=True):
    """The whole comparison: of the blocks that the shadow holds, and where it stands at the
    committed block of the current rows too."""

    from_block: int
    block_number: int
    is_equal: bool
    rows_differing: int
    first_event: Event | None
    tables: dict[str, TableDifference]


async def level(
    built: build.Shadow, to_block: int | None = None, report: build.ReportProgress = lambda _: None
) -> Difference:
    """Build the shadow on until it can be compared, and compare it.

    WriterConflictError: the daemon is always ahead.
    """
    for _ in range(ATTEMPTS):
        difference = await compare(built, await built.catch_up(report, to_block))
        if difference is not None:
            return difference
    raise errors.WriterConflictError(
        "the daemon commits faster than the shadow catches up: not compared, try again"
    )


async def compare(built: build.Shadow, span: build.Span) -> Difference | None:
    """Compare the shadow with the live tables, and mark the rows that differ for a swap.

    None: the daemon has committed since the shadow caught up; catch up and compare again.
    """
    await built.analyze()
    async with built.connection.transaction(isolation="repeatable_read"):
        if not await swap.is_level(built, span):
            return None
        await swap.mark(built, span)
        found = {
            table.name: await _table(built, span, table) for table in swap.compared_tables(span)
        }
        firsts = [table.first for table in found.values() if table.first is not None]
        first = await _event(built.connection, min(firsts, key=_order)) if firsts else None
    differing = sum(table.differing for table in found.values())
    return Difference(span.from_block, span.to_block, not differing, differing, first, found)


async def _table(built: build.Shadow, span: build.Span, table: tables.Table) -> TableDifference:
    compared = statements.compared(table)
    counted = await built.connection.fetchrow(statements.fill(_SQL["count"], table, built.live))
    assert counted is not None  # aggregates have one row
    live_rows, shadow_rows = await _rows(built, span, table)
    return TableDifference(
        live_rows=live_rows,
        shadow_rows=shadow_rows,
        differing=counted["differing"],
        missing=counted["missing"],
        extra=counted["extra"],
        columns=await _columns(built, table, compared) | _of_valuations(built, table)
        if counted["differing"]
        else {},
        first=await _first(built, table) if table.is_appended or table is EVENTS else None,
        examples=await _examples(built, table, compared) if counted["differing"] else [],
    )


async def _rows(built: build.Shadow, span: build.Span, table: tables.Table) -> tuple[int, int]:
    """How many rows each side holds of what is compared."""
    if table is EVENTS:
        name = "count_events"
    else:
        name = "count_appended" if table.is_appended else "count_current"
    values = () if name == "count_current" else (span.from_block, span.to_block)
    row = await built.connection.fetchrow(statements.fill(_SQL[name], table, built.live), *values)
    assert row is not None  # aggregates have one row
    return row["live_rows"], row["shadow_rows"]


async def _columns(
    built: build.Shadow, table: tables.Table, compared: Sequence[str]
) -> dict[str, int]:
    rows = await built.connection.fetch(
        statements.fill(_SQL[_of(table, "count_column")], table, built.live),
        compared,
    )
    counts = {row["column_name"]: row["rows"] for row in rows}
    return {column: counts[column] for column in compared if column in counts}


def _of_valuations(built: build.Shadow, table: tables.Table) -> dict[str, int]:
    """In how many rows each stored valuation is not what it is at the row's own block."""
    wrong = built.valuations.wrong if table is tables.POSITIONS else []
    return dict(collections.Counter(column for valuation in wrong for column in valuation.columns))


async def _first(built: build.Shadow, table: tables.Table) -> EventPosition | None:
    name = "first_of_keys" if set(tables.EVENT) <= set(table.key) else "first_of_rows"
    row = await built.connection.fetchrow(statements.fill(_SQL[name], table, built.live))
    return None if row is None else EventPosition(*row.values())


async def _examples(
    built: build.Shadow, table: tables.Table, compared: Sequence[str]
) -> list[Example]:
    rows = await built.connection.fetch(
        statements.fill(_SQL[_of(table, "examples")], table, built.live), EXAMPLES
    )
    return [_example(table, compared, row) for row in rows]


def _example(table: tables.Table, compared: Sequence[str], row: asyncpg.Record) -> Example:
    live, built = (
        None if row[side] is None else msgspec.json.decode(row[side], type=dict[str, str | None])
        for side in ("live", "shadow")
    )
    key = {name: str((live or built or {})[name]) for name in table.key}
    if live is None or built is None:
        return Example(key, None if live is None else {}, None if built is None else {})
    differing_columns = [name for name in compared if live[name] != built[name]]
    return Example(
        key,
        {name: live[name] for name in differing_columns},
        {name: built[name] for name in differing_columns},
    )


def _of(table: tables.Table, name: str) -> str:
    """The log has no second copy of its events in the shadow, only what differs."""
    return f"{name}_of_events" if table is EVENTS else name


def _order(event: EventPosition) -> tuple[int, int, int]:
    return event.block_number, event.transaction_index, event.event_index


async def _event(connection: asyncpg.Connection, event: EventPosition) -> Event:
    row = await connection.fetchrow(_SQL["event"], *_order(event))
    return Event(*_order(event), None, None, None) if row is None else Event(*row.values())
