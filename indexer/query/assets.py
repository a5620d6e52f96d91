"""Assets at a moment: the contract's AssetConfig with interest accrued, rates and totals."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from indexer.projections import rows
from indexer.query import point_in_time
from indexer.vesu import maths, state

Connection = point_in_time.Connection


class Asset(msgspec.Struct, frozen=True):
    """An asset of a pool at a moment: the columns of vesu_assets, accrued, and its totals.

    `total_supply` is reserve and debt together, `total_borrow` the debt, both rounded down;
    their USD values at the last told price, rounded down too.
    """

    id: str
    pool_id: str
    pool_address: str
    protocol: str
    pool_name: str | None
    asset_address: str
    symbol: str | None
    name: str | None
    decimals: int | None
    total_supply: str
    total_borrow: str
    total_supply_raw: str
    total_borrow_raw: str
    total_supply_usd: str | None
    total_borrow_usd: str | None
    utilization: str
    supply_apy: str
    borrow_apy: str
    price_usd: str | None
    price: str | None
    price_is_valid: bool | None
    price_block: int | None
    v_token: str | None
    total_collateral_shares: str
    total_nominal_debt: str
    reserve: str
    max_utilization: str
    floor: str
    scale: str
    is_legacy: bool
    last_updated: datetime.datetime
    last_rate_accumulator: str
    last_full_utilization_rate: str
    fee_rate: str
    fee_shares: str
    unowned_shares: str
    variant: str
    min_target_utilization: str
    max_target_utilization: str
    target_utilization: str
    min_full_utilization_rate: str
    max_full_utilization_rate: str
    zero_utilization_rate: str
    rate_half_life: str
    target_rate_percent: str
    block_number: int
    changed_at: datetime.datetime


class Assets(point_in_time.Moment, frozen=True):
    """Assets at a moment."""

    assets: list[Asset]


async def find(
    connection: Connection, pool: int | None = None, at: point_in_time.When = None
) -> Assets:
    """The assets of a pool (None: of all pools) at a moment, ordered by pool and symbol."""
    async with point_in_time.steady(connection):
        snapshot = await point_in_time.snapshot(connection, at, None if pool is None else [pool])
    return Assets(*snapshot.moment.parts, every(snapshot))


def every(snapshot: point_in_time.Snapshot) -> list[Asset]:
    """All assets of a snapshot."""
    found = [msgspec.convert(_row(snapshot, key), Asset) for key in snapshot.world.assets]
    return sorted(found, key=lambda one: (one.pool_id, one.protocol, one.symbol or "", one.id))


def _row(snapshot: point_in_time.Snapshot, key: state.AssetKey) -> dict[str, Any]:
    asset = snapshot.world.assets[key]
    supply, debt = asset.reserve + asset.total_debt, asset.total_debt
    return snapshot.asset_row(key) | {
        "pool_name": snapshot.pool_name(key.pool),
        "total_supply_raw": str(supply),
        "total_borrow_raw": str(debt),
        "price_usd": rows.scaled(asset.price),
        "total_supply_usd": _usd(supply, asset.price, asset.scale),
        "total_borrow_usd": _usd(debt, asset.price, asset.scale),
    }


def _usd(amount: int, price: int | None, scale: int) -> str | None:
    if price is None or not scale:
        return None
    return rows.scaled(maths.collateral_value(amount, price, scale))
