"""The positions that a change of a pool's configuration made liquidatable."""

from __future__ import annotations

import decimal
from collections.abc import Sequence

import msgspec

from indexer.query import (
    configuration,
    database_state,
    filters,
    kinds,
    point_in_time,
    position_pages,
    states,
)


class Endangered(msgspec.Struct, frozen=True):
    """Positions with a health below 1 after the change and not before it, at that block's state."""

    positions: kinds.Block
    debt_usd: kinds.Usd
    collateral_usd: kinds.Usd


class Change(configuration.Change, frozen=True):
    """A change, and what it endangered; None: a setting that decides on no liquidation, or raises
    the limit. Only `max_ltv_raw` decides on them."""

    endangered: Endangered | None


async def of(
    connection: point_in_time.Connection,
    kept: states.States,
    standing: database_state.DatabaseState,
    pool_id: str,
    changes: Sequence[configuration.Change],
) -> list[Change]:
    """The changes of a pool, each with the positions that it made liquidatable."""
    found = []
    for change in changes:
        endangered = None
        if change.setting == "max_ltv_raw" and int(change.after) < int(change.before or 0):
            moment = await point_in_time.moment(connection, change.block_number)
            state = await kept.of_moment(connection, moment, standing)
            endangered = await _endangered(connection, state, pool_id, change)
        found.append(Change(**msgspec.structs.asdict(change), endangered=endangered))
    return found


async def _endangered(
    connection: point_in_time.Connection,
    state: states.State,
    pool_id: str,
    change: configuration.Change,
) -> Endangered:
    """Health is proportional to the limit: what it was with the one before follows from now's."""
    pair = (
        filters.Condition("pool_id", "=", (pool_id,)),
        filters.Condition("collateral_address", "=", (change.collateral_address,)),
        filters.Condition("debt_address", "=", (change.debt_address,)),
        filters.Condition("nominal_debt", ">=", (1,)),
    )
    below = await position_pages.below(connection, state, decimal.Decimal(1), pair)
    before, after = int(change.before), int(change.after)
    lost = [
        position
        for position in position_pages.valued(state, below)
        if position.health is not None
        and position.health < 1
        and (
            after == 0
            or point_in_time.EXACT.multiply(position.health, decimal.Decimal(before)) >= after
        )
    ]
    return Endangered(
        len(lost),
        point_in_time.total(position.debt_value_usd for position in lost),
        point_in_time.total(position.collateral_value_usd for position in lost),
    )
