"""Parses a request's parameters strictly; every refusal names the parameter."""

from __future__ import annotations

import datetime
import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from indexer import errors
from indexer import values as texts
from indexer.query import database_state, filters, kinds

MAX_PARAMETERS = 50
MOMENT = ("at_block", "at_hash", "at_time", "min_block", "max_price_age")
PAGE = ("order", "limit", "cursor")


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a route, as the OpenAPI document tells it and as it is read."""

    name: str
    kind: kinds.Kind
    description: str
    example: str
    is_required: bool = False
    values: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None

    def parse(self, text: str) -> Any:
        """The value; QuestionError, naming the parameter, where the text is none."""
        field = kinds.Field(self.name, self.kind, values=self.values)
        value = kinds.parse(field, text, self.name)
        too_small = self.minimum is not None and value < self.minimum
        if too_small or (self.maximum is not None and value > self.maximum):
            raise errors.QuestionError(
                f"{self.name}: {text} is not from {self.minimum} to {self.maximum}",
                parameter=self.name,
            )
        return value


MAX_PRICE_AGE = Parameter(
    "max_price_age",
    "block",
    "Seconds: meta.is_price_stale says whether the oldest price that the answer rests on is older.",
    "3600",
)


def split(query: str) -> dict[str, str]:
    """The parameters of a query string; QuestionError where one stands there twice."""
    if query.count("&") >= MAX_PARAMETERS:
        raise errors.QuestionError(f"more than {MAX_PARAMETERS} parameters")
    found: dict[str, str] = {}
    for part in query.split("&") if query else ():
        raw_name, _, raw_text = part.partition("=")
        try:
            name = urllib.parse.unquote_plus(raw_name, errors="strict")
            text = urllib.parse.unquote_plus(raw_text, errors="strict")
        except UnicodeDecodeError as error:
            raise errors.QuestionError(
                f"{raw_name[:80]!r} is not UTF-8 in percent signs", parameter=raw_name[:80]
            ) from error
        if name in found:
            raise errors.QuestionError(f"{name[:80]!r} is given twice", parameter=name[:80])
        found[name] = text
    return found


def check_known(query_values: Mapping[str, str], known: Collection[str]) -> None:
    """QuestionError for a parameter that the route does not know; none is ignored."""
    for name in query_values:
        if name not in known:
            near = texts.nearest(name, known)
            if near:
                hint = f"; the nearest known is {near}"
            else:
                hint = f"; known are {', '.join(known)}" if known else "; none are known here"
            raise errors.QuestionError(
                f"unknown parameter {name[:80]!r}{hint}", parameter=name[:80]
            )


def moment_query(query_values: Mapping[str, str]) -> database_state.MomentQuery:
    """The moment that the parameters name."""
    at_time: datetime.datetime | None = None
    if "at_time" in query_values:
        at_time = kinds.time(query_values["at_time"], "at_time").replace(microsecond=0)
    return database_state.MomentQuery(
        kinds.block(query_values["at_block"], "at_block") if "at_block" in query_values else None,
        kinds.felt(query_values["at_hash"], "at_hash") if "at_hash" in query_values else None,
        at_time,
    )


def page_query(
    query_values: Mapping[str, str],
    fields: Mapping[str, kinds.Field],
    orders: Sequence[str],
    after: tuple[str, ...] | None,
) -> filters.PageQuery:
    """The page that the parameters describe."""
    conditions = (filters.parse(fields, name, text) for name, text in query_values.items())
    return filters.PageQuery(
        tuple(condition for condition in conditions if condition is not None),
        filters.parse_order(orders, query_values["order"]) if "order" in query_values else None,
        limit(query_values),
        after,
    )


def limit(query_values: Mapping[str, str]) -> int:
    """How many rows a page may have."""
    found = (
        kinds.block(query_values["limit"], "limit")
        if "limit" in query_values
        else filters.DEFAULT_LIMIT
    )
    if not 1 <= found <= filters.MAX_LIMIT:
        raise errors.QuestionError(
            f"limit: {found} is not from 1 to {filters.MAX_LIMIT}", parameter="limit"
        )
    return found


def filter_names(fields: Mapping[str, kinds.Field]) -> list[str]:
    """Every parameter that filters by these fields."""
    return [
        f"{field.name}{suffix}" for field in fields.values() for suffix in filters.operators(field)
    ]
