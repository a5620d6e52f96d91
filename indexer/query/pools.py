"""Pools at a moment: configuration, totals and rates of every (collateral, debt) pair."""

from __future__ import annotations

import datetime

import msgspec

from indexer.query import point_in_time

Connection = point_in_time.Connection


class Pool(msgspec.Struct, frozen=True):
    """A pair of a pool at a moment: the columns of vesu_pools, interest accrued to it.

    `total_supply`, `total_borrow`, `utilization` and the APYs are those of the debt asset's
    market; `pair_collateral` and `pair_debt` belong to the pair.
    """

    id: str
    pool_id: str
    pool_address: str
    protocol: str
    name: str | None
    collateral_asset: str | None
    debt_asset: str | None
    collateral_address: str
    debt_address: str
    max_ltv: str
    liquidation_threshold: str
    liquidation_bonus: str
    debt_cap: str | None
    total_supply: str
    total_borrow: str
    utilization: str
    supply_apy: str
    borrow_apy: str
    collateral_supply_apy: str
    pair_collateral: str
    pair_debt: str
    pair_collateral_shares: str
    pair_nominal_debt: str
    max_ltv_raw: str
    liquidation_factor_raw: str
    debt_cap_raw: str
    is_configured: bool
    is_active: bool
    is_paused: bool
    created_at: datetime.datetime
    changed_at: datetime.datetime
    changed_block: int


class Pools(point_in_time.Moment, frozen=True):
    """Pairs at a moment."""

    pools: list[Pool]


async def find(
    connection: Connection, pool: int | None = None, at: point_in_time.When = None
) -> Pools:
    """The pairs of a pool (None: of all pools) at a moment, ordered by pool and symbols."""
    async with point_in_time.steady(connection):
        snapshot = await point_in_time.snapshot(connection, at, None if pool is None else [pool])
    found = [msgspec.convert(snapshot.pair_row(key), Pool) for key in snapshot.world.pairs]
    return Pools(*snapshot.moment.parts, sorted(found, key=_by_name))


def _by_name(pool: Pool) -> tuple[str, ...]:
    symbols = (pool.collateral_asset or "", pool.debt_asset or "")
    return (pool.pool_id, pool.protocol, *symbols, pool.id)
