"""The vesu_positions table: positions in the contract and vToken holdings, valued."""

from __future__ import annotations

from typing import Any

import asyncpg

from indexer.projections import rows, tokens
from indexer.vesu import accrual, state, valuation


def columns(protocol: str, key: state.PositionKey, position: state.PositionState) -> dict[str, Any]:
    """The columns that the current row and its history share."""
    return {
        "id": rows.position_id(protocol, key),
        "pool_id": rows.padded(key.pool.id),
        "pool_address": rows.padded(key.pool.address),
        "protocol": protocol,
        "user_id": rows.padded(key.user),
        "kind": position.kind,
        "collateral_address": rows.padded(key.collateral),
        # 0x0 is what V1 takes for supply without a debt asset; a vToken holding has none.
        "debt_address": None if key.v_token else rows.padded(key.debt),
        "v_token": rows.padded_or_none(key.v_token),
        "collateral_shares": str(position.collateral_shares),
        "nominal_debt": str(position.nominal_debt),
        "vtoken_balance_raw": str(position.vtoken_balance),
        "status": position.status,
        "migrated_block": position.migrated_block,
        "created_at": rows.iso(position.created_at),
    }


def current(
    protocol: str,
    key: state.PositionKey,
    position: state.PositionState,
    world: state.World,
    named: dict[int, tokens.Token],
) -> dict[str, Any]:
    """A row of vesu_positions.

    What V1.1 took over and nobody touched yet is valued with V1.1's markets and limits.
    Valued at the last event of the position or of one of its markets, whichever is later: a
    function of state alone, the same in every replay.
    """
    market = world.market(key.pool)
    collateral = world.assets.get(state.AssetKey(market, key.collateral), accrual.AssetState())
    debt = world.assets.get(state.AssetKey(market, key.debt), accrual.AssetState())
    is_pair = not key.v_token
    touched = [collateral, debt] if is_pair else [collateral]
    valued_at = max(position.last_updated, *(asset.updated_at for asset in touched))
    pair_key = state.PairKey(market, key.collateral, key.debt)
    pair = world.pairs.get(pair_key) if is_pair else None
    own_pair = state.PairKey(key.pool, key.collateral, key.debt)
    worth = valuation.value(
        position,
        accrual.accrue(collateral, valued_at),
        accrual.accrue(debt, valued_at) if is_pair else None,
        pair.max_ltv if pair else 0,
    )
    blocks = (position.last_event_block, *(asset.block_number for asset in touched))
    return (
        columns(protocol, key, position)
        | _worth(worth, rows.decimals_of(collateral.scale), rows.decimals_of(debt.scale))
        | {
            "pool_pair_id": rows.pair_id(protocol, own_pair)
            if is_pair and own_pair in world.pairs
            else None,
            "collateral_asset": named.get(key.collateral, tokens.Token()).symbol,
            "debt_asset": named.get(key.debt, tokens.Token()).symbol if is_pair else None,
            "vtoken_balance": rows.units(position.vtoken_balance, 18),
            "valued_at": rows.iso(valued_at),
            "valued_at_block": max(blocks),
            "last_updated": rows.iso(position.last_updated),
            "last_event_block": position.last_event_block,
        }
    )


def _worth(
    worth: valuation.Valuation, collateral_decimals: int, debt_decimals: int
) -> dict[str, Any]:
    return {
        "collateral_raw": str(worth.collateral),
        "debt_raw": str(worth.debt),
        "collateral_amount": rows.units(worth.collateral, collateral_decimals),
        "debt_amount": rows.units(worth.debt, debt_decimals),
        "collateral_value_usd": rows.scaled(worth.collateral_usd),
        "debt_value_usd": rows.scaled(worth.debt_usd),
        "ltv": rows.scaled(worth.ltv),
        "health_factor": rows.scaled(worth.health_factor),
        "liquidation_price": rows.scaled(worth.liquidation_price),
    }


def history(
    protocol: str, at: state.EventKey, key: state.PositionKey, position: state.PositionState
) -> dict[str, Any]:
    """A row of vesu_position_history."""
    return (
        columns(protocol, key, position)
        | {"changed_at": rows.iso(position.last_updated)}
        | rows.event_place(at)
    )


def parse(row: asyncpg.Record) -> tuple[state.PositionKey, state.PositionState]:
    """Key and state, from either table."""
    key = state.PositionKey(
        rows.pool_key(row),
        int(row["collateral_address"], 16),
        int(row["debt_address"] or "0x0", 16),
        int(row["v_token"] or "0x0", 16),
        int(row["user_id"], 16),
    )
    return key, state.PositionState(
        kind=row["kind"],
        collateral_shares=int(row["collateral_shares"]),
        nominal_debt=int(row["nominal_debt"]),
        vtoken_balance=int(row["vtoken_balance_raw"]),
        status=row["status"],
        migrated_block=row["migrated_block"],
        created_at=int(row["created_at"].timestamp()),
        last_updated=int(row["changed_at"].timestamp()),
        last_event_block=row["block_number"],
    )
