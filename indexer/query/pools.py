"""Pools at a moment: configuration, totals and rates of every (collateral, debt) pair."""

from __future__ import annotations

import datetime

import msgspec

from indexer.query import kinds, point_in_time

Connection = point_in_time.Connection


class Pool(msgspec.Struct, frozen=True):
    """A pair of a pool at a moment: the columns of vesu_pools, interest accrued to it.

    `total_supply`, `total_borrow`, `utilization` and the APYs are those of the debt asset's
    market; `pair_collateral` and `pair_debt` belong to the pair. `shutdown_mode` is V1's at that
    time: none, recovery, subscription or redemption; null where there is no such thing.
    """

    id: kinds.Id
    pool_id: kinds.Felt
    pool_address: kinds.Felt
    protocol: str
    name: str | None
    collateral_asset: str | None
    debt_asset: str | None
    collateral_address: kinds.Felt
    debt_address: kinds.Felt
    max_ltv: kinds.Ratio
    liquidation_threshold: kinds.Ratio
    liquidation_bonus: kinds.Ratio
    debt_cap: kinds.Amount | None
    total_supply: kinds.Amount
    total_borrow: kinds.Amount
    utilization: kinds.Ratio
    supply_apy: kinds.Ratio | None
    borrow_apy: kinds.Ratio | None
    collateral_supply_apy: kinds.Ratio | None
    pair_collateral: kinds.Amount | None
    pair_debt: kinds.Amount | None
    pair_collateral_shares: kinds.Raw
    pair_nominal_debt: kinds.Raw
    max_ltv_raw: kinds.Raw
    liquidation_factor_raw: kinds.Raw
    debt_cap_raw: kinds.Raw
    is_configured: bool
    is_active: bool
    is_paused: bool
    shutdown_mode: str | None
    is_listed: bool
    unknown_class: kinds.Felt | None
    created_at: datetime.datetime
    changed_at: datetime.datetime
    changed_block: kinds.Block


class Pools(point_in_time.Moment, frozen=True):
    """Pairs at a moment."""

    pools: list[Pool]


async def find(
    connection: Connection,
    pool: int | None = None,
    at: point_in_time.When = None,
    listed: bool | None = None,
) -> Pools:
    """The pairs of a pool (None: of all pools) at a moment, ordered by pool and symbols.

    `listed` True: of listed pools alone, False: of the others, None: of both.
    """
    async with point_in_time.steady(connection):
        snapshot = await point_in_time.snapshot(connection, at, None if pool is None else [pool])
    pools = [pool for pool in every(snapshot) if listed is None or pool.is_listed == listed]
    return Pools(*snapshot.moment.parts, pools)


def every(snapshot: point_in_time.Snapshot) -> list[Pool]:
    """All pairs of a snapshot, ordered by pool and symbols."""
    pools = [msgspec.convert(snapshot.pair_row(key), Pool) for key in snapshot.world.pairs]
    return sorted(pools, key=_by_name)


def _by_name(pool: Pool) -> tuple[str, ...]:
    symbols = (pool.collateral_asset or "", pool.debt_asset or "")
    return (pool.pool_id, pool.protocol, *symbols, pool.id)
