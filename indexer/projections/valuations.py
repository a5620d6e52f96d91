"""Values positions at one block: the valuation columns of vesu_positions.

Each is a function of the state at the end of `valued_at_block` and of that block's time, so a
stored row can be checked against the contract's own views at that block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from indexer.projections import rows, tables
from indexer.vesu import accrual, maths, state, valuation

EDGE_HEALTH = 13 * maths.SCALE // 10
"""Below a health of 1.3 a position is valued at every block."""

RATIO_SCALE = 10**9
"""The scale of shares to debt in idx_vesu_positions_shares_to_debt."""

EVERY_RATIO = 10**77
"""A bound above every ratio."""

_REFERENCE = 10**30
_MARGIN = 1_002
"""In thousandths: rounding to raw units shifts a ratio by less where shares and debt are above
the index's threshold and the token has six decimals or more."""
_EXACT_SCALE = 10**6

COLUMNS = tables.POSITIONS.valuation
"""The valuation columns of vesu_positions, in the order of `Valuer.values`."""

UNVALUED = (*[None] * 10, False, rows.iso(0), -1, None, None, 0)
"""The values of an active position that was not valued yet: as of before every block."""


EMPTIED = valuation.Valuation(0, 0, 0, 0)
"""The worth of a position that is not active any more."""


class Block(NamedTuple):
    """The block at whose state positions are valued, and its time in seconds since 1970."""

    number: int
    timestamp: int


class Markets(NamedTuple):
    """The assets and the limit that a position is valued with; no debt asset for a vToken."""

    collateral: accrual.AssetState
    debt: accrual.AssetState | None
    max_ltv: int


Samples = Mapping[state.AssetKey, accrual.Sample]

NO_SAMPLES: Samples = {}

_BLANK = accrual.AssetState()


def value_at(
    key: state.PositionKey, position: state.PositionState, world: state.World, now: int
) -> valuation.Valuation:
    """Value a position at time `now` with the prices in `world`."""
    return Valuer(world, Block(0, now)).worth(key, position)


class Valuer:
    """Values positions in a world at a block; the interest of each market is accrued once.

    `sampling` is the newest sampling whose prices the world knows, or `samples` beside it: these
    are laid over the assets that are looked at, since a block looks at few of them.
    """

    def __init__(
        self, world: state.World, block: Block, sampling: int = 0, samples: Samples = NO_SAMPLES
    ) -> None:
        self._world = world
        self._block = block
        self._sampling = sampling
        self._samples = samples
        self._markets: dict[tuple[object, ...], Markets] = {}
        self._accrued_markets: dict[tuple[object, ...], Markets] = {}
        self._assets: dict[state.AssetKey, accrual.AssetState] = {}
        self._accrued_assets: dict[state.AssetKey, accrual.AssetState] = {}

    def worth(self, key: state.PositionKey, position: state.PositionState) -> valuation.Valuation:
        """What holdings are worth; unvalued, with the reason, where the contract reverts."""
        try:
            return valuation.value(position, *self._accrued(key), self._block.timestamp)
        except maths.RevertedError as error:
            return valuation.unvalued(error)

    def columns(self, key: state.PositionKey, position: state.PositionState) -> dict[str, Any]:
        """The valuation columns of a row by their names."""
        return dict(zip(COLUMNS, self.values(key, position), strict=True))

    def values(self, key: state.PositionKey, position: state.PositionState) -> tuple[Any, ...]:
        """The values of `COLUMNS`. An emptied position is valued at its last event."""
        if position.status == "active":
            worth, block = self.worth(key, position), self._block
        else:
            worth = EMPTIED
            block = Block(position.last_event_block, position.last_updated)
        collateral, debt, _ = self._standing(key)
        collateral_decimals = rows.decimals_of(collateral.scale)
        debt_decimals = rows.decimals_of(debt.scale) if debt else 0
        return (
            rows.text_or_none(worth.collateral),
            rows.text_or_none(worth.debt),
            rows.units_or_none(worth.collateral, collateral_decimals),
            rows.units_or_none(worth.debt, debt_decimals),
            rows.scaled(worth.collateral_usd),
            rows.scaled(worth.debt_usd),
            rows.scaled(worth.ltv),
            rows.scaled(worth.health_factor),
            rows.scaled(worth.liquidation_price),
            worth.unvalued_reason,
            _rests_on_invalid_price(position, collateral, debt),
            rows.iso(block.timestamp),
            block.number,
            *_oldest_price(position, collateral, debt),
            self._sampling,
        )

    def edge(self, pair: state.PairKey, health: int = EDGE_HEALTH) -> int | None:
        """Shares to debt, x 10^9, below which a position of the pair may have a lower health.

        `health` is x 10^18. It is one factor times shares over debt, but for rounding, which the
        margin covers.
        None: no position of the pair has a health, since a price is not known.
        """
        key = state.PositionKey(pair.pool, pair.collateral, pair.debt, 0, 0)
        collateral, debt, _ = self._standing(key)
        reference = state.PositionState(
            kind="borrow", collateral_shares=_REFERENCE, nominal_debt=_REFERENCE
        )
        worth = self.worth(key, reference)
        if worth.unvalued_reason is not None:
            return EVERY_RATIO  # what is smaller than the reference may have a health
        factor = worth.health_factor
        if factor is None:
            return None
        if not factor or debt is None or min(collateral.scale, debt.scale) < _EXACT_SCALE:
            return EVERY_RATIO
        return health * RATIO_SCALE * _MARGIN // (factor * 1_000) + 1

    def _standing(self, key: state.PositionKey) -> Markets:
        """The markets of a position, as they stand; those of one pair and vToken are the same."""
        market = key[:4]
        found = self._markets.get(market)
        if found is None:
            found = self._markets[market] = self._of(key, self._asset)
        return found

    def _accrued(self, key: state.PositionKey) -> Markets:
        """The same, with the interest up to the block."""
        market = key[:4]
        found = self._accrued_markets.get(market)
        if found is None:
            found = self._accrued_markets[market] = self._of(key, self._accrued_asset)
        return found

    def _of(
        self, key: state.PositionKey, asset: Callable[[state.AssetKey], accrual.AssetState]
    ) -> Markets:
        """The markets that a position is valued with.

        What V1.1 took over and nobody touched yet is valued with V1.1's markets and limits.
        """
        pool = self._world.market(key.pool)
        collateral = asset(state.AssetKey(pool, key.collateral))
        if key.v_token:
            return Markets(collateral, None, 0)
        pair = self._world.pairs.get(state.PairKey(pool, key.collateral, key.debt))
        debt = asset(state.AssetKey(pool, key.debt))
        return Markets(collateral, debt, pair.max_ltv if pair else 0)

    def _asset(self, key: state.AssetKey) -> accrual.AssetState:
        """An asset as it stands, with what samples know of it."""
        found = self._assets.get(key)
        if found is None:
            found = self._world.assets.get(key, _BLANK)
            sample = self._samples.get(key)
            if sample is not None and found is not _BLANK:
                found = accrual.with_sample(found, sample)
            self._assets[key] = found
        return found

    def _accrued_asset(self, key: state.AssetKey) -> accrual.AssetState:
        """The same, with the interest up to the block; several pairs have one asset."""
        found = self._accrued_assets.get(key)
        if found is None:
            found = accrual.accrue(self._asset(key), self._block.timestamp)
            self._accrued_assets[key] = found
        return found


class Unvalued(Valuer):
    """Values emptied positions alone: a shadow's others are valued once they are to go live."""

    def values(self, key: state.PositionKey, position: state.PositionState) -> tuple[Any, ...]:
        """The values of `COLUMNS`; of an active position they say nothing."""
        return super().values(key, position) if position.status != "active" else UNVALUED


def _rests_on_invalid_price(
    position: state.PositionState, collateral: accrual.AssetState, debt: accrual.AssetState | None
) -> bool:
    """Whether the oracle called the price of something invalid that the position holds or owes."""
    holds = position.collateral_shares or position.vtoken_balance
    return bool(
        (holds and collateral.price_is_valid is False)
        or (position.nominal_debt and debt is not None and debt.price_is_valid is False)
    )


def _oldest_price(
    position: state.PositionState, collateral: accrual.AssetState, debt: accrual.AssetState | None
) -> tuple[int | None, str | None]:
    """Block and time of the older of the prices that the values rest on; None: on no price."""
    if position.status != "active":
        return None, None
    known = [
        (asset.price_block, asset.price_timestamp)
        for asset, is_used in (
            (collateral, position.collateral_shares or position.vtoken_balance),
            (debt, position.nominal_debt),
        )
        if is_used
        and asset is not None
        and asset.price_block is not None
        and asset.price_timestamp is not None
    ]
    if not known:
        return None, None
    block, timestamp = min(known)
    return block, rows.iso(timestamp)
