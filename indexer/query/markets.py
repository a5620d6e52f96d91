"""The state that a question about one position starts from: `vesu.market.Market` at a moment."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.projections import rows
from indexer.query import point_in_time, positions, unknown_state
from indexer.vesu import accrual, market, maths, refusals, simulation, state
from indexer.vesu.v1 import shutdown

Connection = point_in_time.Connection

MAX_AHEAD = 10 * 365 * 86_400
"""How far ahead in seconds interest is computed: ten years."""

PriceChanges = Mapping[int, decimal.Decimal]
"""By asset: the relative change of its price, -0.2 for a fifth less."""


class PositionRef(msgspec.Struct, frozen=True):
    """A position, whether it exists or not: pool id (V2: the pool's address), pair and user.

    `v_token` and debt 0 for a vToken holding; debt 0 alone for V1's supply without a loan.
    """

    pool: int
    collateral: int
    debt: int
    user: int
    v_token: int = 0

    @classmethod
    def of(cls, position: positions.Position) -> PositionRef:
        """The reference of a position that was found."""
        return cls(
            int(position.pool_id, 16),
            int(position.collateral_address, 16),
            int(position.debt_address or "0x0", 16),
            int(position.user_id, 16),
            int(position.v_token or "0x0", 16),
        )

    def check(self) -> None:
        """QuestionError for a pair of one asset."""
        if self.collateral == self.debt:
            raise errors.QuestionError(
                "collateral and debt are the same asset, which no pool allows", parameter="debt"
            )


class Conditions(msgspec.Struct, frozen=True):
    """What differs from the recorded state: seconds of time, prices, V1's shutdown mode.

    Without a shutdown mode it is the one that the pool has at that time.
    """

    ahead_seconds: int = 0
    price_changes: PriceChanges = {}
    shutdown_mode: refusals.ShutdownMode | None = None

    def check(self) -> None:
        """QuestionError where time runs backwards or too far, or a price falls below 0."""
        if not 0 <= self.ahead_seconds <= MAX_AHEAD:
            raise errors.QuestionError(
                f"{self.ahead_seconds} seconds ahead: between 0 and {MAX_AHEAD} are possible",
                parameter="ahead",
            )
        for asset, change in self.price_changes.items():
            if not -1 <= change <= 10**6:
                raise errors.QuestionError(
                    f"the price of {felt252.padded(asset)} changes by {change}: between -1 and "
                    "1000000 is possible",
                    parameter="price_change",
                )


AS_RECORDED = Conditions()
"""The recorded state, without changes."""


class Price(msgspec.Struct, frozen=True):
    """The newest price known of an asset, told or sampled, and the one that the answer rests on.

    `block_number` and `timestamp` are of its block; `age_seconds` at the moment of the answer.
    `is_stale`: it is older then than the question allowed; None: any age was allowed, or no
    price is known.
    """

    asset_address: str
    asset: str | None
    told: str | None
    is_valid: bool | None
    block_number: int | None
    timestamp: datetime.datetime | None
    age_seconds: int | None
    is_stale: bool | None
    used: str | None


class PositionMarket(NamedTuple):
    """A position and its market: `now` at the moment, `begun` under the conditions."""

    moment: point_in_time.Moment
    key: state.PositionKey
    now: market.Market
    begun: market.Market
    prices: tuple[Price, ...]

    @property
    def collateral_decimals(self) -> int:
        """Decimals of the collateral asset."""
        return rows.decimals_of(self.now.collateral.scale)

    @property
    def debt_decimals(self) -> int:
        """Decimals of the debt asset; 0 without one."""
        return rows.decimals_of(self.now.debt.scale)


def raw(amount: decimal.Decimal, scale: int) -> int:
    """Raw units of an amount in token units; QuestionError where the token has no such part."""
    exact = point_in_time.EXACT.multiply(amount, decimal.Decimal(scale))
    if exact != exact.to_integral_value(context=point_in_time.EXACT):
        raise errors.QuestionError(
            f"{amount} has more decimals than the token, which has {rows.decimals_of(scale)}",
            parameter="amount",
        )
    return int(exact)


async def find(
    connection: Connection,
    position_ref: PositionRef,
    at: point_in_time.When = None,
    conditions: Conditions = AS_RECORDED,
    max_price_age: int | None = None,
) -> PositionMarket:
    """The market of a position at a moment. NotFoundError where pool or assets are unknown.

    Prices older than `max_price_age` seconds say so; None: they may have any age.
    """
    position_ref.check()
    conditions.check()
    async with point_in_time.steady(connection):
        now, stored = await positions.held_at(
            connection,
            positions.PositionFilter(pool=position_ref.pool, user=position_ref.user),
            at,
            max_price_age,
        )
        if not now.world.assets:
            now = await point_in_time.snapshot(connection, at, {position_ref.pool}, max_price_age)
        later = now
        if conditions.ahead_seconds:
            later = point_in_time.Snapshot(ahead(now.moment, conditions.ahead_seconds))
            await later.load(connection, {position_ref.pool})
        check_known(now, conditions.price_changes)
        key, position = _position(position_ref, now.world, stored)
        before = market_of(now, key, position)
        begun = market_of(later, key, position)
        prices = _prices(now, key, conditions.price_changes)
    return PositionMarket(
        now.moment,
        key,
        in_mode(before, conditions),
        in_mode(at_changed_prices(begun, key, conditions.price_changes), conditions),
        prices,
    )


def check_known(snapshot: point_in_time.Snapshot, changes: PriceChanges) -> None:
    """NotFoundError for the price of an asset that no pool of the snapshot has."""
    known = {key.asset for key in snapshot.world.assets}
    for asset in changes:
        if known and asset not in known:
            raise errors.NotFoundError(
                f"no pool that was asked about has the asset {felt252.padded(asset)}, so its price "
                "changes nothing",
                parameter="price_change",
            )


def in_mode(market_state: market.Market, conditions: Conditions) -> market.Market:
    """The market in the requested shutdown mode; in its own mode if none is requested."""
    if conditions.shutdown_mode is None:
        return market_state
    return msgspec.structs.replace(market_state, mode=conditions.shutdown_mode)


def ahead(moment: point_in_time.Moment, seconds: int) -> point_in_time.Moment:
    later = moment.valued_at + datetime.timedelta(seconds=seconds)
    return msgspec.structs.replace(moment, valued_at=later)


def _position(
    position_ref: PositionRef, world: state.World, stored: positions.Stored
) -> tuple[state.PositionKey, state.PositionState]:
    """The stored position, or an empty one in the pool that is in use."""
    named = [
        (key, position)
        for _, key, position in stored
        if (key.collateral, key.debt, key.v_token)
        == (
            position_ref.collateral,
            0 if position_ref.v_token else position_ref.debt,
            position_ref.v_token,
        )
        and position.migrated_block is None
    ]
    if named:
        return max(
            named, key=lambda market: (market[1].status == "active", market[1].last_event_block)
        )
    pools = {world.market(key.pool) for key in world.assets if key.pool.id == position_ref.pool}
    known = [
        pool for pool in pools if state.AssetKey(pool, position_ref.collateral) in world.assets
    ]
    if not known:
        raise errors.NotFoundError(
            f"pool {felt252.padded(position_ref.pool)} has no asset "
            f"{felt252.padded(position_ref.collateral)} at that block"
        )
    debt = 0 if position_ref.v_token else position_ref.debt
    key = state.PositionKey(
        known[0], position_ref.collateral, debt, position_ref.v_token, position_ref.user
    )
    return key, state.PositionState("earn" if position_ref.v_token else "borrow")


def market_of(
    snapshot: point_in_time.Snapshot, key: state.PositionKey, position: state.PositionState
) -> market.Market:
    """The market that an action on a position meets, accrued as the snapshot is.

    A V1.0 position that V1.1 took over acts in V1.1's markets. A vToken holding acts in the
    position of the vToken: in V2 with the debt asset that the vToken names, in V1 with none. A
    V1.0 vToken stays with V1.0, which takes no action on a pool that has moved. UnknownStateError
    where nobody can tell what an action does.
    """
    world, now = snapshot.world, snapshot.moment.now
    pool = key.pool if key.v_token else world.market(key.pool)
    contract = world.contracts.get(pool.address)
    v_token = world.contracts.get(key.v_token) if key.v_token else None
    debt_asset = (v_token.debt_asset or 0) if v_token else key.debt
    if pool.address == pool.id and not (debt_asset or key.v_token):
        raise errors.QuestionError(
            "every position of Vesu V2 has a debt asset: give one", parameter="debt"
        )
    unknown_state.require_known(world, now, pool, key.collateral, debt_asset)
    named = state.PairKey(pool, key.collateral, debt_asset)
    pair = world.pairs.get(named, state.PairState())
    return market.Market(
        _asset(world, pool, key.collateral, now),
        _asset(world, pool, debt_asset, now) if debt_asset else market.NO_ASSET,
        pair,
        position.collateral_shares + position.vtoken_balance,
        position.nominal_debt,
        is_paused=bool(contract and contract.is_paused),
        mode=shutdown.base_mode(world, named, now),
        shutdown_ltv=pair.shutdown_ltv,
    )


def _asset(world: state.World, pool: state.PoolKey, asset: int, now: int) -> accrual.AssetState:
    asset_state = world.assets.get(state.AssetKey(pool, asset))
    if asset_state is None:
        raise errors.NotFoundError(
            f"pool {felt252.padded(pool.id)} has no asset {felt252.padded(asset)} at that block"
        )
    try:
        return accrual.accrue(
            asset_state, now
        )  # changes nothing, unless the snapshot could not do it
    except maths.RevertedError as error:
        raise errors.QuestionError(
            f"every call on asset {felt252.padded(asset)} of pool {felt252.padded(pool.id)} "
            f"reverts: {error}",
            parameter="pool",
        ) from error


def at_changed_prices(
    market_state: market.Market, key: state.PositionKey, changes: PriceChanges
) -> market.Market:
    """The market with its prices changed by the asset's relative change."""
    new = {}
    for side, asset in (("collateral", key.collateral), ("debt", key.debt)):
        price = getattr(market_state, side).price
        if asset in changes and price is not None:
            new[side] = simulation.shocked(price, _scaled(changes[asset]))
    return simulation.at_price(market_state, **new)


def _scaled(change: decimal.Decimal) -> int:
    return int(change.scaleb(18, point_in_time.EXACT))


def _prices(
    snapshot: point_in_time.Snapshot,
    key: state.PositionKey,
    changes: PriceChanges,
) -> tuple[Price, ...]:
    pool = snapshot.world.market(key.pool)
    keys = [state.AssetKey(pool, asset) for asset in (key.collateral, key.debt) if asset]
    return tuple(price_of(snapshot, asset_key, snapshot.moment, changes) for asset_key in keys)


def price_of(
    snapshot: point_in_time.Snapshot,
    key: state.AssetKey,
    moment: point_in_time.Moment,
    changes: PriceChanges,
) -> Price:
    """The newest known price of an asset, its age at a moment, and the price after a change."""
    asset = snapshot.world.assets[key]
    priced_at = point_in_time.time_of(asset.price_timestamp)
    used = asset.price
    if used is not None and key.asset in changes:
        used = simulation.shocked(used, _scaled(changes[key.asset]))
    return Price(
        felt252.padded(key.asset),
        snapshot.asset_row(key)["symbol"],
        rows.scaled(asset.price),
        asset.price_is_valid,
        asset.price_block,
        priced_at,
        point_in_time.price_age(moment, asset.price_timestamp),
        point_in_time.is_stale(moment, priced_at, snapshot.max_price_age),
        rows.scaled(used),
    )
