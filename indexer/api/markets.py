"""Routes of pools and assets: configuration, totals and rates at any moment."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import msgspec

from indexer import errors
from indexer.api import queries, routes
from indexer.query import assets, filters, kinds, pool_details, pools, sorting

POOL = queries.Parameter("pool", "felt", "Pool id; of V2, its address.", "0x1")
ASSET = queries.Parameter(
    "id", "uuid", "Id of an asset of a pool.", "7b52a55c-8e0b-5c4e-9d1f-0d8a9f6f2f11"
)
POOL_ORDERS = (
    *("pool_id", "max_ltv", "total_supply", "total_borrow", "utilization", "supply_apy"),
    *("borrow_apy", "pair_debt", "pair_collateral", "created_at"),
)
ASSET_ORDERS = (
    *("pool_id", "total_supply", "total_borrow", "total_supply_usd", "total_borrow_usd"),
    *("utilization", "supply_apy", "borrow_apy", "price_usd"),
)
BY_POOL = filters.Order("pool_id")


def oldest_price(assets: Iterable[assets.Asset]) -> datetime.datetime | None:
    """The time of the oldest price among assets."""
    return min((asset.price_timestamp for asset in assets if asset.price_timestamp), default=None)


async def _pools(question: routes.Question) -> routes.Answer:
    state = await question.state()
    page = sorting.page(state.pools, kinds.fields(pools.Pool), question.page_query, BY_POOL)
    return routes.Answer(page.rows, page.next)


async def _pool(question: routes.Question) -> routes.Answer:
    details = await pool(question)
    rows = [question.aged(asset) for asset in details.assets]
    shown = msgspec.structs.replace(details, assets=rows)
    return routes.Answer(shown, priced_at=oldest_price(rows))


async def pool(question: routes.Question) -> pool_details.Details:
    """The pool that the path names; NotFoundError where there is none at the moment."""
    details = pool_details.of(await question.state(), question.path["pool"])
    if details is None:
        raise errors.NotFoundError(
            f"there is no pool {question.path['pool']} at block {question.moment.block_number}",
            parameter="pool",
        )
    return details


async def _assets(question: routes.Question) -> routes.Answer:
    state = await question.state()
    page = sorting.page(state.assets, kinds.fields(assets.Asset), question.page_query, BY_POOL)
    rows = [question.aged(asset) for asset in page.rows]
    return routes.Answer(rows, page.next, oldest_price(rows))


async def _asset(question: routes.Question) -> routes.Answer:
    found = question.aged(await asset(question))
    return routes.Answer(found, priced_at=oldest_price([found]))


async def asset(question: routes.Question) -> assets.Asset:
    """The asset that the path names; NotFoundError where there is none at the moment."""
    state = await question.state()
    for asset in state.assets:
        if asset.id == question.path["id"]:
            return asset
    raise errors.NotFoundError(
        f"there is no asset {question.path['id']} at block {question.moment.block_number}; "
        "/v1/assets lists them with their ids",
        parameter="id",
    )


ROUTES = (
    routes.Route(
        "/v1/pools",
        "Pairs of all pools: limits, totals and rates",
        _pools,
        list[pools.Pool],
        "markets",
        filters=kinds.fields(pools.Pool),
        orders=POOL_ORDERS,
        example="is_active=true&order=-borrow_apy",
    ),
    routes.Route(
        "/v1/pools/{pool}",
        "One pool: its assets, its pairs, its sums in USD",
        _pool,
        pool_details.Details,
        "markets",
        parts=(POOL,),
        example="at_block=90",
    ),
    routes.Route(
        "/v1/assets",
        "Assets of all pools: totals, rates, configuration",
        _assets,
        list[assets.Asset],
        "markets",
        filters=kinds.fields(assets.Asset),
        orders=ASSET_ORDERS,
        example="symbol=USDC&order=-total_supply_usd",
    ),
    routes.Route(
        "/v1/assets/{id}", "One asset of a pool", _asset, assets.Asset, "markets", parts=(ASSET,)
    ),
)
