"""Supply and debt of pools at a moment: by asset, by pool, and in total."""

from __future__ import annotations

import itertools

import msgspec

from indexer.query import assets, kinds, point_in_time

Connection = point_in_time.Connection


class Sums(msgspec.Struct, frozen=True):
    """Sums over assets. `unpriced` names those that hold something but have no price."""

    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    unpriced: list[str]


class PoolTotals(msgspec.Struct, frozen=True):
    """A pool's assets and the sums of their USD values.

    `unpriced` names the assets that hold something but have no price, so are in no sum.
    """

    pool_id: kinds.Felt
    pool_address: kinds.Felt
    protocol: str
    name: str | None
    is_listed: bool
    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    unpriced: list[str]
    assets: list[assets.Asset]


class Totals(point_in_time.Moment, frozen=True):
    """All pools' totals; the sums in USD of the listed pools, and of the others (`unlisted`)."""

    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    unpriced: list[str]
    unlisted: Sums
    pools: list[PoolTotals]


async def find(
    connection: Connection,
    pool: int | None = None,
    at: point_in_time.When = None,
    max_price_age: int | None = None,
) -> Totals:
    """The totals of a pool (None: of all pools) at a moment, ordered by pool.

    Assets on prices older than `max_price_age` seconds say so.
    """
    found = await assets.find(connection, pool, at, max_price_age)
    counted = newest(found.assets)
    pools = [
        _pool(list(members))
        for _, members in itertools.groupby(counted, lambda pool: (pool.pool_id, pool.protocol))
    ]
    return Totals(*found.parts, *listed(counted), unlisted(counted), pools)


def newest(assets: list[assets.Asset]) -> list[assets.Asset]:
    """An asset that V1.0 handed on to V1.1 stays behind in V1.0's books: it counts once."""
    newest = {(asset.pool_id, asset.asset_address): asset.id for asset in assets}
    return [asset for asset in assets if newest[asset.pool_id, asset.asset_address] == asset.id]


def _pool(members: list[assets.Asset]) -> PoolTotals:
    first = members[0]
    return PoolTotals(
        first.pool_id,
        first.pool_address,
        first.protocol,
        first.pool_name,
        first.is_listed,
        *sums(members),
        members,
    )


def listed(members: list[assets.Asset]) -> tuple[str, str, list[str]]:
    """The sums of listed pools."""
    return sums([asset for asset in members if asset.is_listed])


def unlisted(members: list[assets.Asset]) -> Sums:
    """The sums of the other pools, whose prices their curators choose."""
    return Sums(*sums([asset for asset in members if not asset.is_listed]))


def sums(members: list[assets.Asset]) -> tuple[str, str, list[str]]:
    """The sums of the assets' values and debts, and the assets without a price."""
    unpriced = sorted(
        {
            asset.symbol or asset.asset_address
            for asset in members
            if asset.total_supply_usd is None and int(asset.total_supply_raw)
        }
    )
    return (
        point_in_time.total(asset.total_supply_usd for asset in members),
        point_in_time.total(asset.total_borrow_usd for asset in members),
        unpriced,
    )
