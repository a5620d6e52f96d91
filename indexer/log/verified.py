"""Verified ranges: which blocks are proved complete, how and for which watch list, in few rows.

Invariants: ranges never overlap; touching ranges of one method and watch list are one. Everybody
who writes them holds the cursor's row first, so that no two write at once.
"""

from __future__ import annotations

import bisect
import datetime
import itertools
from collections.abc import Callable, Sequence

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


MOST_RANGES = 1_000
"""With this many rows, committed blocks add no more. Those with an event of ours are proved
before their commit and the others are not: each change from one to the other is a row."""


async def add(
    connection: Connection,
    verified_ranges: Sequence[types.Verified],
    verified_at: datetime.datetime,
) -> None:
    """Note ranges as verified, inside the caller's transaction, which holds the cursor.

    They ascend and do not overlap.
    """
    if verified_ranges:
        await _overlay(connection, _rows(verified_ranges, verified_at))


async def add_committed(
    connection: Connection,
    verified_ranges: Sequence[types.Verified],
    verified_at: datetime.datetime,
) -> None:
    """As `add`, of blocks that are being committed.

    Where there are MOST_RANGES rows, all count as the weakest of them and of the block below them.
    The background proves them once more then, and makes one range of many.
    """
    if not verified_ranges:
        return
    if await connection.fetchval(_SQL["are_many"], MOST_RANGES):
        first, last = verified_ranges[0].first_block, verified_ranges[-1].last_block
        below = await connection.fetchval(_SQL["method_of"], first - 1)
        methods = {below or "sampled", *(each.method for each in verified_ranges)}
        weakest = min(methods, key=STRENGTH.__getitem__)
        verified_ranges = [types.Verified(first, last, weakest)]
    await add(connection, verified_ranges, verified_at)


def _rows(verified_ranges: Sequence[types.Verified], verified_at: datetime.datetime) -> list[Row]:
    return [
        Row(each.first_block, each.last_block, each.method, verified_at) for each in verified_ranges
    ]


async def take_out(connection: Connection, block: int) -> None:
    """Note that a block is not complete after all."""
    now = datetime.datetime.now(datetime.UTC)
    await _overlay(connection, [Row(block, block, "sampled", now)], is_removal=True)


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


async def _overlay(connection: Connection, news: Sequence[Row], is_removal: bool = False) -> None:
    found = await connection.fetch(_SQL["near"], news[0].first_block, news[-1].last_block)
    near = [Row(*tuple(row)[1:]) for row in found if row["first_block"] is not None]
    present = found[0]["present"]
    news = [msgspec.structs.replace(new, watch_list=present) for new in news]
    rows = overlaid(near, news, is_removal)
    firsts = {row.first_block for row in rows}
    if old := [row.first_block for row in near if row.first_block not in firsts]:
        await connection.execute(_SQL["forget"], old)
    known = set(near)
    if written := [msgspec.structs.astuple(row) for row in rows if row not in known]:
        await connection.execute(_SQL["put"], *map(list, zip(*written, strict=True)))


def overlaid(near: Sequence[Row], news: Sequence[Row], is_removal: bool = False) -> list[Row]:
    """Rows that say what `near` says, and `news` where these are no weaker; ascending, fewest.

    Both ascend and have no overlaps of their own; `news` are of one watch list, and what holds for
    another is weaker. A removal leaves nothing in the place of `news`.
    """
    ends = {edge for row in (*near, *news) for edge in (row.first_block, row.last_block + 1)}
    old_at, new_at = _lookup(near), _lookup(news)
    parts = []
    for first, after in itertools.pairwise(sorted(ends)):
        old, new = old_at(first), new_at(first)
        if new is not None and is_removal:
            continue
        if overlapping := [row for row in (old, new) if row is not None]:
            best = max(overlapping, key=lambda row: _strength(row, news[0].watch_list))
            parts.append(msgspec.structs.replace(best, first_block=first, last_block=after - 1))
    return _joined(parts)


def _lookup(rows: Sequence[Row]) -> Callable[[int], Row | None]:
    """Finds the row that holds a block."""
    firsts = [row.first_block for row in rows]

    def holding(block: int) -> Row | None:
        index = bisect.bisect_right(firsts, block) - 1
        return rows[index] if index >= 0 and rows[index].last_block >= block else None

    return holding


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
