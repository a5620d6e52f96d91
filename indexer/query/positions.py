"""Positions at a moment: one, those of a pool or user, those in a range of health."""

from __future__ import annotations

import datetime
import decimal

import msgspec

from indexer.projections import positions as position_rows
from indexer.projections import rows
from indexer.query import kinds, point_in_time
from indexer.store import sqlfile
from indexer.vesu import state

_SQL = sqlfile.load(__package__, "point_in_time")

Connection = point_in_time.Connection
Stored = list[tuple[str, state.PositionKey, state.PositionState]]
"""Exact positions, each with its protocol's generation."""


class Position(msgspec.Struct, frozen=True):
    """A position as it was at a moment: the columns of vesu_positions, worth what it was then.

    `price_block`, `price_timestamp` and `price_age_seconds` are of the older of the prices that
    its values rest on; None: they rest on none. `is_price_stale`: that is older than the question
    allowed; None: it allowed any age.

    How numbers are written: see `point_in_time`. `allowed_actions`: what its pool takes of
    supply, withdraw, borrow, repay and liquidate as it stands, whatever the position's own limits
    say; `shutdown_mode` is V1's, which may be the reason; null where there is no such thing.
    """

    id: kinds.Id
    pool_id: kinds.Felt
    pool_address: kinds.Felt
    protocol: str
    pool_name: str | None
    is_listed: bool
    user_id: kinds.Felt
    kind: str
    status: str
    collateral_asset: str | None
    debt_asset: str | None
    collateral_address: kinds.Felt
    debt_address: kinds.Felt | None
    v_token: kinds.Felt | None
    collateral_shares: kinds.Raw
    nominal_debt: kinds.Raw
    vtoken_balance_raw: kinds.Raw
    vtoken_balance: kinds.Amount
    collateral_raw: kinds.Raw | None
    debt_raw: kinds.Raw | None
    collateral_amount: kinds.Amount | None
    debt_amount: kinds.Amount | None
    collateral_value_usd: kinds.Usd | None
    debt_value_usd: kinds.Usd | None
    ltv: kinds.Ratio | None
    health_factor: kinds.Ratio | None
    liquidation_price: kinds.Usd | None
    shutdown_mode: str | None
    allowed_actions: list[str]
    has_invalid_price: bool
    price_block: kinds.Block | None
    price_timestamp: datetime.datetime | None
    price_age_seconds: kinds.Block | None
    is_price_stale: bool | None
    migrated_block: kinds.Block | None
    last_updated: datetime.datetime
    last_event_block: kinds.Block
    created_at: datetime.datetime

    @property
    def health(self) -> decimal.Decimal | None:
        """The health factor; None without debt or without a known price."""
        return None if self.health_factor is None else decimal.Decimal(self.health_factor)


class Positions(point_in_time.Moment, frozen=True):
    """Positions at a moment."""

    positions: list[Position]


class PositionAt(point_in_time.Moment, frozen=True):
    """One position at a moment."""

    position: Position


class PositionFilter(msgspec.Struct, frozen=True):
    """A filter of positions; fields that are None do not restrict it.

    `pool` is a pool id (V2: the pool's address), `status` is that of the moment. Health from
    `min_health` on and below `max_health`; without debt there is none. `listed`: of listed pools
    (True), of the others (False).
    """

    pool: int | None = None
    user: int | None = None
    status: str | None = None
    min_health: decimal.Decimal | None = None
    max_health: decimal.Decimal | None = None
    listed: bool | None = None

    def has_health(self, position: Position) -> bool:
        """Whether the position's health is in the range."""
        if self.min_health is None and self.max_health is None:
            return True
        health = position.health
        return (
            health is not None
            and (self.min_health is None or health >= self.min_health)
            and (self.max_health is None or health < self.max_health)
        )


EVERY = PositionFilter()


async def find(
    connection: Connection,
    position_filter: PositionFilter = EVERY,
    at: point_in_time.When = None,
    max_price_age: int | None = None,
) -> Positions:
    """The filtered positions at a moment, the lowest health first, those without one last.

    Rows on prices older than `max_price_age` seconds say so.
    """
    async with point_in_time.steady(connection):
        snapshot, stored = await held_at(connection, position_filter, at, max_price_age)
    positions = [
        position for position in valued(snapshot, stored) if position_filter.has_health(position)
    ]
    return Positions(*snapshot.moment.parts, sorted(positions, key=_by_health))


async def one(
    connection: Connection,
    pool: int,
    collateral: int,
    debt: int,
    user: int,
    v_token: int = 0,
    at: point_in_time.When = None,
    max_price_age: int | None = None,
) -> PositionAt | None:
    """One position at a moment; a vToken holding where `v_token` is given, with `debt` 0.

    None where it did not exist yet. Of a position that V1.0 handed on to V1.1, the one that
    holds it at the moment.
    """
    async with point_in_time.steady(connection):
        snapshot, stored = await held_at(
            connection, PositionFilter(pool=pool, user=user), at, max_price_age
        )
    named = [
        (protocol, key, position)
        for protocol, key, position in stored
        if (key.collateral, key.debt, key.v_token) == (collateral, debt, v_token)
    ]
    named.sort(key=lambda found: (found[2].status == "active", found[0]))
    return PositionAt(*snapshot.moment.parts, *valued(snapshot, named[-1:])) if named else None


async def held_at(
    connection: Connection,
    position_filter: PositionFilter,
    at: point_in_time.When,
    max_price_age: int | None = None,
) -> tuple[point_in_time.Snapshot, Stored]:
    """Exact positions at a moment, whatever their health, and the state they stand in."""
    moment = await point_in_time.moment(connection, at)
    found = await connection.fetch(
        _SQL["positions"],
        moment.block_number,
        None if position_filter.pool is None else rows.padded(position_filter.pool),
        None if position_filter.user is None else rows.padded(position_filter.user),
        position_filter.status,
        position_filter.listed,
    )
    snapshot = point_in_time.Snapshot(moment, max_price_age)
    pools = {int(row["pool_id"], 16) for row in found}
    await snapshot.load(connection, pools)
    return snapshot, [(row["protocol"], *position_rows.parse(row)) for row in found]


def valued(snapshot: point_in_time.Snapshot, stored: Stored) -> list[Position]:
    """The positions valued in the state and with the prices of a snapshot."""
    return [msgspec.convert(snapshot.position_row(*position), Position) for position in stored]


def _by_health(position: Position) -> tuple[bool, decimal.Decimal, str, str]:
    health = position.health
    return health is None, health or decimal.Decimal(0), position.pool_id, position.id
