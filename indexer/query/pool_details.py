"""One pool with its sums, assets and pairs at a moment."""

from __future__ import annotations

import msgspec

from indexer.query import assets, kinds, pools, states, totals
from indexer.vesu import refusals


class Details(msgspec.Struct, frozen=True):
    """A pool at a moment. A V1 pool that moved to V1.1 is shown with both contracts' rows.

    The sums are of the generation in use; `unpriced` names assets that hold something but have
    no price, so are in no sum. `shutdown_mode` is the furthest of the pairs'.
    """

    pool_id: kinds.Felt
    pool_address: kinds.Felt
    protocol: str
    name: str | None
    is_listed: bool
    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    unpriced: list[str]
    shutdown_mode: str | None
    assets: list[assets.Asset]
    pairs: list[pools.Pool]


def of(state: states.State, pool_id: str) -> Details | None:
    """The pool with an id; None where the state knows none."""
    members = [asset for asset in state.assets if asset.pool_id == pool_id]
    pairs = [pool for pool in state.pools if pool.pool_id == pool_id]
    if not members:
        return None
    counted = totals.newest(members)
    last = counted[-1]
    supply, borrow, unpriced = totals.sums(counted)
    return Details(
        pool_id,
        last.pool_address,
        last.protocol,
        last.pool_name,
        last.is_listed,
        supply,
        borrow,
        unpriced,
        _furthest([pool.shutdown_mode for pool in pairs]),
        members,
        pairs,
    )


def _furthest(modes: list[str | None]) -> str | None:
    known = [refusals.ShutdownMode[mode.upper()] for mode in modes if mode is not None]
    return max(known).name.lower() if known else None
