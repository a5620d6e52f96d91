"""The vesu_pools table: one row per pool and (collateral, debt) pair."""

from __future__ import annotations

import decimal
from typing import Any

import asyncpg

from indexer.projections import assets, rows, tables, tokens
from indexer.vesu import accrual, maths, state, valuation


def fixed(protocol: str, key: state.PairKey, pair: state.PairState) -> dict[str, Any]:
    """The columns that never change."""
    return {
        "pool_id": rows.padded(key.pool.id),
        "pool_address": rows.padded(key.pool.address),
        "protocol": protocol,
        "collateral_address": rows.padded(key.collateral),
        "debt_address": rows.padded(key.debt),
        "created_at": rows.iso(pair.created_at),
    }


def current(
    protocol: str,
    key: state.PairKey,
    world: state.World,
    named: dict[int, tokens.Token],
    *,
    is_listed: bool,
    unknown_class: str | None,
) -> dict[str, Any]:
    """A row of vesu_pools: valued at the last change of the pair or of one of its markets."""
    pair = world.pairs[key]
    pool = world.pools.get(key.pool) or world.contracts.get(key.pool.address)
    collateral = world.assets.get(state.AssetKey(key.pool, key.collateral), accrual.AssetState())
    debt = world.assets.get(state.AssetKey(key.pool, key.debt), accrual.AssetState())
    synced_at = max(pair.updated_at, collateral.updated_at, debt.updated_at)
    is_paused = pool is not None and pool.is_paused
    return (
        fixed(protocol, key, pair)
        | _limits(pair)
        | assets.market(debt)
        | _totals(pair, collateral, debt, synced_at)
        | {
            "id": rows.pair_id(protocol, key),
            "max_ltv_raw": str(pair.max_ltv),
            "liquidation_factor_raw": str(pair.liquidation_factor),
            "debt_cap_raw": str(pair.debt_cap),
            "pair_collateral_shares": str(pair.total_collateral_shares),
            "pair_nominal_debt": str(pair.total_nominal_debt),
            "is_configured": pair.is_configured,
            "shutdown_ltv_raw": rows.text_or_none(pair.shutdown_ltv),
            "changed_at": rows.iso(pair.updated_at),
            "debt_cap": _debt_cap(pair, debt),
            "name": pool.name if pool else None,
            "collateral_asset": named.get(key.collateral, tokens.UNKNOWN).symbol,
            "debt_asset": named.get(key.debt, tokens.UNKNOWN).symbol,
            "collateral_supply_apy": rows.scaled(valuation.supply_apy(collateral)),
            "quarantine_reason": pool.quarantine_reason if pool else None,
            "is_active": pair.is_configured and not is_paused,
            "is_paused": is_paused,
            "is_listed": is_listed,
            "unknown_class": unknown_class,
            "last_synced_at": rows.iso(synced_at),
            "last_synced_block": max(pair.block_number, collateral.block_number, debt.block_number),
            "changed_block": pair.block_number,
        }
    )


def _limits(pair: state.PairState) -> dict[str, Any]:
    """What the view vesu_pool_history computes of a version, too."""
    return {
        "max_ltv": rows.scaled(pair.max_ltv),
        # Vesu has one limit: what may be borrowed is also where liquidation begins.
        "liquidation_threshold": rows.scaled(pair.max_ltv),
        "liquidation_bonus": rows.scaled(assets.bonus(pair.liquidation_factor)),
    }


def _totals(
    pair: state.PairState, collateral: accrual.AssetState, debt: accrual.AssetState, now: int
) -> dict[str, Any]:
    """The pair's totals in people's units, accrued to `now`; NULL where nobody can tell."""
    total: int | None = None
    owed: int | None = None
    reason = None
    if accrual.lacks_rates(collateral) or accrual.lacks_rates(debt):
        reason = valuation.UNKNOWN_EXTENSION
    else:
        try:
            total = accrual.collateral_of(
                pair.total_collateral_shares, accrual.accrue(collateral, now)
            )
            owed = accrual.debt_of(pair.total_nominal_debt, accrual.accrue(debt, now))
        except maths.RevertedError as error:
            total = owed = None
            reason = str(error)
    return {
        "pair_collateral": rows.units_or_none(total, rows.decimals_of(collateral.scale)),
        "pair_debt": rows.units_or_none(owed, rows.decimals_of(debt.scale)),
        "unvalued_reason": reason,
    }


VERSION = (
    "id",
    "max_ltv_raw",
    "liquidation_factor_raw",
    "debt_cap_raw",
    "pair_collateral_shares",
    "pair_nominal_debt",
    "is_configured",
    "shutdown_ltv_raw",
    "changed_at",
    "debt_cap",
    *tables.EVENT,
)
"""The columns of a row of pool_versions."""


def version(
    protocol: str,
    event_key: state.EventKey,
    key: state.PairKey,
    pair: state.PairState,
    world: state.World,
) -> tuple[Any, ...]:
    """A row of pool_versions; the debt cap in the units of the debt asset in `world`."""
    debt = world.assets.get(state.AssetKey(key.pool, key.debt), accrual.AssetState())
    return (
        rows.pair_id(protocol, key),
        pair.max_ltv,
        pair.liquidation_factor,
        pair.debt_cap,
        pair.total_collateral_shares,
        pair.total_nominal_debt,
        pair.is_configured,
        pair.shutdown_ltv,
        rows.iso(pair.updated_at),
        _debt_cap(pair, debt),
        *event_key,
    )


def _debt_cap(pair: state.PairState, debt: accrual.AssetState) -> str | None:
    """In units of the debt asset; None: there is none."""
    return rows.units(pair.debt_cap, rows.decimals_of(debt.scale)) if pair.debt_cap else None


def parse(row: asyncpg.Record) -> tuple[state.PairKey, state.PairState]:
    """Key and state, from either table."""
    key = state.PairKey(
        rows.pool_key(row),
        int(row["collateral_address"], 16),
        int(row["debt_address"], 16),
    )
    return key, state.PairState(
        max_ltv=int(row["max_ltv_raw"]),
        liquidation_factor=int(row["liquidation_factor_raw"]),
        debt_cap=int(row["debt_cap_raw"]),
        total_collateral_shares=int(row["pair_collateral_shares"]),
        total_nominal_debt=int(row["pair_nominal_debt"]),
        is_configured=row["is_configured"],
        shutdown_ltv=_limit(row["shutdown_ltv_raw"]),
        block_number=row["block_number"],
        created_at=int(row["created_at"].timestamp()),
        updated_at=int(row["changed_at"].timestamp()),
    )


def _limit(value: decimal.Decimal | None) -> int | None:
    return None if value is None else int(value)
