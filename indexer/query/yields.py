"""Realised APYs of markets over 1 to 365 days, from the accumulators at both ends."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.projections import rows
from indexer.query import point_in_time
from indexer.vesu import accrual, maths, state, valuation, yields

Connection = point_in_time.Connection

WINDOWS = (1, 7, 30, 90, 365)
"""Days back from the moment."""

MAX_DAYS = 3_650
Reason = Literal["not_there_yet", "nothing_supplied", "migrated"]


class Realised(msgspec.Struct, frozen=True):
    """What one unit became in `days` days, and the same compounded to a year.

    `supply_growth` of a share: interest less fees, and donations, less bad debt; `borrow_growth` of
    a debt. None for a reason, which `reason` names: the market did not exist yet
    (`not_there_yet`); no share was worth anything (`nothing_supplied`); V1.1 took the pool over
    meanwhile, so that its shares' worth goes on there (`migrated`; of the supply side alone).
    """

    days: int
    since: datetime.datetime
    supply_growth: str | None
    supply_apy: str | None
    borrow_growth: str | None
    borrow_apy: str | None
    reason: Reason | None


class Yield(msgspec.Struct, frozen=True):
    """An asset's APYs: at the moment's rate (spot), and realised over each window."""

    pool_id: str
    pool_address: str
    asset_address: str
    asset: str | None
    supply_apy: str | None
    borrow_apy: str | None
    utilization: str
    realised: list[Realised]


class Yields(point_in_time.Moment, frozen=True):
    """Yields at a moment."""

    yields: list[Yield]


async def find(
    connection: Connection,
    pool: int | None = None,
    at: point_in_time.When = None,
    windows: Sequence[int] = WINDOWS,
) -> Yields:
    """The yields of a pool's assets (None: of all pools') at a moment.

    QuestionError for a window that is not between 1 and 3650 days.
    """
    if not all(1 <= days <= MAX_DAYS for days in windows):
        raise errors.QuestionError(
            f"windows are {list(windows)} days: between 1 and {MAX_DAYS} are possible",
            parameter="windows",
        )
    pools = None if pool is None else {pool}
    async with point_in_time.steady(connection):
        now = await point_in_time.snapshot(connection, at, pools)
        past = {
            days: await _before(connection, now.moment, days, pools)
            for days in sorted(set(windows))
        }
    yields = [_yield(now, key, asset, past) for key, asset in sorted(now.world.assets.items())]
    return Yields(*now.moment.parts, yields)


async def _before(
    connection: Connection,
    moment: point_in_time.Moment,
    days: int,
    pools: set[int] | None,
) -> state.World:
    """The state a number of days earlier; an empty one before the first stored block."""
    then = moment.valued_at - datetime.timedelta(days=days)
    try:
        return (await point_in_time.snapshot(connection, then, pools)).world
    except errors.NotFoundError:
        return state.World()


def _yield(
    now: point_in_time.Snapshot,
    key: state.AssetKey,
    asset: accrual.AssetState,
    past: dict[int, state.World],
) -> Yield:
    is_taken_over = now.world.market(key.pool) != key.pool
    return Yield(
        felt252.padded(key.pool.id),
        felt252.padded(key.pool.address),
        felt252.padded(key.asset),
        now.asset_row(key)["symbol"],
        rows.scaled(valuation.supply_apy(asset)),
        rows.scaled(valuation.borrow_apy(asset)),
        rows.units(asset.utilization, 18),
        [
            _realised(
                *(days, now.moment.valued_at, world.assets.get(key), asset),
                is_migrated=is_taken_over and world.market(key.pool) == key.pool,
            )
            for days, world in past.items()
        ],
    )


def _realised(
    days: int,
    until: datetime.datetime,
    before: accrual.AssetState | None,
    after: accrual.AssetState,
    *,
    is_migrated: bool,
) -> Realised:
    since = until - datetime.timedelta(days=days)
    if before is None or not before.last_updated:
        return Realised(days, since, None, None, None, None, "not_there_yet")
    # What V1.1 took over left V1.0's books: its shares there have lost nothing.
    supplied = None if is_migrated else yields.share_growth(before, after)
    lent = yields.debt_growth(before, after)
    reason: Reason | None = None
    if supplied is None:
        reason = "migrated" if is_migrated else "nothing_supplied"
    return Realised(
        *(days, since, _growth(supplied), _apy(supplied, days)),
        *(_growth(lent), _apy(lent, days), reason),
    )


def _growth(growth: Fraction | None) -> str | None:
    """A growth rounded down to 10^-18."""
    return None if growth is None else rows.units(int(growth * maths.SCALE), 18)


def _apy(growth: Fraction | None, days: int) -> str | None:
    return None if growth is None else rows.units(yields.yearly(growth, days * 86_400), 18)
