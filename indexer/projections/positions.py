"""The vesu_positions table: positions in the contract and vToken holdings, valued."""

from __future__ import annotations

from typing import Any

import asyncpg

from indexer.cairo import felt252
from indexer.projections import rows, tables, tokens, valuations
from indexer.vesu import state


def fixed(
    protocol: str, key: state.PositionKey, position: state.PositionState
) -> tuple[str | None, ...]:
    """The values of the columns that never change: `tables.POSITIONS.fixed`."""
    return (
        rows.padded(key.pool.id),
        rows.padded(key.pool.address),
        protocol,
        rows.padded(key.user),
        position.kind,
        rows.padded(key.collateral),
        # 0x0 is what V1 takes for supply without a debt asset; a vToken holding has none.
        None if key.v_token else rows.padded(key.debt),
        rows.padded_or_none(key.v_token),
        rows.iso(position.created_at),
    )


def values(
    protocol: str,
    key: state.PositionKey,
    position: state.PositionState,
    world: state.World,
    named: dict[int, tokens.Token],
    valuer: valuations.Valuer,
    *,
    is_listed: bool,
) -> tuple[Any, ...]:
    """A row of vesu_positions in the order of `COLUMNS`, valued by `valuer`."""
    own_pair = state.PairKey(key.pool, key.collateral, key.debt)
    has_pair = not key.v_token and own_pair in world.pairs
    return (
        *fixed(protocol, key, position),
        rows.position_id(protocol, key),
        str(position.collateral_shares),
        str(position.nominal_debt),
        str(position.vtoken_balance),
        position.status,
        position.migrated_block,
        rows.pair_id(protocol, own_pair) if has_pair else None,
        named.get(key.collateral, tokens.UNKNOWN).symbol,
        None if key.v_token else named.get(key.debt, tokens.UNKNOWN).symbol,
        is_listed,
        rows.units(position.vtoken_balance, 18),
        rows.iso(position.last_updated),
        position.last_event_block,
        *valuer.values(key, position),
    )


COLUMNS = (
    *tables.POSITIONS.fixed,
    "id",
    "collateral_shares",
    "nominal_debt",
    "vtoken_balance_raw",
    "status",
    "migrated_block",
    "pool_pair_id",
    "collateral_asset",
    "debt_asset",
    "is_listed",
    "vtoken_balance",
    "last_updated",
    "last_event_block",
    *valuations.COLUMNS,
)
"""The columns of a row of vesu_positions."""


def by_column(row: tuple[Any, ...]) -> dict[str, Any]:
    """The values of `COLUMNS` by their names."""
    return dict(zip(COLUMNS, row, strict=True))


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
        # Many rows share few assets.
        felt252.integer(row["collateral_address"]),
        felt252.integer(row["debt_address"] or "0x0"),
        felt252.integer(row["v_token"] or "0x0"),
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
