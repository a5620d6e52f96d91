"""The vesu_assets table: the contract's AssetConfig, rate model and newest price."""

from __future__ import annotations

import datetime
import functools
import operator
from collections.abc import Mapping
from typing import Any

import asyncpg

from indexer.projections import rows, tables, tokens
from indexer.vesu import accrual, events, maths, state, valuation

_CHANGING = (
    "total_collateral_shares",
    "total_nominal_debt",
    "reserve",
    "last_rate_accumulator",
    "last_full_utilization_rate",
    "fee_shares",
    "unowned_shares",
)
_SETTINGS = ("max_utilization", "floor", "scale", "fee_rate")
_MODEL = events.InterestRateConfig.__struct_fields__

_numbers_of = operator.attrgetter(*_CHANGING)
settings_of = operator.attrgetter(
    *_SETTINGS, "is_legacy", "v_token", "variant", "rate_model_block", "model"
)
"""What a row of asset_settings is made of, as a tuple: equal ones are the same row."""


@functools.lru_cache(maxsize=1_024)
def identity(protocol: str, key: state.AssetKey) -> Mapping[str, Any]:
    """The columns that name the row."""
    return {
        "id": rows.asset_id(protocol, key),
        "pool_id": rows.padded(key.pool.id),
        "pool_address": rows.padded(key.pool.address),
        "protocol": protocol,
        "asset_address": rows.padded(key.asset),
    }


def columns(protocol: str, key: state.AssetKey, asset: accrual.AssetState) -> dict[str, Any]:
    """The columns that the current row and its history share."""
    return {**settings(asset), **identity(protocol, key), **_changing(asset)}


def settings(asset: accrual.AssetState) -> Mapping[str, Any]:
    """A row of asset_settings."""
    return _settings(*settings_of(asset))


@functools.lru_cache(maxsize=4_096)
def _settings(*values: Any) -> Mapping[str, Any]:
    """The row of values in the order of `settings_of`: a market keeps them for months."""
    *numbers, is_legacy, v_token, variant, rate_model_block, model = values
    named = {
        **dict(zip(_SETTINGS, map(str, numbers), strict=True)),
        **{field: str(getattr(model, field)) for field in _MODEL},
        "is_legacy": is_legacy,
        "v_token": rows.padded_or_none(v_token),
        "variant": str(variant),
        "rate_model_block": rate_model_block,
    }
    ordered = {name: named[name] for name in tables.ASSETS.settings}
    return {"id": rows.settings_id(ordered.values()), **ordered}


def _changing(asset: accrual.AssetState) -> dict[str, Any]:
    """What an event may change of an asset, but for its settings."""
    return {
        **dict(zip(_CHANGING, map(str, _numbers_of(asset)), strict=True)),
        "rates_confirmed_block": asset.rates_confirmed_block,
        "last_updated": rows.iso(asset.last_updated),
        **dict(zip(tables.PRICE, prices(asset), strict=True)),
        "changed_at": rows.iso(asset.updated_at),
    }


def prices(asset: accrual.AssetState) -> tuple[Any, ...]:
    """The columns `tables.PRICE`, numbers and times as text."""
    price = None if asset.price is None else str(asset.price)
    return price, asset.price_is_valid, asset.price_block, _time(asset.price_timestamp)


def current(
    protocol: str,
    key: state.AssetKey,
    asset: accrual.AssetState,
    token: tokens.Token,
    priced: accrual.AssetState | None = None,
    *,
    is_listed: bool,
) -> dict[str, Any]:
    """A row of vesu_assets; `priced` is the asset with the newest price known (None: its own)."""
    known = rows.decimals_of(asset.scale) if asset.scale else token.decimals
    row = columns(protocol, key, asset)
    price_columns = {f"event_{name}": row[name] for name in tables.PRICE}
    return (
        row
        | price_columns
        | dict(zip(tables.PRICE, prices(priced or asset), strict=True))
        | {
            "symbol": token.symbol,
            "name": token.name,
            "decimals": known,
            "utilization": rows.scaled(asset.utilization),
            "supply_apy": rows.scaled(valuation.supply_apy(asset)),
            "borrow_apy": rows.scaled(valuation.borrow_apy(asset)),
            "block_number": asset.block_number,
            "is_listed": is_listed,
        }
    )


VERSION = (
    "id",
    "settings_id",
    *_CHANGING,
    "rates_confirmed_block",
    "last_updated",
    *tables.PRICE,
    "changed_at",
    *tables.EVENT,
)
"""The columns of a row of asset_versions."""


def version(
    asset_id: str, settings_id: str, event_key: state.EventKey, asset: accrual.AssetState
) -> tuple[Any, ...]:
    """A row of asset_versions; `settings_id` is that of `settings` of the asset."""
    return (
        asset_id,
        settings_id,
        *_numbers_of(asset),
        asset.rates_confirmed_block,
        rows.iso(asset.last_updated),
        *prices(asset),
        rows.iso(asset.updated_at),
        *event_key,
    )


def parse(row: asyncpg.Record) -> tuple[state.AssetKey, accrual.AssetState]:
    """Key and state, from either table."""
    key = state.AssetKey(rows.pool_key(row), int(row["asset_address"], 16))
    return key, accrual.AssetState(
        **_numbers(row),
        model=events.InterestRateConfig(**{field: int(row[field]) for field in _MODEL}),
        rate_model_block=row["rate_model_block"],
        rates_confirmed_block=row["rates_confirmed_block"],
        is_legacy=row["is_legacy"],
        last_updated=int(row["last_updated"].timestamp()),
        price=None if row["price"] is None else int(row["price"]),
        price_is_valid=row["price_is_valid"],
        price_block=row["price_block"],
        price_timestamp=_seconds(row["price_timestamp"]),
        variant=maths.Variant(row["variant"]),
        v_token=None if row["v_token"] is None else int(row["v_token"], 16),
        block_number=row["block_number"],
        updated_at=int(row["changed_at"].timestamp()),
    )


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else rows.iso(seconds)


def _seconds(moment: datetime.datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _numbers(row: asyncpg.Record) -> Any:
    return {field: int(row[field]) for field in (*_CHANGING, *_SETTINGS)}


def market(asset: accrual.AssetState) -> dict[str, str | None]:
    """The market of a pair's debt asset: supply, debt and rates, in token units."""
    decimals = rows.decimals_of(asset.scale)
    return {
        "total_supply": rows.units(asset.reserve + asset.total_debt, decimals),
        "total_borrow": rows.units(asset.total_debt, decimals),
        "utilization": rows.scaled(asset.utilization),
        "supply_apy": rows.scaled(valuation.supply_apy(asset)),
        "borrow_apy": rows.scaled(valuation.borrow_apy(asset)),
    }


def bonus(liquidation_factor: int) -> int:
    """The liquidator's bonus x 10^18: 1 / factor - 1; a factor of 0 counts as one."""
    return maths.SCALE * maths.SCALE // (liquidation_factor or maths.SCALE) - maths.SCALE
