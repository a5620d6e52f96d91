"""Pages of rows out of one SQL source: filters, orders and keysets, pinned to a block.

The text of a statement is made of named statements, of column names that the row's type declares,
and of numbered parameters. Nothing that an asker wrote is ever part of it.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from indexer.query import filters, kinds
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "listing")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

CASTS: Mapping[str, str] = {
    "felt": "text",
    "integer": "numeric",
    "decimal": "numeric",
    "block": "bigint",
    "text": "text",
    "time": "timestamptz",
    "uuid": "uuid",
    "boolean": "boolean",
}


MOST_APART = 8
"""How many values of a column are read one by one."""


class Listing(msgspec.Struct, frozen=True):
    """A list: the statements that yield its rows up to block $1, and how they are ordered.

    A page of each statement is read and the pages are merged, so that each may come out of an
    index. `key` orders every row apart; `orders` are further columns, none of them NULL, that a
    page may be ordered by before the key. `is_newest_first`: the order where none is asked for.
    `arguments`: what the statements take from $2 on. `values`: only rows with one of these values
    of the column `of`. Those of each value are read apart, so that an index on it gives them in
    order; of more than MOST_APART values PostgreSQL decides how. `keeps_plan`: the
    statement has one plan for all values, since one index finds the rows whatever the filters.
    """

    statements: tuple[str, ...]
    row: type[msgspec.Struct]
    key: tuple[str, ...]
    orders: tuple[str, ...] = ()
    is_newest_first: bool = True
    arguments: tuple[Any, ...] = ()
    of: str = ""
    values: tuple[int, ...] = ()
    keeps_plan: bool = False

    @property
    def fields(self) -> Mapping[str, kinds.Field]:
        """The fields that rows can be filtered by."""
        return kinds.fields(self.row)

    @property
    def allowed(self) -> tuple[str, ...]:
        """The orders of the rows; the first is the default."""
        return (self.key[0], *self.orders)

    def order(self, page_query: filters.PageQuery) -> filters.Order:
        """The order that the page asks for, or the list's default."""
        return page_query.order or filters.Order(self.key[0], self.is_newest_first)


async def page(
    connection: Connection, listing: Listing, block_number: int, page_query: filters.PageQuery
) -> filters.Page:
    """A page of a list as of a block."""
    rows, next_key = await records(connection, listing, block_number, page_query)
    return filters.Page([_row(listing, row) for row in rows], next_key)


async def records(
    connection: Connection, listing: Listing, block_number: int, page_query: filters.PageQuery
) -> tuple[list[asyncpg.Record], tuple[str, ...] | None]:
    """The same rows as records with the columns that the row's type declares; and the page's next.

    Numbers and ids are text in them. A list that is filtered sets how the rest of the caller's
    transaction is planned.
    """
    statement, args = _composed(listing, block_number, page_query)
    if page_query.conditions and not listing.keeps_plan:
        await connection.execute(_SQL["plan_for_values"])
    found = await connection.fetch(statement, *args)
    rows = found[: page_query.limit]
    if len(found) <= page_query.limit:
        return rows, None
    columns = _columns(listing, listing.order(page_query))
    return rows, tuple(_text(rows[-1][name]) for name in columns)


def _columns(listing: Listing, order: filters.Order) -> list[str]:
    """The columns of the order: the requested one, then the key."""
    return list(dict.fromkeys([order.field, *listing.key]))


def _composed(
    listing: Listing, block_number: int, page_query: filters.PageQuery
) -> tuple[str, list[Any]]:
    fields, args = listing.fields, [block_number, *listing.arguments]
    order = listing.order(page_query)
    columns = _columns(listing, order)
    terms = [_term(fields[condition.field], condition, args) for condition in page_query.conditions]
    if page_query.after is not None:
        terms.append(_beyond([fields[name] for name in columns], order, page_query.after, args))
    args.append(page_query.limit + 1)
    direction = "DESC" if order.is_descending else "ASC"
    selected = ", ".join(_selected(field) for field in fields.values())
    ordered = ", ".join(f"source.{sqlfile.quoted(name)} {direction}" for name in columns)
    last = f" ORDER BY {ordered} LIMIT ${len(args)}"
    parts = [(_SQL[statement], terms) for statement in listing.statements]
    if listing.values:
        alternatives = _alternatives(listing.of, listing.values, args)
        parts = [(source, [*terms, one_of]) for source, terms in parts for one_of in alternatives]
    if len(parts) == 1:
        ((source, terms),) = parts
        return f"SELECT {selected} FROM ({source}) AS source{_where(terms)}{last}", args  # noqa: S608
    pages = (
        f"(SELECT * FROM ({source}) AS source{_where(terms)}{last})"  # noqa: S608
        for source, terms in parts
    )
    return f"SELECT {selected} FROM ({' UNION ALL '.join(pages)}) AS source{last}", args  # noqa: S608


def _where(terms: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(terms)}" if terms else ""


def _alternatives(column: str, values: Sequence[int], args: list[Any]) -> list[str]:
    """Conditions of which each row that has one of the values fulfils one."""
    name, first = f"source.{sqlfile.quoted(column)}", len(args) + 1
    if len(values) > MOST_APART:
        args.append(list(values))
        return [f"{name} = ANY (${first}::integer[])"]
    args.extend(values)
    return [f"{name} = ${number}" for number in range(first, first + len(values))]


def _selected(field: kinds.Field) -> str:
    name = sqlfile.quoted(field.name)
    is_text = field.kind in ("integer", "decimal", "uuid")
    return f"source.{name}{'::text' if is_text else ''} AS {name}"


def _term(field: kinds.Field, condition: filters.Condition, args: list[Any]) -> str:
    name, cast = f"source.{sqlfile.quoted(field.name)}", CASTS[field.kind]
    if condition.operator == "in":
        args.append(list(condition.values))
        return f"{name} = ANY (${len(args)}::{cast}[])"
    args.append(condition.values[0])
    return f"{name} {condition.operator} ${len(args)}::{cast}"


def _beyond(
    columns: Sequence[kinds.Field], order: filters.Order, after: Sequence[str], args: list[Any]
) -> str:
    """Rows beyond the last one of the page before; one comparison, which an index can serve.

    The first column is also compared alone, for sources in which no index holds them all.
    """
    conditions = []
    for field, text in zip(columns, after, strict=True):
        args.append(kinds.parse(field, text, "cursor"))
        conditions.append(f"${len(args)}::{CASTS[field.kind]}")
    names = ", ".join(f"source.{sqlfile.quoted(field.name)}" for field in columns)
    sign = "<" if order.is_descending else ">"
    first = f"source.{sqlfile.quoted(columns[0].name)} {sign}= {conditions[0]}"
    return f"{first} AND ({names}) {sign} ({', '.join(conditions)})"


def _row(listing: Listing, row: asyncpg.Record) -> Any:
    values = dict(row)
    for name, field in listing.fields.items():
        if field.kind == "json" and values[name] is not None:
            values[name] = msgspec.json.decode(values[name])
    return listing.row(**values)


def _text(value: Any) -> str:
    """A key's value as text that `kinds.parse` reads back."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return format(value, "f") if isinstance(value, decimal.Decimal) else str(value)
