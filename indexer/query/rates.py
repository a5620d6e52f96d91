"""Interest rates: what they are at a moment, what they were over a time, and the model's curve."""

from __future__ import annotations

import datetime
import decimal

import msgspec

from indexer import errors
from indexer.projections import rows
from indexer.query import assets, kinds, point_in_time, states
from indexer.vesu import maths

WINDOWS = (1, 7, 30, 90, 365)
"""Days over which realised rates are told."""

YEAR_DAYS = 365
UNIT = 10**18
PRECISE = decimal.Context(prec=60, rounding=decimal.ROUND_FLOOR)
"""Digits of a power of a year; the result keeps 18 behind the point."""


class Realised(msgspec.Struct, frozen=True):
    """What was owed and earned over the last `days`, from the exact state at both ends.

    `borrow_growth` is the rate accumulator now by the one then, less 1: what one unit of debt
    grew by. `supply_growth` is the same of what one share is worth. The APYs repeat that growth for
    365 days: (1 + growth) ^ (365 / days) - 1. All are rounded down to 18 digits.
    """

    days: kinds.Block
    since: datetime.datetime
    borrow_growth: kinds.Ratio
    borrow_apy: kinds.Ratio
    supply_growth: kinds.Ratio | None
    supply_apy: kinds.Ratio | None
    rate_accumulator_then: kinds.Raw
    rate_accumulator_now: kinds.Raw


class Rates(msgspec.Struct, frozen=True):
    """An asset's rates at a moment: spot rates, and realised ones by window.

    A window that begins before the asset did is left out.
    """

    asset: assets.Asset
    realised: list[Realised]


async def of(
    connection: point_in_time.Connection, moment: point_in_time.Moment, asset: assets.Asset
) -> Rates:
    """The rates of an asset at a moment."""
    found = []
    for days in WINDOWS:
        then = await _then(connection, asset, moment.valued_at - datetime.timedelta(days=days))
        if then is not None:
            found.append(realised(days, moment, then, asset))
    return Rates(asset, found)


async def _then(
    connection: point_in_time.Connection, asset: assets.Asset, time: datetime.datetime
) -> assets.Asset | None:
    """The asset at a time; None where it was not there yet."""
    try:
        at = await point_in_time.moment(connection, time)
    except errors.NotFoundError:
        return None
    snapshot = point_in_time.Snapshot(at)
    await snapshot.load(connection, [int(asset.pool_id, 16)])
    return next((one for one in states.State(snapshot).assets if one.id == asset.id), None)


def realised(
    days: int, moment: point_in_time.Moment, then: assets.Asset, now: assets.Asset
) -> Realised:
    """What an asset's debt and shares grew by between two moments `days` apart."""
    borrow = _grown(int(then.last_rate_accumulator), int(now.last_rate_accumulator))
    supply = None
    if int(then.total_collateral_shares) and int(now.total_collateral_shares):
        supply = _grown(
            int(then.total_supply_raw) * int(now.total_collateral_shares),
            int(now.total_supply_raw) * int(then.total_collateral_shares),
        )
    return Realised(
        days,
        moment.valued_at - datetime.timedelta(days=days),
        _text(borrow),
        _text(_annual(borrow, days)),
        None if supply is None else _text(supply),
        None if supply is None else _text(_annual(supply, days)),
        then.last_rate_accumulator,
        now.last_rate_accumulator,
    )


def _grown(then: int, now: int) -> int:
    """The growth as an integer of 18 decimals, rounded down; 0 from nothing."""
    return (now - then) * UNIT // then if then else 0


def _annual(growth: int, days: int) -> int:
    one = PRECISE.add(1, PRECISE.scaleb(decimal.Decimal(growth), -18))
    power = PRECISE.power(one, PRECISE.divide(YEAR_DAYS, days))
    return int(
        PRECISE.scaleb(PRECISE.subtract(power, 1), 18).to_integral_value(decimal.ROUND_FLOOR)
    )


def _text(scaled: int) -> str:
    return rows.units(scaled, 18)


# --- the model's curve ------------------------------------------------------------------------


class CurvePoint(msgspec.Struct, frozen=True):
    """What the model asks at a utilisation, with its state as it is at the moment."""

    utilization: kinds.Ratio
    borrow_rate_per_second: kinds.Raw
    borrow_apr: kinds.Ratio


class Curve(msgspec.Struct, frozen=True):
    """An asset's interest-rate model, and points on it.

    The rate at full utilisation moves with time; the curve is that of the moment.
    """

    asset: assets.Asset
    points: list[CurvePoint]


CURVE_STEPS = 20
YEAR_SECONDS = 365 * 86_400


def curve(state: states.State, asset: assets.Asset) -> Curve:
    """The model of an asset at CURVE_STEPS + 1 even utilisations and at the one it has."""
    place = (int(asset.pool_address, 16), int(asset.pool_id, 16), int(asset.asset_address, 16))
    model = next(
        one
        for key, one in state.snapshot.world.assets.items()
        if (key.pool.address, key.pool.id, key.asset) == place
    )
    steps = {UNIT * step // CURVE_STEPS for step in range(CURVE_STEPS + 1)}
    found = []
    for used in sorted(steps | {model.utilization}):
        rate, _ = maths.interest_rate(
            model.model, used, 0, model.last_full_utilization_rate, model.variant
        )
        found.append(CurvePoint(_text(used), str(rate), _text(rate * YEAR_SECONDS)))
    return Curve(asset, found)
