"""Checks stored valuations: values each row again at its own block, from the histories.

What a row says of its worth is a function of the state at `valued_at_block` and of the prices
sampled up to its `sampling`; a value that is
another one was changed by hand, or computed wrong.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import itertools
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import asyncpg
import msgspec

from indexer.projections import positions, samples, statements, storage, tables, valuations, world
from indexer.store import sqlfile
from indexer.vesu import state

_SQL = sqlfile.load(__package__, "stored_valuations")

ROWS_AT_ONCE = 5_000

EXAMPLES = 1_000
"""The most wrong rows that are kept; all are counted."""

_NUMBERS = frozenset(tables.POSITIONS.numbers)
"""The columns of type numeric, which have many texts for one value."""

_TIMES = [index for index, name in enumerate(valuations.COLUMNS) if name in tables.TIMES]


class Wrong(msgspec.Struct, frozen=True):
    """A row that is not worth what it says: (stored, computed) by column, as text."""

    pool_id: str
    id: str
    block_number: int
    columns: dict[str, tuple[str | None, str | None]]


class Checked(msgspec.Struct):
    """How many rows were valued anew, at how many blocks, how many are wrong and which.

    `right` are the ids of the others, where single rows were asked for.
    """

    rows: int = 0
    blocks: int = 0
    wrong_rows: int = 0
    wrong: list[Wrong] = []
    right: list[str] = []


NoteWrong = Callable[[Sequence[storage.Key]], Awaitable[None]]
"""Takes the keys of wrong rows, some at a time, until all were told."""


async def check(
    connection: storage.Connection,
    live: str,
    keys: Collection[storage.Key] | None = None,
    note_wrong: NoteWrong | None = None,
) -> Checked:
    """Check all rows of the schema `live` (its quoted name), or those of these keys.

    Runs in the caller's transaction, which holds one snapshot and whose search path finds the
    tables of `live` first.
    """
    checked = Checked()
    query = statements.fill(_SQL["rows"], tables.POSITIONS, live)
    ids = (None, None) if keys is None else ([key[0] for key in keys], [key[1] for key in keys])
    valued: tuple[tuple[int, int], valuations.Valuer] | None = None
    row_cursor = await connection.cursor(query, *ids)
    while part := await row_cursor.fetch(ROWS_AT_ONCE):
        wrong: list[storage.Key] = []
        for valued_at, group in itertools.groupby(
            part, lambda row: (row["valued_at_block"], row["sampling"])
        ):
            rows = list(group)
            checked.rows += len(rows)
            checked.blocks += valued is None or valued[0] != valued_at
            valued = (valued_at, await _valuer(connection, *valued_at, rows))
            wrong += [
                (row["pool_id"], row["id"])
                for row in rows
                if not _compare(checked, row, valued[1], keep_right=keys is not None)
            ]
        if wrong and note_wrong is not None:
            await note_wrong(wrong)
    return checked


async def _valuer(
    connection: storage.Connection, block: int, sampling: int, rows: Sequence[asyncpg.Record]
) -> valuations.Valuer:
    time = rows[0]["block_time"]
    valued_at = valuations.Block(block, 0 if time is None else int(time.timestamp()))
    if all(row["status"] != "active" for row in rows):
        return valuations.Valuer(state.World(), valued_at, sampling)
    loaded = await world.at_block(connection, block, {row["pool_id"] for row in rows})
    known = await samples.newest(connection, loaded.asset_ids, block, sampling)
    return valuations.Valuer(samples.over(loaded.world, known), valued_at, sampling)


def _compare(
    checked: Checked, row: asyncpg.Record, valuer: valuations.Valuer, *, keep_right: bool
) -> bool:
    """Whether a row is worth what it says."""
    key, position = positions.parse(row)
    stored: tuple[Any, ...] = row[-len(valuations.COLUMNS) :]
    computed = _typed(valuer.values(key, position))
    different: dict[str, tuple[str | None, str | None]] = {}
    if stored != computed:
        different = {
            column: (_text(value), _text(expected))
            for column, value, expected in zip(valuations.COLUMNS, stored, computed, strict=True)
            if value != expected and not _is_same_number(column, value, expected)
        }
    if position.status == "active" and row["valued_at_block"] < position.last_event_block:
        different["valued_at_block"] = (str(row["valued_at_block"]), f">= {row['block_number']}")
    if not different:
        if keep_right:
            checked.right.append(str(row["id"]))
    else:
        checked.wrong_rows += 1
        if len(checked.wrong) < EXAMPLES:
            checked.wrong.append(
                Wrong(row["pool_id"], str(row["id"]), row["valued_at_block"], different)
            )
    return not different


def _typed(computed: tuple[Any, ...]) -> tuple[Any, ...]:
    """Computed values as the database gives them, where a number is written as it was stored."""
    values = list(computed)
    for index in _TIMES:
        values[index] = _time(values[index])
    return tuple(values)


_time = functools.lru_cache(maxsize=1_024)(
    lambda text: None if text is None else datetime.datetime.fromisoformat(text)
)
"""The moment that a computed time names; many rows share few."""


def _is_same_number(column: str, stored: Any, computed: Any) -> bool:
    """Whether two texts that differ are one number, as 0 and 0.000 are."""
    if column not in _NUMBERS or stored is None or computed is None:
        return False
    return decimal.Decimal(stored) == decimal.Decimal(computed)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
