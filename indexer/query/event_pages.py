"""Pages of the raw log. Events of a name, a contract or a kind of contract are found by an index.

PostgreSQL cannot know how rare a name is that stands in another table, and would read the log from
its end until a page is full, which of a rare one it never is. It does know how often the log holds
each number that stands for a name or a contract.
"""

from __future__ import annotations

import msgspec

from indexer.query import filters, listing, records
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "event_pages")

MOST_COUNTED = 10_000
"""Of a name and a contract the rarer one is looked up; beyond so many events neither is rare."""


class _Dictionary(msgspec.Struct, frozen=True):
    """The column of numbers that a field is stored as, and statements that name and count them."""

    field: str
    column: str
    numbers: str
    count: str


_DICTIONARIES = (
    _Dictionary("name", "decoded_as", "layouts", "count_of_layouts"),
    _Dictionary("from_address", "emitter", "emitters", "count_of_emitters"),
    _Dictionary("contract", "emitter", "emitters_of_kinds", "count_of_emitters"),
)


class _Lookup(msgspec.Struct, frozen=True):
    """The numbers that a filter stands for."""

    dictionary: _Dictionary
    numbers: tuple[int, ...]


async def page(
    connection: listing.Connection, block_number: int, page_query: filters.PageQuery
) -> filters.Page:
    """A page of events up to a block, the newest first unless ordered otherwise."""
    lookups = [
        await _lookup(connection, dictionary, condition)
        for dictionary in _DICTIONARIES
        for condition in page_query.conditions
        if condition.field == dictionary.field
    ]
    if not all(lookup.numbers for lookup in lookups):
        return filters.Page([])  # no event was ever of such a name, or of such a contract
    rarest = await _rarest(connection, lookups)
    events = records.EVENTS
    if rarest is not None:
        events = msgspec.structs.replace(events, of=rarest.dictionary.column, values=rarest.numbers)
    return await listing.page(connection, events, block_number, page_query)


async def _lookup(
    connection: listing.Connection, dictionary: _Dictionary, condition: filters.Condition
) -> _Lookup:
    found = await connection.fetch(_SQL[dictionary.numbers], list(condition.values))
    return _Lookup(dictionary, tuple(row["id"] for row in found))


async def _rarest(connection: listing.Connection, lookups: list[_Lookup]) -> _Lookup | None:
    """The lookup with the fewest events; None: there is none."""
    if len(lookups) < 2:
        return lookups[0] if lookups else None
    counts = [
        await connection.fetchval(_SQL[lookup.dictionary.count], list(lookup.numbers), MOST_COUNTED)
        for lookup in lookups
    ]
    return lookups[counts.index(min(counts))]
