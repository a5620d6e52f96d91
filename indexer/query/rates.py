"""The interest-rate model of an asset as a curve, with its state as it is at a moment."""

from __future__ import annotations

import msgspec

from indexer.projections import rows
from indexer.query import assets, kinds, states
from indexer.vesu import maths

UNIT = 10**18
CURVE_STEPS = 20
YEAR_SECONDS = 365 * 86_400


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
        found.append(
            CurvePoint(rows.units(used, 18), str(rate), rows.units(rate * YEAR_SECONDS, 18))
        )
    return Curve(asset, found)
