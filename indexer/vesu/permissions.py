"""What may be done to a position as its pool stands, before its own limits and anybody's means."""

from __future__ import annotations

from indexer.vesu import state
from indexer.vesu.v1 import shutdown

ACTIONS = ("supply", "withdraw", "borrow", "repay", "liquidate")


def allowed_actions(
    world: state.World, key: state.PositionKey, position: state.PositionState, now: int
) -> list[str]:
    """Those of ACTIONS that the pool takes at time `now`, and that the position has a use for.

    V2 takes none while it is paused or a price of the pair is invalid. V1: as its shutdown mode
    says, none from a pool whose extension is a stranger's; no liquidation at an invalid price.
    Source: `pool.cairo` (V2), `position_hooks.cairo` (V1).
    """
    if position.migrated_block is not None:
        return []
    pool = key.pool if key.v_token else world.market(key.pool)
    pair = state.PairKey(pool, key.collateral, _debt_asset(world, key))
    taken = _of_v2(world, pair) if pool.address == pool.id else _of_v1(world, pair, position, now)
    useless = set[str]()
    if key.v_token or not pair.debt:
        useless = {"borrow", "repay", "liquidate"}
    elif not position.nominal_debt:
        useless = {"repay", "liquidate"}
    return [action for action in taken if action not in useless]


def shutdown_mode(world: state.World, key: state.PositionKey, now: int) -> str | None:
    """The shutdown mode that V1 has for a position; None where there is none."""
    pool = key.pool if key.v_token else world.market(key.pool)
    shutdown_mode = shutdown.mode(
        world, state.PairKey(pool, key.collateral, _debt_asset(world, key)), now
    )
    return None if shutdown_mode is None else shutdown_mode.name.lower()


def _debt_asset(world: state.World, key: state.PositionKey) -> int:
    if not key.v_token:
        return key.debt
    v_token = world.contracts.get(key.v_token)
    return (v_token.debt_asset or 0) if v_token else 0


def _of_v2(world: state.World, pair: state.PairKey) -> tuple[str, ...]:
    pool = world.contracts.get(pair.pool.address)
    is_open = pool is not None and not pool.is_paused and not _has_invalid_price(world, pair)
    return ACTIONS if is_open else ()


def _of_v1(
    world: state.World, pair: state.PairKey, position: state.PositionState, now: int
) -> tuple[str, ...]:
    mode = shutdown.mode(world, pair, now)
    if mode is None:
        return ()
    taken = shutdown.allowed(mode, position.nominal_debt)
    if _has_invalid_price(world, pair):
        return tuple(action for action in taken if action != "liquidate")
    return taken


def _has_invalid_price(world: state.World, pair: state.PairKey) -> bool:
    sides = (world.assets.get(state.AssetKey(pair.pool, asset)) for asset in pair[1:])
    return any(
        asset_state is not None and asset_state.price_is_valid is False for asset_state in sides
    )
