"""The vesu_positions table: positions in the contract and vToken holdings, valued."""

from __future__ import annotations

from typing import Any

import asyncpg

from indexer.projections import rows, tables, tokens, valuations
from indexer.vesu import state


def fixed(protocol: str, key: state.PositionKey, position: state.PositionState) -> dict[str, Any]:
    """The columns that never change."""
    return {
        "pool_id": rows.padded(key.pool.id),
        "pool_address": rows.padded(key.pool.address),
        "protocol": protocol,
        "user_id": rows.padded(key.user),
        "kind": position.kind,
        "collateral_address": rows.padded(key.collateral),
        # 0x0 is what V1 takes for supply without a debt asset; a vToken holding has none.
        "debt_address": None if key.v_token else rows.padded(key.debt),
        "v_token": rows.padded_or_none(key.v_token),
        "created_at": rows.iso(position.created_at),
    }


def current(
    protocol: str,
    key: state.PositionKey,
    position: state.PositionState,
    world: state.World,
    named: dict[int, tokens.Token],
    valuer: valuations.Valuer,
    *,
    is_listed: bool,
) -> dict[str, Any]:
    """A row of vesu_positions, valued by `valuer`."""
    own_pair = state.PairKey(key.pool, key.collateral, key.debt)
    has_pair = not key.v_token and own_pair in world.pairs
    return {
        **fixed(protocol, key, position),
        "id": rows.position_id(protocol, key),
        "collateral_shares": str(position.collateral_shares),
        "nominal_debt": str(position.nominal_debt),
        "vtoken_balance_raw": str(position.vtoken_balance),
        "status": position.status,
        "migrated_block": position.migrated_block,
        **valuer.columns(key, position),
        "pool_pair_id": rows.pair_id(protocol, own_pair) if has_pair else None,
        "collateral_asset": named.get(key.collateral, tokens.UNKNOWN).symbol,
        "debt_asset": None if key.v_token else named.get(key.debt, tokens.UNKNOWN).symbol,
        "is_listed": is_listed,
        "vtoken_balance": rows.units(position.vtoken_balance, 18),
        "last_updated": rows.iso(position.last_updated),
        "last_event_block": position.last_event_block,
    }


VERSION = (
    "id",
    "collateral_shares",
    "nominal_debt",
    "vtoken_balance_raw",
    "status",
    "migrated_block",
    "changed_at",
    *tables.EVENT,
)
"""The columns of a row of position_versions."""


def version(
    protocol: str, event_key: state.EventKey, key: state.PositionKey, position: state.PositionState
) -> tuple[Any, ...]:
    """A row of position_versions."""
    return (
        rows.position_id(protocol, key),
        position.collateral_shares,
        position.nominal_debt,
        position.vtoken_balance,
        position.status,
        position.migrated_block,
        rows.iso(position.last_updated),
        *event_key,
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
