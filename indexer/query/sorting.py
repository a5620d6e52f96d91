"""Pages of rows that are in memory: the same filters, orders and cursors as those of SQL lists."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from indexer import errors
from indexer.query import filters, kinds

T = TypeVar("T")


def comparable(field: kinds.Field, value: Any) -> Any:
    """A row's value as filters and orders compare it: numbers in text become numbers."""
    if value is None:
        return None
    if field.kind == "integer":
        return int(value)
    return decimal.Decimal(value) if field.kind == "decimal" else value


def chosen(
    rows: Iterable[T], fields: Mapping[str, kinds.Field], conditions: Iterable[filters.Condition]
) -> list[T]:
    """The rows that pass all conditions."""
    condition_fields = [(condition, fields[condition.field]) for condition in conditions]
    return [
        row
        for row in rows
        if all(
            condition.holds(comparable(field, getattr(row, field.name)))
            for condition, field in condition_fields
        )
    ]


def key_of(field: kinds.Field, order: filters.Order, row: Any) -> tuple[bool, Any, str]:
    """The sort key of a row: NULL comes last in either direction, the id breaks ties."""
    value = comparable(field, getattr(row, field.name))
    if value is None:
        return (True, 0, row.id)
    if order.is_descending and field.kind in filters.ORDERED:
        value = _negated(value)
    return (False, value, row.id)


def _negated(value: Any) -> Any:
    """The opposite of a number or time, exactly: a minus sign would round a decimal."""
    if isinstance(value, decimal.Decimal):
        return value.copy_negate()
    return -value.timestamp() if isinstance(value, datetime.datetime) else -value


def ordered(rows: Iterable[T], fields: Mapping[str, kinds.Field], order: filters.Order) -> list[T]:
    """The rows in order; equal values by id."""
    field = fields[order.field]
    key: Callable[[Any], Any] = lambda row: key_of(field, order, row)  # noqa: E731
    found = sorted(rows, key=key)
    if order.is_descending and field.kind not in filters.ORDERED:
        found = sorted(found, key=lambda row: getattr(row, field.name) or "", reverse=True)
    return found


def page(
    rows: Iterable[Any],
    fields: Mapping[str, kinds.Field],
    page_query: filters.PageQuery,
    default: filters.Order,
) -> filters.Page:
    """A page of rows that have an `id`."""
    passing = chosen(rows, fields, page_query.conditions)
    return cut(ordered(passing, fields, page_query.order or default), page_query)


def cut(rows: list[Any], page_query: filters.PageQuery) -> filters.Page:
    """The part of ordered rows that a page holds."""
    start = 0
    if page_query.after is not None:
        indexes = [index for index, row in enumerate(rows) if row.id == page_query.after[-1]]
        if not indexes:
            raise errors.QuestionError("the cursor names no row of this list", parameter="cursor")
        start = indexes[0] + 1
    found = rows[start : start + page_query.limit]
    has_more = len(rows) > start + page_query.limit
    return filters.Page(found, (found[-1].id,) if found and has_more else None)
