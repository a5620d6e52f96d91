"""The interest-rate model of an asset as a curve, with its state at a moment."""

from __future__ import annotations

import msgspec

from indexer.projections import rows
from indexer.query import assets, kinds, states
from indexer.vesu import accrual, maths
from indexer.vesu import state as pool_keys

UNIT = 10**18
CURVE_STEPS = 20
YEAR_SECONDS = 365 * 86_400


class CurvePoint(msgspec.Struct, frozen=True):
    """The model's rate at a utilisation, with its state at the moment."""

    utilization: kinds.Ratio
    borrow_rate_per_second: kinds.Raw
    borrow_apr: kinds.Ratio


class Curve(msgspec.Struct, frozen=True):
    """An asset's interest-rate model, and points on it.

    The rate at full utilisation moves with time; the curve is that of the moment.
    """

    asset: assets.Asset
    points: list[CurvePoint]


def borrow_apr(state: states.State, asset: assets.Asset) -> int:
    """The rate per second at the present utilisation times the seconds of 365 days, x 10^18."""
    model = _state_of(state, asset)
    return _rate(model, model.utilization) * YEAR_SECONDS


def _state_of(state: states.State, asset: assets.Asset) -> accrual.AssetState:
    pool = pool_keys.PoolKey(int(asset.pool_address, 16), int(asset.pool_id, 16))
    key = pool_keys.AssetKey(pool, int(asset.asset_address, 16))
    return state.snapshot.world.assets[key]


def _rate(model: accrual.AssetState, utilization: int) -> int:
    """The model's rate per second at a utilisation, x 10^18."""
    rate, _ = maths.interest_rate(
        model.model, utilization, 0, model.last_full_utilization_rate, model.variant
    )
    return rate


def curve(state: states.State, asset: assets.Asset) -> Curve:
    """The model of an asset at CURVE_STEPS + 1 even utilisations and at the present one."""
    model = _state_of(state, asset)
    steps = {UNIT * step // CURVE_STEPS for step in range(CURVE_STEPS + 1)}
    found = []
    for used in sorted(steps | {model.utilization}):
        rate = _rate(model, used)
        found.append(
            CurvePoint(rows.units(used, 18), str(rate), rows.units(rate * YEAR_SECONDS, 18))
        )
    return Curve(asset, found)
