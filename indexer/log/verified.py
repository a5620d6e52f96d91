"""Verified ranges: which blocks are proved complete, how and for which watch list, in few rows.

Invariants: ranges never overlap; touching ranges of one method and watch list are one. Everybody
who writes them holds the cursor's row first, so that no two write at once.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Sequence

import asyncpg
import msgspec

from indexer.chain import types
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "verified")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

STRENGTH: dict[types.Method, int] = {"sampled": 0, "receipts": 1, "count": 2, "commitment": 3}
"""A proof is never replaced by a weaker one."""

PROOFS = tuple(method for method in STRENGTH if method != "sampled")
"""Methods that leave no block of a range unproved."""


class Span(msgspec.Struct, frozen=True):
    """A closed range of blocks."""

    first_block: int
    last_block: int


class Row(msgspec.Struct, frozen=True):
    """A row of verified_ranges."""

    first_block: int
    last_block: int
    method: types.Method
    verified_at: datetime.datetime
    watch_list: str | None = None
    """Digest of the watch list for which it holds: it counts for no other."""


async def add(
    connection: Connection,
    verified_ranges: Iterable[types.Verified],
    verified_at: datetime.datetime,
) -> None:
    """Note ranges as verified, inside the caller's transaction, which holds the cursor."""
    for verified in verified_ranges:
        await _overlay(
            connection, Row(verified.first_block, verified.last_block, verified.method, verified_at)
        )


async def take_out(connection: Connection, block: int) -> None:
    """Note that a block is not complete after all."""
    now = datetime.datetime.now(datetime.UTC)
    await _overlay(connection, Row(block, block, "sampled", now), is_removal=True)


async def drop_above(connection: Connection, block: int) -> None:
    """Forget what was verified above a block that the tables go back to."""
    await connection.execute(_SQL["drop_above"], block)
    await connection.execute(_SQL["cut_above"], block)


async def lacking(
    connection: Connection,
    first_block: int,
    last_block: int,
    methods: Sequence[types.Method] = PROOFS,
    most: int | None = None,
) -> list[Span]:
    """The parts of a range that none of these methods covers, highest first, at most so many."""
    rows = await connection.fetch(
        _SQL["lacking"],
        first_block,
        last_block,
        list(methods),
        most,
    )
    return [Span(*row.values()) for row in rows]


async def _overlay(connection: Connection, new: Row, is_removal: bool = False) -> None:
    found = await connection.fetch(_SQL["near"], new.first_block, new.last_block)
    new = msgspec.structs.replace(new, watch_list=found[0]["present"])
    near = [Row(*tuple(row)[1:]) for row in found if row["first_block"] is not None]
    overlay_rows = overlaid(near, new, is_removal)
    firsts = {row.first_block for row in overlay_rows}
    if old := [row.first_block for row in near if row.first_block not in firsts]:
        await connection.execute(_SQL["forget"], old)
    for row in overlay_rows:
        if row not in near:
            await connection.execute(
                _SQL["put"],
                row.first_block,
                row.last_block,
                row.method,
                row.verified_at,
                row.watch_list,
            )


def overlaid(near: Sequence[Row], new: Row, is_removal: bool = False) -> list[Row]:
    """Rows that say what `near` says, and `new` where that is no weaker; ascending, fewest.

    `near` has no overlaps. What holds for another watch list than `new` is weaker. A removal
    leaves nothing in the place of `new`.
    """
    ends = {edge for row in (*near, new) for edge in (row.first_block, row.last_block + 1)}
    parts = []
    for first, after in itertools.pairwise(sorted(ends)):
        is_new = new.first_block <= first <= new.last_block
        if is_new and is_removal:
            continue
        overlapping = [row for row in near if row.first_block <= first <= row.last_block]
        overlapping += [new] if is_new else []
        if overlapping:
            best = max(overlapping, key=lambda row: _strength(row, new.watch_list))
            parts.append(msgspec.structs.replace(best, first_block=first, last_block=after - 1))
    return _joined(parts)


def _strength(row: Row, present: str | None) -> tuple[bool, int, datetime.datetime]:
    return row.watch_list == present, STRENGTH[row.method], row.verified_at


def _joined(rows: Sequence[Row]) -> list[Row]:
    found: list[Row] = []
    for row in rows:
        last = found[-1] if found else None
        if last and last.last_block == row.first_block - 1 and _is_alike(last, row):
            verified_at = max(last.verified_at, row.verified_at)
            found[-1] = msgspec.structs.replace(
                row, first_block=last.first_block, verified_at=verified_at
            )
        else:
            found.append(row)
    return found


def _is_alike(row: Row, other: Row) -> bool:
    return (row.method, row.watch_list) == (other.method, other.watch_list)
