"""Routes of time series, of rates, and of configuration changes."""

from __future__ import annotations

import msgspec

from indexer import errors
from indexer.api import holdings, markets, queries, routes
from indexer.query import configuration, endangered, filters, kinds, rates, series, sorting, yields

INTERVAL = queries.Parameter(
    "interval",
    "text",
    "Where the points lie: at each change, or at the ends of hours, days, weeks, months (UTC).",
    "day",
    values=series.INTERVALS,
)
FROM = queries.Parameter("from", "time", "Points after this time.", "2025-10-02T12:00:00Z")
TO = queries.Parameter("to", "time", "Points up to this time.", "2025-11-02T12:00:00Z")
POINTS = queries.Parameter(
    "points", "block", "How many points at most.", "30", minimum=1, maximum=series.MAX_POINTS
)
SPAN = (INTERVAL, FROM, TO, POINTS)
BY_BLOCK = filters.Order("block_number")


def span(question: routes.Question) -> series.Span:
    """The span that a question names."""
    return series.Span(
        question.get("interval", "day"),
        question.get("from"),
        question.get("to"),
        question.get("points", series.DEFAULT_POINTS),
    )


async def _position(question: routes.Question) -> routes.Answer:
    found = await series.of_position(
        question.connection, question.moment, question.path["id"], span(question)
    )
    if found is None:
        raise errors.NotFoundError(f"there is no position {question.path['id']}", parameter="id")
    points = [
        msgspec.structs.replace(point, position=question.aged(point.position)) for point in found
    ]
    return routes.Answer(points)


async def _asset(question: routes.Question) -> routes.Answer:
    asset = await markets.asset(question)
    asset_points = await series.of_asset(
        question.connection, question.moment, asset, span(question)
    )
    points = [
        msgspec.structs.replace(point, asset=question.aged(point.asset)) for point in asset_points
    ]
    return routes.Answer(points)


async def _pool(question: routes.Question) -> routes.Answer:
    pool = await markets.pool(question)
    pool_points = await series.of_pool(
        question.connection, question.moment, pool.pool_id, span(question)
    )
    return routes.Answer([question.aged(point) for point in pool_points])


async def _rates(question: routes.Question) -> routes.Answer:
    pool = await markets.pool(question)
    found = await yields.find(question.connection, int(pool.pool_id, 16), question.when)
    asset_text = question.get("asset")
    members = [yields for yields in found.yields if asset_text in (None, yields.asset_address)]
    if not members:
        raise errors.NotFoundError(f"the pool has no asset {asset_text}", parameter="asset")
    return routes.Answer(members)


async def _curve(question: routes.Question) -> routes.Answer:
    asset = await markets.asset(question)
    return routes.Answer(rates.curve(await question.state(), asset))


async def _configuration(question: routes.Question) -> routes.Answer:
    pool = await markets.pool(question)
    changes = await question.shared.configurations.changes(
        question.connection,
        question.database_state,
        question.moment.block_number,
        pool.pool_id,
    )
    page = sorting.page(changes, CHANGE, question.page_query, BY_BLOCK)
    shown = await endangered.of(
        question.connection,
        question.shared.states,
        question.database_state,
        pool.pool_id,
        page.rows,
    )
    return routes.Answer(shown, page.next)


async def _user(question: routes.Question) -> routes.Answer:
    found = await series.of_user(
        question.connection, question.moment, question.path["user"], span(question)
    )
    return routes.Answer([question.aged(point) for point in found])


CHANGE = {
    name: field
    for name, field in kinds.fields(configuration.Change).items()
    if field.kind != "json"
}
ROUTES = (
    routes.Route(
        "/v1/positions/{id}/history",
        "A position in points: exact, with interest accrued to each",
        _position,
        list[series.PositionPoint],
        "history",
        parts=(holdings.POSITION,),
        parameters=SPAN,
        example="interval=day&points=30",
    ),
    routes.Route(
        "/v1/assets/{id}/history",
        "An asset in points",
        _asset,
        list[series.AssetPoint],
        "history",
        parts=(markets.ASSET,),
        parameters=SPAN,
        example="interval=hour&points=24",
    ),
    routes.Route(
        "/v1/pools/{pool}/history",
        "A pool's sums in points",
        _pool,
        list[series.PoolPoint],
        "history",
        parts=(markets.POOL,),
        parameters=SPAN,
        example="interval=week",
    ),
    routes.Route(
        "/v1/users/{user}/portfolio/history",
        "What a user held and owed, in sums in points",
        _user,
        list[series.UserPoint],
        "users",
        parts=(holdings.USER,),
        parameters=SPAN,
        example="interval=day&points=30",
    ),
    routes.Route(
        "/v1/pools/{pool}/interest-rate",
        "Spot rates, and rates realised over 1, 7, 30, 90 and 365 days",
        _rates,
        list[yields.Yield],
        "markets",
        parts=(markets.POOL,),
        parameters=(queries.Parameter("asset", "felt", "Only this asset.", "0x1"),),
    ),
    routes.Route(
        "/v1/assets/{id}/rate-curve",
        "The interest-rate model at even utilisations",
        _curve,
        rates.Curve,
        "markets",
        parts=(markets.ASSET,),
    ),
    routes.Route(
        "/v1/pools/{pool}/config-history",
        "Every change of a pool's configuration",
        _configuration,
        list[endangered.Change],
        "markets",
        parts=(markets.POOL,),
        filters=CHANGE,
        orders=("block_number", "time"),
        example="setting=max_ltv_raw",
    ),
)
