"""The filters, orders and pages of every list."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from indexer import errors
from indexer.query import kinds

Operator = Literal["=", "in", ">=", "<="]
SUFFIXES: Mapping[str, Operator] = {"": "=", "_in": "in", "_gte": ">=", "_lte": "<="}
"""How a filter over HTTP is written: the field's name and one of these."""

MAX_LIMIT = 500
DEFAULT_LIMIT = 100
MAX_VALUES = 100
"""Values of one `in` filter."""

ORDERED = frozenset({"integer", "decimal", "block", "time"})
"""Kinds whose values are ordered."""


class Condition(msgspec.Struct, frozen=True):
    """One filter: `values` holds one value, or for `in` any number of them."""

    field: str
    operator: Operator
    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether a row's value passes; NULL passes no filter, as in SQL."""
        if value is None:
            return False
        if self.operator == "in":
            return value in self.values
        return bool(_COMPARE[self.operator](value, self.values[0]))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
}


class Order(msgspec.Struct, frozen=True):
    """An order: the field, and whether the largest value comes first."""

    field: str
    is_descending: bool = False


class PageQuery(msgspec.Struct, frozen=True):
    """A page: filters, order (None: the list's own), number of rows, and the place to go on at.

    `after` is the key of the last row of the page before, as the list gave it; None: the start.
    """

    conditions: tuple[Condition, ...] = ()
    order: Order | None = None
    limit: int = DEFAULT_LIMIT
    after: tuple[str, ...] | None = None


class Page(msgspec.Struct, frozen=True):
    """Rows, and the key of the last one where more follow."""

    rows: list[Any]
    next: tuple[str, ...] | None = None


def operators(field: kinds.Field) -> list[str]:
    """The suffixes that a field can be filtered with."""
    if field.kind in ("json", "list"):
        return []
    if field.kind == "boolean":
        return [""]
    return ["", "_in", "_gte", "_lte"] if field.kind in ORDERED else ["", "_in"]


def parse(fields: Mapping[str, kinds.Field], name: str, text: str) -> Condition | None:
    """The condition that a parameter means; None where it is no filter of these fields.

    QuestionError, naming the parameter, where the value does not fit.
    """
    for suffix in ("_in", "_gte", "_lte", ""):
        field = fields.get(name.removesuffix(suffix) if suffix else name)
        if field is None or not name.endswith(suffix) or suffix not in operators(field):
            continue
        parts = text.split(",") if suffix == "_in" else [text]
        if len(parts) > MAX_VALUES:
            raise errors.QuestionError(
                f"{name}: {len(parts)} values are too many; at most {MAX_VALUES} at once",
                parameter=name,
            )
        found = tuple(kinds.parse(field, part, name) for part in parts)
        return Condition(field.name, SUFFIXES[suffix], found)
    return None


def parse_order(allowed: Sequence[str], text: str) -> Order:
    """The order that `field` or `-field` means; QuestionError where a list has no such order."""
    name = text.removeprefix("-")
    if name not in allowed:
        raise errors.QuestionError(
            f"order: {text[:80]!r} is none of {', '.join(allowed)} (with - before it: the largest "
            "first)",
            parameter="order",
        )
    return Order(name, text.startswith("-"))
