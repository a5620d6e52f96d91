"""Pages of positions by any filter and order, valued at the block that the pages are pinned to.

Filters on what a position is (pool, user, assets, kind, status, shares) and the order by pool are
answered by SQL, page by page. Filters and orders by worth (health, amounts, USD) need every
candidate valued at the moment: that is done once, and the order is kept for the pages after.
"""

from __future__ import annotations

import decimal
from collections.abc import Hashable, Sequence

import asyncpg
import msgspec

from indexer import errors
from indexer.projections import positions as position_rows
from indexer.query import (
    computation,
    database_state,
    filters,
    kinds,
    listing,
    near,
    point_in_time,
    position_versions,
    positions,
    sorting,
    states,
    worth_pages,
)

MOST_RANKED = 50_000
"""How many positions a question may value in order to filter or order them."""

CEILINGS = (decimal.Decimal("1.05"), decimal.Decimal("1.3"), decimal.Decimal(2))
"""Healths below which positions are valued, one after another, for the lowest healths."""

RANKINGS = 16
"""How many orders are kept for later pages."""

OF_DEBT = frozenset({"health_factor", "ltv", "liquidation_price", "price_drop"})
"""Fields that a position without debt does not have."""

RENAMED = {"last_updated": "changed_at", "last_event_block": "block_number"}
"""Columns that the history has under another name."""


class Position(positions.Position, frozen=True):
    """A position at the moment of the answer.

    `price_drop` is the part of the collateral's price that it may lose until the position can be
    liquidated: 1 − 1 / health factor, rounded down; negative where it can be already.
    """

    price_drop: kinds.Ratio | None


FIELDS = kinds.fields(Position)
ORDERS = (
    "pool_id",
    *("health_factor", "price_drop", "ltv", "liquidation_price"),
    *("debt_value_usd", "collateral_value_usd", "debt_amount", "collateral_amount"),
    *("created_at", "last_updated"),
)
BY_POOL = filters.Order("pool_id")


class Pages:
    """Answers pages of positions; keeps the latest orders."""

    def __init__(self) -> None:
        self._rankings: states.Kept[list[_Candidate]] = states.Kept(RANKINGS)

    async def page(
        self,
        connection: listing.Connection,
        state: states.State,
        standing: database_state.DatabaseState,
        page_query: filters.PageQuery,
    ) -> filters.Page:
        """A page; QuestionError where more positions than MOST_RANKED would have to be valued."""
        stored, of_worth = _parted(page_query.conditions)
        order = page_query.order or BY_POOL
        listed = await position_versions.of_moment(connection, state.moment, standing, stored)
        if not of_worth and order.field == "pool_id":
            stored_only = msgspec.structs.replace(page_query, conditions=stored, order=order)
            rows, next_key = await listing.records(
                connection, listed, state.moment.block_number, stored_only
            )
            return filters.Page(valued(state, rows), next_key)
        ranking_query = _RankingQuery(stored, of_worth, order)
        measured = await worth_pages.page(
            connection,
            state.snapshot,
            msgspec.structs.replace(page_query, order=order),
            _source(connection, state, ranking_query, listed),
        )
        if measured is not None:
            return measured
        identity = states.identity(state.moment, standing)
        for health in ranking_query.ceilings:
            below = ranking_query.below(health)
            ranking = await self._ranking(connection, state, identity, below, listed)
            if ranking is not None and (
                ranking_query.is_whole(health) or _reaches(ranking, page_query)
            ):
                break
        assert ranking is not None, "the last ceiling is none, which values every candidate"
        page = sorting.cut(ranking, page_query)
        return filters.Page(await _of_ranking(connection, state, page.rows), page.next)

    async def _ranking(
        self,
        connection: listing.Connection,
        state: states.State,
        identity: Hashable,
        ranking_query: _RankingQuery,
        listed: listing.Listing,
    ) -> list[_Candidate] | None:
        """The ranking; None: too many positions are below the ceiling, or changed."""
        key: Hashable = (identity, ranking_query)
        async with self._rankings.making(key):
            ranking = self._rankings.get(key)
            if ranking is None:
                candidates = await _candidates_of(connection, state, ranking_query, listed)
                if candidates is None:
                    return None
                ranking = await computation.of(_ranked, state, candidates, ranking_query)
                self._rankings.keep(key, ranking)
        return ranking


class _RankingQuery(msgspec.Struct, frozen=True):
    """Filters and order of a ranking; `ceiling`: only positions of a lower health.

    The lowest healths come first, so that a page of them needs no more than those valued.
    """

    stored: tuple[filters.Condition, ...]
    of_worth: tuple[filters.Condition, ...]
    order: filters.Order
    ceiling: decimal.Decimal | None = None

    @property
    def ceilings(self) -> list[decimal.Decimal | None]:
        """The ceilings to try, the last of them None: every candidate."""
        limits = [
            limit for condition in self.of_worth if (limit := _most_health(condition)) is not None
        ]
        if limits:
            return [min(limits), None]
        is_by_health = self.order == filters.Order("health_factor")
        return [*(CEILINGS if is_by_health else ()), None]

    def below(self, ceiling: decimal.Decimal | None) -> _RankingQuery:
        """The same below a ceiling."""
        return msgspec.structs.replace(self, ceiling=ceiling)

    def is_whole(self, ceiling: decimal.Decimal | None) -> bool:
        """Whether a ranking below the ceiling has all that the filters let through."""
        return ceiling is None or any(
            _most_health(condition) is not None for condition in self.of_worth
        )


def _most_health(condition: filters.Condition) -> decimal.Decimal | None:
    """The highest health that passes a filter; None: any may."""
    if condition.field != "health_factor" or condition.operator == ">=":
        return None
    return max(map(decimal.Decimal, condition.values))


def _reaches(ranking: Sequence[_Candidate], page_query: filters.PageQuery) -> bool:
    """Whether a ranking holds the wanted page, and one more."""
    if page_query.after is None:
        return len(ranking) > page_query.limit
    start = next(
        (rank for rank, candidate in enumerate(ranking, 1) if candidate.id == page_query.after[-1]),
        None,
    )
    return start is not None and len(ranking) > start + page_query.limit


class _Candidate(msgspec.Struct, frozen=True):
    """The key of a ranking's row."""

    id: str
    pool_id: str


def _parted(
    conditions: Sequence[filters.Condition],
) -> tuple[tuple[filters.Condition, ...], tuple[filters.Condition, ...]]:
    """The conditions that SQL can check, and those that need a position valued."""
    stored, of_worth = [], []
    for condition in conditions:
        name = RENAMED.get(condition.field, condition.field)
        if name in position_versions.FIELDS:
            stored.append(msgspec.structs.replace(condition, field=name))
        else:
            of_worth.append(condition)
            if condition.field in OF_DEBT:
                stored.append(position_versions.OWES)
    return tuple(stored), tuple(of_worth)


async def candidates(
    connection: listing.Connection,
    state: states.State,
    stored: tuple[filters.Condition, ...],
    listed: listing.Listing = position_versions.EVERY,
) -> list[asyncpg.Record]:
    """All positions that pass conditions on stored columns; QuestionError above MOST_RANKED.

    `listed` is what `position_versions.of_moment` gives, where that is known.
    """
    page_query = filters.PageQuery(stored, BY_POOL, MOST_RANKED)
    rows, next_key = await listing.records(
        connection, listed, state.moment.block_number, page_query
    )
    if next_key is not None:
        raise errors.QuestionError(
            f"more than {MOST_RANKED} positions would have to be valued: narrow the question by "
            "pool_id, user_id, kind=borrow, collateral_address or debt_address",
            parameter="order",
        )
    return rows


async def _candidates_of(
    connection: listing.Connection,
    state: states.State,
    ranking_query: _RankingQuery,
    listed: listing.Listing = position_versions.EVERY,
) -> list[asyncpg.Record] | None:
    """The candidates below a ceiling; None: they are too many to be found that way."""
    if ranking_query.ceiling is None:
        return await candidates(connection, state, ranking_query.stored, listed)
    found = await near.candidates(connection, state.snapshot, ranking_query.ceiling, MOST_RANKED)
    if found is None:
        return None
    page_query = filters.PageQuery(ranking_query.stored, BY_POOL, 2 * MOST_RANKED)
    return await _records_of(connection, state, found, page_query)


async def below(
    connection: listing.Connection,
    state: states.State,
    health: decimal.Decimal,
    stored: tuple[filters.Condition, ...],
) -> list[asyncpg.Record]:
    """All positions that pass conditions on stored columns and may have such a health or less."""
    ranking_query = _RankingQuery(stored, (), BY_POOL, health)
    found = await _candidates_of(connection, state, ranking_query)
    return await candidates(connection, state, stored) if found is None else found


async def _records_of(
    connection: listing.Connection,
    state: states.State,
    candidates: near.Candidates,
    page_query: filters.PageQuery,
) -> list[asyncpg.Record]:
    """The requested positions among the candidates, as of the moment."""
    named = position_versions.of_keys(candidates)
    records, _ = await listing.records(connection, named, state.moment.block_number, page_query)
    return records


def _ranked(
    state: states.State, candidates: Sequence[asyncpg.Record], ranking_query: _RankingQuery
) -> list[_Candidate]:
    passing = sorting.chosen(valued(state, candidates), FIELDS, ranking_query.of_worth)
    if ranking_query.ceiling is not None:
        below = filters.Condition("health_factor", "<=", (ranking_query.ceiling,))
        passing = sorting.chosen(passing, FIELDS, (below,))
    return [
        _Candidate(position.id, position.pool_id)
        for position in sorting.ordered(passing, FIELDS, ranking_query.order)
    ]


async def _of_ranking(
    connection: listing.Connection, state: states.State, ranking: Sequence[_Candidate]
) -> list[Position]:
    ids = [candidate.id for candidate in ranking]
    keys = near.Candidates([candidate.pool_id for candidate in ranking], ids)
    rows = await _records_of(
        connection, state, keys, filters.PageQuery((), BY_POOL, filters.MAX_LIMIT)
    )
    by_id = {position.id: position for position in valued(state, rows)}
    return [by_id[position_id] for position_id in ids]


def _source(
    connection: listing.Connection,
    state: states.State,
    ranking_query: _RankingQuery,
    listed: listing.Listing,
) -> worth_pages.Source:
    """The rows that pass the filters, valued."""
    by_id = msgspec.structs.replace(listed, key=("id",), keeps_plan=True)

    async def named(keys: near.Candidates) -> list[Position]:
        page_query = filters.PageQuery(ranking_query.stored, BY_POOL, 2 * MOST_RANKED)
        rows = await _records_of(connection, state, keys, page_query)
        return sorting.chosen(valued(state, rows), FIELDS, ranking_query.of_worth)

    async def following(after: str, count: int) -> tuple[list[Position], str | None]:
        page_query = filters.PageQuery(ranking_query.stored, filters.Order("id"), count, (after,))
        block = state.moment.block_number
        found, next_key = await listing.records(connection, by_id, block, page_query)
        rows = sorting.chosen(valued(state, found), FIELDS, ranking_query.of_worth)
        return rows, None if next_key is None else next_key[0]

    return worth_pages.Source(named, following)


async def find_one(
    connection: listing.Connection, state: states.State, position_id: str
) -> Position | None:
    """The position with an id at the moment; None where there was none yet."""
    page_query = filters.PageQuery((filters.Condition("id", "=", (position_id,)),), BY_POOL, 1)
    every = position_versions.EVERY
    rows, _ = await listing.records(connection, every, state.moment.block_number, page_query)
    return valued(state, rows)[0] if rows else None


async def of_user(
    connection: listing.Connection, state: states.State, user_id: str
) -> list[Position]:
    """A user's active positions, the lowest health first, those without one last."""
    conditions = (
        filters.Condition("user_id", "=", (user_id,)),
        filters.Condition("status", "=", ("active",)),
    )
    rows = await candidates(connection, state, conditions)
    return sorting.ordered(valued(state, rows), FIELDS, filters.Order("health_factor"))


def valued(state: states.State, stored_rows: Sequence[asyncpg.Record]) -> list[Position]:
    """The positions with their values at the moment."""
    found, valuer = [], state.snapshot.valuer()
    for stored in stored_rows:
        row = state.snapshot.position_row(stored["protocol"], *position_rows.parse(stored), valuer)
        derived = {"price_drop": price_drop(row["health_factor"])}
        found.append(msgspec.convert(row | derived, Position))
    return found


def price_drop(health_factor: str | None) -> str | None:
    """The part of the collateral's price that may be lost until a position can be liquidated."""
    if health_factor is None:
        return None
    health = int(decimal.Decimal(health_factor).scaleb(18, point_in_time.EXACT))
    if health == 0:
        return None
    drop = (health - 10**18) * 10**18 // health
    sign, digits = ("-" if drop < 0 else ""), f"{abs(drop):019d}"
    return f"{sign}{digits[:-18]}.{digits[-18:]}"
