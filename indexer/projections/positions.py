"""The vesu_positions table: positions in the contract and vToken holdings, valued."""

from __future__ import annotations

from typing import Any, NamedTuple

import asyncpg

from indexer.projections import rows, tokens
from indexer.vesu import accrual, maths, state, valuation


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


class Markets(NamedTuple):
    """The assets and the limit that say what a position is worth; no debt asset for a vToken."""

    collateral: accrual.AssetState
    debt: accrual.AssetState | None
    max_ltv: int


def markets(key: state.PositionKey, world: state.World) -> Markets:
    """The markets that a position is valued with, as they stand in `world`.

    What V1.1 took over and nobody touched yet is valued with V1.1's markets and limits.
    """
    pool = world.market(key.pool)
    blank = accrual.AssetState()
    collateral = world.assets.get(state.AssetKey(pool, key.collateral), blank)
    if key.v_token:
        return Markets(collateral, None, 0)
    pair = world.pairs.get(state.PairKey(pool, key.collateral, key.debt))
    debt = world.assets.get(state.AssetKey(pool, key.debt), blank)
    return Markets(collateral, debt, pair.max_ltv if pair else 0)


def value_at(
    key: state.PositionKey, position: state.PositionState, world: state.World, now: int
) -> valuation.Valuation:
    """What a position is worth at time `now`, with the prices that `world` knows."""
    collateral, debt, max_ltv = markets(key, world)
    try:
        return valuation.value(
            position,
            accrual.accrue(collateral, now),
            accrual.accrue(debt, now) if debt is not None else None,
            max_ltv,
        )
    except maths.RevertedError as error:
        return valuation.unvalued(error)


def current(
    protocol: str,
    key: state.PositionKey,
    position: state.PositionState,
    world: state.World,
    named: dict[int, tokens.Token],
) -> dict[str, Any]:
    """A row of vesu_positions.

    Valued at the last event of the position or of one of its markets, whichever is later, and an
    emptied one at its own last event: a function of state alone, the same in every replay.
    """
    collateral, debt, _ = markets(key, world)
    touched = [collateral] if debt is None else [collateral, debt]
    if position.status != "active":
        # Emptied: no later revaluation takes it up, so its row must not depend on the batch.
        touched = []
    valued_at = max([position.last_updated, *(asset.updated_at for asset in touched)])
    own_pair = state.PairKey(key.pool, key.collateral, key.debt)
    has_pair = debt is not None and own_pair in world.pairs
    blocks = [position.last_event_block, *(asset.block_number for asset in touched)]
    return (
        columns(protocol, key, position)
        | _worth(
            value_at(key, position, world, valued_at),
            rows.decimals_of(collateral.scale),
            rows.decimals_of(debt.scale) if debt is not None else 0,
        )
        | {
            "pool_pair_id": rows.pair_id(protocol, own_pair) if has_pair else None,
            "collateral_asset": named.get(key.collateral, tokens.Token()).symbol,
            "debt_asset": named.get(key.debt, tokens.Token()).symbol if debt is not None else None,
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
        "collateral_raw": rows.text_or_none(worth.collateral),
        "debt_raw": rows.text_or_none(worth.debt),
        "collateral_amount": rows.units_or_none(worth.collateral, collateral_decimals),
        "debt_amount": rows.units_or_none(worth.debt, debt_decimals),
        "collateral_value_usd": rows.scaled(worth.collateral_usd),
        "debt_value_usd": rows.scaled(worth.debt_usd),
        "ltv": rows.scaled(worth.ltv),
        "health_factor": rows.scaled(worth.health_factor),
        "liquidation_price": rows.scaled(worth.liquidation_price),
        "unvalued_reason": worth.unvalued_reason,
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
