"""Routes of positions and users."""

from __future__ import annotations

import datetime

import msgspec

from indexer import errors
from indexer.api import queries, routes
from indexer.query import filters, kinds, portfolio, position_pages, states

POSITION = queries.Parameter(
    "id", "uuid", "Id of a position.", "7b52a55c-8e0b-5c4e-9d1f-0d8a9f6f2f11"
)
USER = queries.Parameter("user", "felt", "Address of a wallet.", "0x1")


def priced_at(state: states.State, pool_ids: set[str] | None) -> datetime.datetime | None:
    """The time of the oldest price in pools; None: in all listed ones."""
    times = (
        asset.price_timestamp
        for asset in state.assets
        if (asset.is_listed if pool_ids is None else asset.pool_id in pool_ids)
    )
    return min((time for time in times if time is not None), default=None)


async def _page(question: routes.Question, page_query: filters.PageQuery) -> routes.Answer:
    state = await question.state()
    page = await question.shared.positions.page(
        question.connection, state, question.database_state, page_query
    )
    oldest = priced_at(state, {position.pool_id for position in page.rows})
    return routes.Answer([question.aged(position) for position in page.rows], page.next, oldest)


async def _positions(question: routes.Question) -> routes.Answer:
    return await _page(question, question.page_query)


async def _position(question: routes.Question) -> routes.Answer:
    found = await position(question)
    oldest = priced_at(await question.state(), {found.pool_id})
    return routes.Answer(question.aged(found), priced_at=oldest)


async def position(question: routes.Question) -> position_pages.Position:
    """The position that the path names; NotFoundError where there is none at the moment."""
    state = await question.state()
    position = await position_pages.find_one(question.connection, state, question.path["id"])
    if position is None:
        raise errors.NotFoundError(
            f"there is no position {question.path['id']} at block {question.moment.block_number}",
            parameter="id",
        )
    return position


class Health(msgspec.Struct, frozen=True):
    """Whether a position may be liquidated: its health below 1, and by how much.

    `price_drop` is the part of the collateral's price that may go until then.
    """

    position_id: kinds.Id
    status: str
    health_factor: kinds.Ratio | None
    ltv: kinds.Ratio | None
    liquidation_price: kinds.Usd | None
    price_drop: kinds.Ratio | None
    is_liquidatable: bool | None


async def _health(question: routes.Question) -> routes.Answer:
    found = await position(question)
    health = found.health
    oldest = priced_at(await question.state(), {found.pool_id})
    answer = Health(
        found.id,
        found.status,
        found.health_factor,
        found.ltv,
        found.liquidation_price,
        found.price_drop,
        None if health is None else health < 1,
    )
    return routes.Answer(answer, priced_at=oldest)


async def _of_user(question: routes.Question) -> routes.Answer:
    page_query = question.page_query
    mine = filters.Condition("user_id", "=", (question.path["user"],))
    return await _page(
        question,
        filters.PageQuery(
            (*page_query.conditions, mine), page_query.order, page_query.limit, page_query.after
        ),
    )


async def _portfolio(question: routes.Question) -> routes.Answer:
    state, user = await question.state(), question.path["user"]
    positions = await position_pages.of_user(question.connection, state, user)
    rows = [question.aged(position) for position in positions]
    found = portfolio.summed(question.moment, user, list(rows))
    return routes.Answer(
        found, priced_at=priced_at(state, {position.pool_id for position in positions})
    )


ROUTES = (
    routes.Route(
        "/v1/positions",
        "Positions by any filter and order",
        _positions,
        list[position_pages.Position],
        "positions",
        filters=position_pages.FIELDS,
        orders=position_pages.ORDERS,
        example="health_factor_lte=1.05&debt_value_usd_gte=100&order=health_factor",
    ),
    routes.Route(
        "/v1/positions/{id}",
        "One position",
        _position,
        position_pages.Position,
        "positions",
        parts=(POSITION,),
        example="at_block=90",
    ),
    routes.Route(
        "/v1/positions/{id}/health",
        "Whether a position may be liquidated, and how far it is from that",
        _health,
        Health,
        "positions",
        parts=(POSITION,),
        example="at_block=90",
    ),
    routes.Route(
        "/v1/users/{user}/positions",
        "A user's positions",
        _of_user,
        list[position_pages.Position],
        "users",
        parts=(USER,),
        filters={name: field for name, field in position_pages.FIELDS.items() if name != "user_id"},
        orders=position_pages.ORDERS,
        example="status=active",
    ),
    routes.Route(
        "/v1/users/{user}/portfolio",
        "All that a user holds and owes, with sums in USD",
        _portfolio,
        portfolio.Portfolio,
        "users",
        parts=(USER,),
        example="at_time=2025-10-02T12:00:00Z",
    ),
)
