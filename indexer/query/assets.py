"""Assets at a moment: the contract's AssetConfig with interest accrued, rates and totals."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from indexer.projections import rows
from indexer.query import kinds, point_in_time
from indexer.vesu import state, valuation

Connection = point_in_time.Connection


class Asset(msgspec.Struct, frozen=True):
    """An asset of a pool at a moment: the columns of vesu_assets, accrued, and its totals.

    `total_supply` is reserve and debt together, `total_borrow` the debt, both rounded down;
    their USD values at the newest price known, rounded down too, which is of `price_block`.
    From `rate_model_block` on the rate model is sure (None: what the chain told contradicts it);
    it was last confirmed in `rates_confirmed_block`: after that, V1's may have changed unseen.
    `is_price_stale`: that is older than the question allowed; None: it allowed any age.
    """

    id: kinds.Id
    pool_id: kinds.Felt
    pool_address: kinds.Felt
    protocol: str
    pool_name: str | None
    is_listed: bool
    asset_address: kinds.Felt
    symbol: str | None
    name: str | None
    decimals: kinds.Block | None
    total_supply: kinds.Amount
    total_borrow: kinds.Amount
    total_supply_raw: kinds.Raw
    total_borrow_raw: kinds.Raw
    total_supply_usd: kinds.Usd | None
    total_borrow_usd: kinds.Usd | None
    utilization: kinds.Ratio
    supply_apy: kinds.Ratio | None
    borrow_apy: kinds.Ratio | None
    price_usd: kinds.Usd | None
    price: kinds.Raw | None
    price_is_valid: bool | None
    price_block: kinds.Block | None
    price_timestamp: datetime.datetime | None
    price_age_seconds: kinds.Block | None
    is_price_stale: bool | None
    v_token: kinds.Felt | None
    total_collateral_shares: kinds.Raw
    total_nominal_debt: kinds.Raw
    reserve: kinds.Raw
    max_utilization: kinds.Raw
    floor: kinds.Raw
    scale: kinds.Raw
    is_legacy: bool
    last_updated: datetime.datetime
    last_rate_accumulator: kinds.Raw
    last_full_utilization_rate: kinds.Raw
    fee_rate: kinds.Raw
    fee_shares: kinds.Raw
    unowned_shares: kinds.Raw
    variant: str
    min_target_utilization: kinds.Raw
    max_target_utilization: kinds.Raw
    target_utilization: kinds.Raw
    min_full_utilization_rate: kinds.Raw
    max_full_utilization_rate: kinds.Raw
    zero_utilization_rate: kinds.Raw
    rate_half_life: kinds.Raw
    target_rate_percent: kinds.Raw
    rate_model_block: kinds.Block | None
    rates_confirmed_block: kinds.Block | None
    block_number: kinds.Block
    changed_at: datetime.datetime


class Assets(point_in_time.Moment, frozen=True):
    """Assets at a moment."""

    assets: list[Asset]


async def find(
    connection: Connection,
    pool: int | None = None,
    at: point_in_time.When = None,
    max_price_age: int | None = None,
) -> Assets:
    """The assets of a pool (None: of all pools) at a moment, ordered by pool and symbol."""
    async with point_in_time.steady(connection):
        snapshot = await point_in_time.snapshot(
            connection, at, None if pool is None else [pool], max_price_age
        )
    return Assets(*snapshot.moment.parts, every(snapshot))


def every(snapshot: point_in_time.Snapshot) -> list[Asset]:
    """All assets of a snapshot."""
    assets = [msgspec.convert(_row(snapshot, key), Asset) for key in snapshot.world.assets]
    return sorted(
        assets, key=lambda asset: (asset.pool_id, asset.protocol, asset.symbol or "", asset.id)
    )


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
    return rows.scaled(valuation.usd(amount, price, scale))
