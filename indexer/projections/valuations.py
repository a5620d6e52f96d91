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


Price = tuple[int, int]
"""Block and Unix time in seconds of an oracle's answer."""


class Standing(NamedTuple):
    """The assets of a position as its pool's last events left them, and what a row says of them;
    no debt asset for a vToken. A price is None where none was told yet."""

    collateral: accrual.AssetState
    debt: accrual.AssetState | None
    collateral_decimals: int
    debt_decimals: int
    collateral_price: Price | None
    debt_price: Price | None


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
        self._standing_markets: dict[tuple[object, ...], Standing] = {}
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
        standing = self._standing(key)
        return (
            rows.text_or_none(worth.collateral),
            rows.text_or_none(worth.debt),
            rows.units_or_none(worth.collateral, standing.collateral_decimals),
            rows.units_or_none(worth.debt, standing.debt_decimals),
            rows.scaled(worth.collateral_usd),
            rows.scaled(worth.debt_usd),
            rows.scaled(worth.ltv),
            rows.scaled(worth.health_factor),
            rows.scaled(worth.liquidation_price),
            worth.unvalued_reason,
            _rests_on_invalid_price(position, standing),
            rows.iso(block.timestamp),
            block.number,
            *_oldest_price(position, standing),
            self._sampling,
        )

    def edge(self, pair: state.PairKey, health: int = EDGE_HEALTH) -> int | None:
        """Shares to debt, x 10^9, below which a position of the pair may have a lower health.

        `health` is x 10^18. It is one factor times shares over debt, but for rounding, which the
        margin covers.
        None: no position of the pair has a health, since a price is not known.
        """
        key = state.PositionKey(pair.pool, pair.collateral, pair.debt, 0, 0)
        standing = self._standing(key)
        collateral, debt = standing.collateral, standing.debt
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

    def _standing(self, key: state.PositionKey) -> Standing:
        """The markets of a position, as they stand; those of one pair and vToken are the same."""
        market = key[:4]
        found = self._standing_markets.get(market)
        if found is None:
            collateral, debt, _ = self._of(key, self._asset)
            found = self._standing_markets[market] = Standing(
                collateral,
                debt,
                rows.decimals_of(collateral.scale),
                rows.decimals_of(debt.scale) if debt else 0,
                _price(collateral),
                _price(debt) if debt else None,
            )
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


def _price(asset: accrual.AssetState) -> Price | None:
    if asset.price_block is None or asset.price_timestamp is None:
        return None
    return asset.price_block, asset.price_timestamp


def _rests_on_invalid_price(position: state.PositionState, standing: Standing) -> bool:
    """Whether the oracle called the price of something invalid that the position holds or owes."""
    debt = standing.debt
    if standing.collateral.price_is_valid is False and _holds(position):
        return True
    return debt is not None and debt.price_is_valid is False and position.nominal_debt > 0


def _holds(position: state.PositionState) -> bool:
    return bool(position.collateral_shares or position.vtoken_balance)


def _oldest_price(
    position: state.PositionState, standing: Standing
) -> tuple[int | None, str | None]:
    """Block and time of the older of the prices that the values rest on; None: on no price."""
    if position.status != "active":
        return None, None
    oldest = standing.collateral_price if _holds(position) else None
    owed = standing.debt_price
    if owed is not None and position.nominal_debt and (oldest is None or owed < oldest):
        oldest = owed
    return (None, None) if oldest is None else (oldest[0], rows.iso(oldest[1]))
