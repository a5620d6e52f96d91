"""A route described in one place: address, parameters, type of its answer, question."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import asyncpg
import msgspec

from indexer.api import queries
from indexer.query import (
    assets,
    configuration,
    counts,
    database_state,
    debts,
    filters,
    kinds,
    point_in_time,
    position_pages,
    series,
    states,
    status,
)

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


Aged = TypeVar(
    "Aged",
    assets.Asset,
    position_pages.Position,
    series.PoolPoint,
    series.UserPoint,
    series.ProtocolPoint,
)
MAX_PRICE_AGE = queries.MAX_PRICE_AGE.name


class Shared(msgspec.Struct, frozen=True):
    """What all requests of a server share."""

    states: states.States
    positions: position_pages.Pages
    debts: debts.Debts
    configurations: configuration.Configurations
    limits: status.Limits
    counts: counts.Counts


class Answer(msgspec.Struct, frozen=True):
    """What a question found. `next`: the key of the last row where more follow.

    `priced_at`: the time of the oldest price that the answer rests on; None: on no price, or on
    those of many times, which its rows name.
    """

    data: Any
    next: tuple[str, ...] | None = None
    priced_at: datetime.datetime | None = None


class Question(msgspec.Struct, frozen=True):
    """A request inside its snapshot: its parameters, and the moment that it is about."""

    route: Route
    connection: Connection
    shared: Shared
    database_state: database_state.DatabaseState
    moment: point_in_time.Moment
    path: Mapping[str, Any]
    query_values: Mapping[str, str]
    after: tuple[str, ...] | None
    is_at_head: bool

    @property
    def when(self) -> point_in_time.When:
        """The moment as `indexer.query` takes it: None at the head."""
        if self.is_at_head:
            return None
        is_block = self.moment.valued_at == self.moment.block_time
        return self.moment.block_number if is_block else self.moment.valued_at

    @property
    def page_query(self) -> filters.PageQuery:
        """The page that was asked for."""
        return queries.page_query(
            self.query_values, self.route.filters, self.route.orders, self.after
        )

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a parameter of the route; `default` where it was not given."""
        if name not in self.query_values:
            return default
        return self.route.parameter(name).parse(self.query_values[name])

    @property
    def max_price_age(self) -> int | None:
        """The oldest that prices may be, in seconds; None: any age."""
        return max_price_age(self.route, self.query_values)

    def aged(self, row: Aged) -> Aged:
        """A row that says whether its price is too old, where the question bounds the age."""
        most, age = self.max_price_age, row.price_age_seconds
        if most is None or age is None:
            return row
        return msgspec.structs.replace(row, is_price_stale=age > most)

    async def state(self) -> states.State:
        """The whole state at the moment."""
        return await self.shared.states.of_moment(self.connection, self.moment, self.database_state)


def max_price_age(route: Route, query_values: Mapping[str, str]) -> int | None:
    """The oldest that prices may be for a question about a moment, in seconds; None: any age."""
    if not route.is_of_moment or MAX_PRICE_AGE not in query_values:
        return None
    age: int = queries.MAX_PRICE_AGE.parse(query_values[MAX_PRICE_AGE])
    return age


Handler = Callable[[Question], Awaitable[Answer]]


class Route(msgspec.Struct, frozen=True):
    """One address of the API.

    `path` is written as OpenAPI does (`/v1/pools/{pool}`); `parts` are its parameters. `filters`
    and `orders` make it a list: every field can be filtered by. `example`: a query that answers.
    `is_of_moment`: whether the asker may name a moment; `has_tag`: whether the answer depends on
    the moment alone, so that a repeated question can be answered with 304.
    """

    path: str
    summary: str
    handler: Handler
    data: Any
    tag: str
    parts: tuple[queries.Parameter, ...] = ()
    parameters: tuple[queries.Parameter, ...] = ()
    filters: Mapping[str, kinds.Field] = {}
    orders: tuple[str, ...] = ()
    example: str = ""
    description: str = ""
    is_of_moment: bool = True
    has_tag: bool = True

    @property
    def is_list(self) -> bool:
        """Whether the route answers with pages."""
        return bool(self.orders)

    @property
    def known(self) -> list[str]:
        """Every parameter that the route knows."""
        return [
            *(parameter.name for parameter in self.parameters),
            *queries.filter_names(self.filters),
            *(queries.PAGE if self.is_list else ()),
            *(queries.MOMENT if self.is_of_moment else ()),
        ]

    def parameter(self, name: str) -> queries.Parameter:
        """The description of a parameter of the query."""
        return next(parameter for parameter in self.parameters if parameter.name == name)
