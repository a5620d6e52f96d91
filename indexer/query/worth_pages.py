"""Pages in an order by worth: first rows from `measured`, then those worth 0, then unpriced ones.

The order is the one that `sorting` gives to all rows: by worth, equal ones by id, NULL last.
"""

from __future__ import annotations

import decimal
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from indexer.query import changes, filters, measured, near, point_in_time

MOST_TRIED = 5_000
"""How many candidates are read for one page where filters let few of them through."""

MOST_TIED = 50_000
"""How many candidates may lie between two ends of a page."""

AT_ONCE = 1_000
NO_ID = "00000000-0000-0000-0000-000000000000"


class Source(NamedTuple):
    """Where rows come from, valued and past the filters.

    `named`: those of these keys; `following`: so many positions above an id, in the order of ids,
    and the last of their ids (None: there are no more).
    """

    named: Callable[[near.Candidates], Awaitable[list[Any]]]
    following: Callable[[str, int], Awaitable[tuple[list[Any], str | None]]]


class _SortKey(NamedTuple):
    """What rows sort by. `part`: 0, with a measure; 1, worth 0; 2, of no worth."""

    part: int
    worth: decimal.Decimal
    id: str


class _Pages(msgspec.Struct):
    """Builds one page."""

    connection: measured.Connection
    snapshot: point_in_time.Snapshot
    page_query: filters.PageQuery
    order: filters.Order
    source: Source
    pool_ids: Collection[str] | None
    ends: measured.Ends
    after: _SortKey | None

    def sort_key(self, row: Any) -> _SortKey:
        """The sort key of a row."""
        return _sort_key(self.order, getattr(row, self.order.field), row.id)

    def beyond(self, rows: Iterable[Any], part: int) -> list[Any]:
        """The rows of one part beyond the page before, in order."""
        keyed = sorted((self.sort_key(row), row.id, row) for row in rows)
        return [
            row
            for key, _, row in keyed
            if key.part == part and (self.after is None or key > self.after)
        ]

    async def with_measure(self) -> list[Any] | None:
        """The page's rows of the first part, and one more; None: too many would be looked at."""
        block = self.snapshot.moment.block_number
        since = await changes.keys(self.connection, block, changes.MOST)
        if since is None:
            return None
        changed = near.Candidates([row["pool_id"] for row in since], [row["id"] for row in since])
        scan = measured.Scan(self.order, self.snapshot, self.pool_ids, self.ends)
        known = {row.id: row for row in await self.source.named(changed)}
        count = self.page_query.limit + 1
        while True:
            candidate_batch = await scan.first(self.connection, count)
            known |= await self._read(candidate_batch.candidates, known)
            rows = self.beyond(known.values(), 0)
            if len(rows) > self.page_query.limit or candidate_batch.are_all:
                break
            count *= 4
            if count > MOST_TRIED:
                return None
        if candidate_batch.are_all:
            return rows[: self.page_query.limit + 1]
        edge = getattr(rows[self.page_query.limit], self.order.field)
        candidate_batch = await scan.up_to(self.connection, decimal.Decimal(edge), MOST_TIED)
        if not candidate_batch.are_all:
            return None
        known |= await self._read(candidate_batch.candidates, known)
        return self.beyond(known.values(), 0)[: self.page_query.limit + 1]

    async def _read(self, candidates: near.Candidates, known: dict[str, Any]) -> dict[str, Any]:
        """The rows of candidates that are not known yet, by id."""
        new = {id_: pool_id for pool_id, id_ in zip(*candidates, strict=True) if id_ not in known}
        if not new:
            return {}
        rows = await self.source.named(near.Candidates(list(new.values()), list(new)))
        return {row.id: row for row in rows}

    async def without(self, part: int, count: int) -> list[Any] | None:
        """Up to `count` rows of a later part; None: too many would be looked at."""
        after = self.after
        last = after.id if after is not None and after.part == part else NO_ID
        found: list[Any] = []
        for _ in range(MOST_TIED // AT_ONCE):
            rows, following = await self.source.following(last, AT_ONCE)
            found += self.beyond(rows, part)
            if len(found) >= count or following is None:
                return found[:count]
            last = following
        return None


def _sort_key(order: filters.Order, value: str | None, id_: str) -> _SortKey:
    if value is None:
        return _SortKey(2, decimal.Decimal(0), id_)
    worth = decimal.Decimal(value)
    if order.is_descending:
        return _SortKey(0 if worth > 0 else 1, worth.copy_negate(), id_)
    return _SortKey(0, worth, id_)


async def page(
    connection: measured.Connection,
    snapshot: point_in_time.Snapshot,
    page_query: filters.PageQuery,
    source: Source,
) -> filters.Page | None:
    """A page; None where no index answers the order, or too many rows would be looked at."""
    order, conditions = page_query.order, page_query.conditions
    if order not in measured.MEASURES or any(
        condition.field in ("user_id", "id") for condition in conditions
    ):
        return None
    if page_query.after is not None and len(page_query.after) != 2:
        return None
    after = (
        None
        if page_query.after is None
        else _sort_key(order, page_query.after[0] or None, page_query.after[1])
    )
    end = _end(order, conditions)
    begin = after.worth.copy_abs() if after is not None and after.part == 0 else None
    pages = _Pages(
        *(connection, snapshot, page_query, order, source, _pools(conditions)),
        measured.Ends(begin, end),
        after,
    )
    rows: list[Any] = []
    # Past an end that a filter sets, no row has a worth of 0, or none.
    parts = (0,) if end is not None else (0, 1, 2) if order.is_descending else (0, 2)
    for part in parts:
        missing = page_query.limit + 1 - len(rows)
        if missing > 0 and (after is None or after.part <= part):
            page_rows = await (pages.with_measure() if part == 0 else pages.without(part, missing))
            if page_rows is None:
                return None
            rows += page_rows
    shown = rows[: page_query.limit]
    if len(rows) <= page_query.limit:
        return filters.Page(shown)
    return filters.Page(shown, (getattr(shown[-1], order.field) or "", shown[-1].id))


def _end(order: filters.Order, conditions: Sequence[filters.Condition]) -> decimal.Decimal | None:
    """The worth behind which the filters let no row through; None: there is none."""
    ends = []
    for condition in conditions:
        if condition.field != order.field or condition.operator == (
            "<=" if order.is_descending else ">="
        ):
            continue
        ends.append(min(condition.values) if order.is_descending else max(condition.values))
    if not ends:
        return None
    end = decimal.Decimal(max(ends) if order.is_descending else min(ends))
    return end if end > 0 or not order.is_descending else None


def _pools(conditions: Sequence[filters.Condition]) -> Collection[str] | None:
    """The pools that the filters let through; None: all."""
    named = [
        frozenset(condition.values) for condition in conditions if condition.field == "pool_id"
    ]
    return frozenset.intersection(*named) if named else None
