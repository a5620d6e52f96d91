"""Pools whose actions cannot be computed: frozen ones, and those with unknown rates.

Their rows say so; simulations and quotes refuse, because each of their numbers rests on interest.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.query import point_in_time
from indexer.vesu import accrual, maths, state, valuation

_RATES_OF_V1 = frozenset({maths.Variant.V1_0, maths.Variant.V1_1B, maths.Variant.V1_1C})

CONTRADICTED = (
    "what its last accrual told fits no rate model that is known: interest cannot be computed"
)


class UnknownPool(msgspec.Struct, frozen=True):
    """A pool whose positions are not judged, and why."""

    pool_id: str
    pool_name: str | None
    reason: str


def reason(world: state.World, now: int, pool: state.PoolKey, *assets: int) -> str | None:
    """Why an action in these markets of a pool cannot be computed; None if it can.

    At the very time of a market's last event no interest is missing, whatever its rates are.
    """
    is_v2 = pool.address == pool.id
    contract = world.contracts.get(pool.address) if is_v2 else world.pools.get(pool)
    if contract is not None and contract.quarantine_reason is not None:
        return f"it is frozen, because it contradicted itself: {contract.quarantine_reason}"
    for asset in assets:
        market = world.assets.get(state.AssetKey(pool, asset))
        if market is not None and (found := _of_rates(market, now)) is not None:
            return found
    return None


def _of_rates(market: accrual.AssetState, now: int) -> str | None:
    if market.variant not in _RATES_OF_V1:
        return None
    if market.model == accrual.NO_MODEL:
        return None if market.last_updated == now else valuation.UNKNOWN_EXTENSION
    return CONTRADICTED if market.rate_model_block is None else None


def require_known(world: state.World, now: int, pool: state.PoolKey, *assets: int) -> None:
    """UnknownStateError where an action in these markets cannot be computed."""
    found = reason(world, now, pool, *assets)
    if found is not None:
        raise errors.UnknownStateError(
            f"nobody can tell what an action in pool {felt252.padded(pool.id)} does: {found}",
            parameter="pool",
        )


def pools(snapshot: point_in_time.Snapshot) -> Iterator[tuple[state.PoolKey, UnknownPool]]:
    """The pools of a snapshot whose actions cannot be computed, by their keys."""
    world = snapshot.world
    markets: dict[state.PoolKey, list[int]] = {}
    for key in world.assets:
        markets.setdefault(key.pool, []).append(key.asset)
    for pool in sorted(markets):
        found = reason(world, snapshot.moment.now, pool, *markets[pool])
        if found is not None:
            yield pool, UnknownPool(felt252.padded(pool.id), snapshot.pool_name(pool), found)
