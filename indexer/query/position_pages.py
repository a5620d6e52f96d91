"""Pages of positions by any filter and order, valued at the block that the pages are pinned to.

Filters on what a position is (pool, user, assets, kind, status, shares) and the order by pool are
answered by SQL, page by page. Filters and orders by worth (health, amounts, USD) need every
candidate valued at the moment: that is done once, and the order is kept for the pages after.
"""

from __future__ import annotations

import asyncio
import datetime
import decimal
from collections.abc import Hashable, Sequence

import asyncpg
import msgspec

from indexer import errors
from indexer.projections import positions as position_rows
from indexer.query import (
    filters,
    kinds,
    listing,
    point_in_time,
    positions,
    sorting,
    stands,
    states,
)

MOST_RANKED = 50_000
"""Positions that one question may value before it can filter or order them."""

RANKINGS = 8
"""Orders that are kept for the pages after."""

OF_DEBT = frozenset({"health_factor", "ltv", "liquidation_price", "price_drop"})
"""What a position without debt does not have."""

RENAMED = {"last_updated": "changed_at", "last_event_block": "block_number"}
"""Columns that the history has under another name."""


class Held(msgspec.Struct, frozen=True):
    """A version of a position: the columns of vesu_position_history."""

    id: kinds.Id
    pool_id: kinds.Felt
    pool_address: kinds.Felt
    protocol: str
    user_id: kinds.Felt
    kind: str
    collateral_address: kinds.Felt
    debt_address: kinds.Felt | None
    v_token: kinds.Felt | None
    created_at: datetime.datetime
    collateral_shares: kinds.Raw
    nominal_debt: kinds.Raw
    vtoken_balance_raw: kinds.Raw
    status: str
    migrated_block: kinds.Block | None
    changed_at: datetime.datetime
    block_number: kinds.Block


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
HELD = listing.Listing("positions", Held, ("pool_id", "id"), is_newest_first=False)
BY_POOL = filters.Order("pool_id")


class Pages:
    """Answers pages of positions; keeps the orders that were made last."""

    def __init__(self) -> None:
        self._rankings: states.Kept[list[_Place]] = states.Kept(RANKINGS)

    async def page(
        self,
        connection: listing.Connection,
        state: states.State,
        standing: stands.Stands,
        wanted: filters.Wanted,
    ) -> filters.Page:
        """A page; QuestionError where more positions than MOST_RANKED would have to be valued."""
        stored, of_worth = _parted(wanted.conditions)
        order = wanted.order or BY_POOL
        if not of_worth and order.field == "pool_id":
            held = msgspec.structs.replace(wanted, conditions=stored, order=order)
            rows, more = await listing.records(connection, HELD, state.moment.block_number, held)
            return filters.Page(valued(state, rows), more)
        places = await self._ranking(connection, state, standing, stored, of_worth, order)
        found = sorting.cut(places, wanted)
        return filters.Page(await _of_places(connection, state, found.rows), found.next)

    async def _ranking(
        self,
        connection: listing.Connection,
        state: states.State,
        standing: stands.Stands,
        stored: tuple[filters.Condition, ...],
        of_worth: tuple[filters.Condition, ...],
        order: filters.Order,
    ) -> list[_Place]:
        key: Hashable = (states.identity(state.moment, standing), stored, of_worth, order)
        async with self._rankings.making(key):
            places = self._rankings.get(key)
            if places is None:
                held = await candidates(connection, state, stored)
                places = await asyncio.to_thread(_ranked, state, held, of_worth, order)
                self._rankings.put(key, places)
        return places


class _Place(msgspec.Struct, frozen=True):
    """Where to find a row of a ranking."""

    id: str
    pool_id: str


def _parted(
    conditions: Sequence[filters.Condition],
) -> tuple[tuple[filters.Condition, ...], tuple[filters.Condition, ...]]:
    """The conditions that SQL can check, and those that need a position valued."""
    stored, of_worth = [], []
    for one in conditions:
        name = RENAMED.get(one.field, one.field)
        if name in HELD.fields:
            stored.append(msgspec.structs.replace(one, field=name))
        else:
            of_worth.append(one)
            if one.field in OF_DEBT:
                stored.append(filters.Condition("nominal_debt", ">=", (1,)))
    return tuple(stored), tuple(of_worth)


async def candidates(
    connection: listing.Connection, state: states.State, stored: tuple[filters.Condition, ...]
) -> list[asyncpg.Record]:
    """All positions that pass conditions on stored columns; QuestionError above MOST_RANKED."""
    wanted = filters.Wanted(stored, BY_POOL, MOST_RANKED)
    found, more = await listing.records(connection, HELD, state.moment.block_number, wanted)
    if more is not None:
        raise errors.QuestionError(
            f"more than {MOST_RANKED} positions would have to be valued: narrow the question by "
            "pool_id, user_id, kind=borrow, collateral_address or debt_address",
            parameter="order",
        )
    return found


def _ranked(
    state: states.State,
    candidates: Sequence[asyncpg.Record],
    of_worth: Sequence[filters.Condition],
    order: filters.Order,
) -> list[_Place]:
    passing = sorting.chosen(valued(state, candidates), FIELDS, of_worth)
    return [_Place(one.id, one.pool_id) for one in sorting.ordered(passing, FIELDS, order)]


async def _of_places(
    connection: listing.Connection, state: states.State, places: Sequence[_Place]
) -> list[Position]:
    pools = tuple({one.pool_id for one in places})
    ids = tuple(one.id for one in places)
    conditions = (filters.Condition("pool_id", "in", pools), filters.Condition("id", "in", ids))
    wanted = filters.Wanted(conditions, BY_POOL, filters.MAX_LIMIT)
    found, _ = await listing.records(connection, HELD, state.moment.block_number, wanted)
    by_id = {one.id: one for one in valued(state, found)}
    return [by_id[one] for one in ids]


async def one(
    connection: listing.Connection, state: states.State, position_id: str
) -> Position | None:
    """The position with an id at the moment; None where there was none yet."""
    wanted = filters.Wanted((filters.Condition("id", "=", (position_id,)),), BY_POOL, 1)
    found, _ = await listing.records(connection, HELD, state.moment.block_number, wanted)
    return valued(state, found)[0] if found else None


async def of_user(
    connection: listing.Connection, state: states.State, user_id: str
) -> list[Position]:
    """A user's active positions, the lowest health first, those without one last."""
    conditions = (
        filters.Condition("user_id", "=", (user_id,)),
        filters.Condition("status", "=", ("active",)),
    )
    found = await candidates(connection, state, conditions)
    return sorting.ordered(valued(state, found), FIELDS, filters.Order("health_factor"))


def valued(state: states.State, held: Sequence[asyncpg.Record]) -> list[Position]:
    """What positions are worth at the moment."""
    found = []
    for one in held:
        row = state.snapshot.position_row(one["protocol"], *position_rows.parse(one))
        more = {"price_drop": price_drop(row["health_factor"])}
        found.append(msgspec.convert(row | more, Position))
    return found


def price_drop(health_factor: str | None) -> str | None:
    """The part of the collateral's price that may go until a position can be liquidated."""
    if health_factor is None:
        return None
    health = int(decimal.Decimal(health_factor).scaleb(18, point_in_time.EXACT))
    if health == 0:
        return None
    drop = (health - 10**18) * 10**18 // health
    sign, digits = ("-" if drop < 0 else ""), f"{abs(drop):019d}"
    return f"{sign}{digits[:-18]}.{digits[-18:]}"
