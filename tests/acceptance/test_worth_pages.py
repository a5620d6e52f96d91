"""Pages in orders by worth: out of indexes, they are those of a look at every position."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from indexer.query import (
    database_state,
    filters,
    measured,
    point_in_time,
    position_pages,
    sorting,
    states,
    worth_pages,
)
from indexer.store import database
from tests.acceptance import tables_v1

FILTERS: tuple[tuple[filters.Condition, ...], ...] = (
    (),
    (filters.Condition("kind", "=", ("borrow",)),),
    (
        filters.Condition("kind", "in", ("earn", "borrow")),
        filters.Condition("status", "=", ("active",)),
    ),
    (filters.Condition("debt_value_usd", ">=", (Decimal(100),)),),
    (filters.Condition("health_factor", "<=", (Decimal("1.5"),)),),
    (filters.Condition("collateral_amount", "<=", (Decimal(1000),)),),
)


class Asked:
    """Positions of one database at a block, page by page and all at once."""

    def __init__(self, connection: asyncpg.Connection, state: states.State, standing: Any) -> None:
        self.connection, self.state, self.standing = connection, state, standing
        self.pages = position_pages.Pages()

    async def walked(
        self, order: filters.Order, conditions: tuple[filters.Condition, ...], limit: int
    ) -> list[position_pages.Position]:
        rows: list[position_pages.Position] = []
        after: tuple[str, ...] | None = None
        while True:
            wanted = filters.PageQuery(conditions, order, limit, after)
            page = await self.pages.page(self.connection, self.state, self.standing, wanted)
            rows += page.rows
            if page.next is None:
                return rows
            after = page.next

    async def every(self) -> list[position_pages.Position]:
        held = await position_pages.candidates(self.connection, self.state, ())
        return position_pages.valued(self.state, held)


async def at(connection: asyncpg.Connection, blocks: list[int]) -> AsyncIterator[Asked]:
    for number in blocks:
        async with point_in_time.steady(connection):
            standing = await database_state.read(connection)
            moment = await point_in_time.moment(connection, number)
            state = await states.States().of_moment(connection, moment, standing)
            yield Asked(connection, state, standing)


async def check(asked: Asked, limit: int) -> int:
    whole, compared = await asked.every(), 0
    for order in measured.MEASURES:
        for conditions in FILTERS:
            chosen = sorting.chosen(whole, position_pages.FIELDS, conditions)
            wanted = sorting.ordered(chosen, position_pages.FIELDS, order)
            found = await asked.walked(order, conditions, limit)
            assert found == wanted, (order, conditions, asked.state.moment.block_number)
            compared += len(found)
    return compared


async def blocks(connection: asyncpg.Connection, every: int) -> list[int]:
    rows = await connection.fetch("SELECT number FROM blocks ORDER BY number DESC")
    return [row["number"] for row in rows][::every]


async def no_ranking(*_: object) -> None:
    raise AssertionError("every candidate would be valued")


@pytest.mark.parametrize(("at_once", "every"), [(1, 40), (1_000, 20)])
async def test_v2(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, at_once: int, every: int
) -> None:
    """At blocks of the past and the head, without a look at every candidate."""
    monkeypatch.setattr(position_pages.Pages, "_ranking", no_ranking)
    monkeypatch.setattr(worth_pages, "AT_ONCE", at_once)
    compared = 0
    async for asked in at(indexed, await blocks(indexed, every)):
        compared += await check(asked, 7)
    assert compared > 1_000


async def test_v1(indexed_v1: tables_v1.Indexed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position_pages.Pages, "_ranking", no_ranking)
    async with database.session(indexed_v1.url) as connection:
        async for asked in at(connection, await blocks(connection, 25)):
            assert await check(asked, 5) > 20


async def test_where_too_many_would_be_looked_at(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is made of every candidate then, and goes on where an index's page ended."""
    order = filters.Order("debt_value_usd", is_descending=True)
    async for asked in at(indexed, (await blocks(indexed, 10))[:1]):
        wanted = sorting.ordered(await asked.every(), position_pages.FIELDS, order)
        first = await asked.pages.page(
            indexed, asked.state, asked.standing, filters.PageQuery((), order, 5)
        )
        monkeypatch.setattr(worth_pages, "MOST_TRIED", 0)
        monkeypatch.setattr(worth_pages, "MOST_TIED", -1)
        later = await asked.pages.page(
            indexed, asked.state, asked.standing, filters.PageQuery((), order, 500, first.next)
        )
        assert first.rows + later.rows == wanted
