"""Time series: the exact state at the ends of hours, days, weeks or months, or by block.

Each point is the state at that very time, with interest accrued to it, from the histories: a point
of yesterday's series is the same as the answer to the question at that time.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterable
from typing import Literal

import asyncpg
import msgspec

from indexer import errors
from indexer.query import assets as query_assets
from indexer.query import (
    kinds,
    point_in_time,
    pool_details,
    portfolio,
    position_pages,
    states,
    totals,
)
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "series")

Connection = point_in_time.Connection
Interval = Literal["block", "hour", "day", "week", "month"]
INTERVALS: tuple[Interval, ...] = ("block", "hour", "day", "week", "month")
MAX_POINTS = 200
DEFAULT_POINTS = 30


class Span(msgspec.Struct, frozen=True):
    """Which points: at most `limit`, beginning after `start` (None: the last ones up to the end).

    `end` is the moment's time unless given.
    """

    interval: Interval = "day"
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    limit: int = DEFAULT_POINTS


class Point(msgspec.Struct, frozen=True):
    """A time, and the block whose state holds then."""

    time: datetime.datetime
    block_number: kinds.Block
    block_hash: kinds.Felt


class PositionPoint(Point, frozen=True):
    """A position at a point."""

    position: position_pages.Position


class AssetPoint(Point, frozen=True):
    """An asset at a point."""

    asset: query_assets.Asset


class SumsPoint(Point, frozen=True):
    """Sums at a point, and how old the oldest price was then that they rest on.

    `is_price_stale`: that is older than the question allowed; None: it allowed any age.
    """

    price_age_seconds: kinds.Block | None
    is_price_stale: bool | None


class PoolPoint(SumsPoint, frozen=True):
    """A pool's sums at a point."""

    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    unpriced: list[str]


class UserPoint(SumsPoint, frozen=True):
    """The sums of a user's positions at a point: see `portfolio.Portfolio`.

    `positions` counts those in listed pools; `unlisted` are the sums of the others.
    """

    collateral_usd: kinds.Usd
    earn_usd: kinds.Usd
    debt_usd: kinds.Usd
    net_usd: kinds.Usd
    unpriced: kinds.Block
    lowest_health: kinds.Ratio | None
    positions: kinds.Block
    unlisted: portfolio.Sums


class ProtocolPoint(SumsPoint, frozen=True):
    """The sums over the listed pools at a point, and over the others."""

    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    unpriced: list[str]
    unlisted: totals.Sums


class Source(msgspec.Struct, frozen=True):
    """What a series is of: a pool, a row of it where one is meant, and what tells its changes.

    Of a user there is no pool, and `row_id` is the wallet.
    """

    pool_id: str
    row_id: str | None
    changes: Literal[
        "changes_of_position", "changes_of_asset", "changes_of_pool", "changes_of_user"
    ]


def floor(time: datetime.datetime, interval: Interval) -> datetime.datetime:
    """The end of the last whole interval up to a time, in UTC; weeks begin on Monday."""
    hour = time.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    if interval == "hour":
        return hour
    if interval == "day":
        return day
    if interval == "week":
        return day - datetime.timedelta(days=day.weekday())
    return day.replace(day=1)


def following(time: datetime.datetime, interval: Interval) -> datetime.datetime:
    """The next boundary after a boundary."""
    if interval == "month":
        return floor(time + datetime.timedelta(days=32), "month")
    days = {"hour": 0, "day": 1, "week": 7}[interval]
    return time + datetime.timedelta(days=days, hours=0 if days else 1)


def preceding(time: datetime.datetime, interval: Interval) -> datetime.datetime:
    """The boundary before a boundary."""
    return floor(time - datetime.timedelta(seconds=1), interval)


def boundaries(span: Span, end: datetime.datetime) -> list[datetime.datetime]:
    """The boundaries of a span, oldest first."""
    last = floor(end, span.interval)
    if span.start is None:
        found = [last]
        while len(found) < span.limit and found[-1].year > 2020:
            found.append(preceding(found[-1], span.interval))
        return found[::-1]
    time = floor(span.start, span.interval)
    found = []
    while len(found) < span.limit and time <= last:
        if time > span.start:
            found.append(time)
        time = following(time, span.interval)
    return found


async def points(
    connection: Connection, moment: point_in_time.Moment, source: Source | None, span: Span
) -> list[point_in_time.Moment]:
    """The moments of a span; `source` says whose changes `interval` block means."""
    end = min(span.end or moment.valued_at, moment.valued_at)
    if span.interval == "block":
        if source is None:
            raise errors.QuestionError(
                "interval: block is for one position, asset or pool", parameter="interval"
            )
        start = span.start or datetime.datetime.fromtimestamp(0, datetime.UTC)
        rows = await connection.fetch(
            _SQL[source.changes],
            *(source.pool_id, source.row_id, moment.block_number, start, span.limit),
        )
    else:
        times = boundaries(span, end)
        rows = await connection.fetch(_SQL["blocks_at"], times, moment.block_number)
    return [_moment(row) for row in rows if row["time"] <= end]


def _moment(row: asyncpg.Record) -> point_in_time.Moment:
    return point_in_time.Moment(row["number"], row["hash"], row["timestamp"], row["time"])


async def states_of(
    connection: Connection, moments: list[point_in_time.Moment], pool_id: str | None
) -> AsyncIterator[states.State]:
    """The state of a pool (None: of all) at each moment, one after the other."""
    for moment in moments:
        snapshot = point_in_time.Snapshot(moment)
        await snapshot.load(connection, None if pool_id is None else [int(pool_id, 16)])
        yield states.State(snapshot)


async def of_position(
    connection: Connection, moment: point_in_time.Moment, position_id: str, span: Span
) -> list[PositionPoint] | None:
    """A position's history; None where no position has the id."""
    pool_id = await connection.fetchval(_SQL["pool_of_position"], position_id)
    if pool_id is None:
        return None
    source = Source(pool_id, position_id, "changes_of_position")
    moments = await points(connection, moment, source, span)
    found = []
    async for state in states_of(connection, moments, pool_id):
        position = await position_pages.find_one(connection, state, position_id)
        if position is not None:
            found.append(PositionPoint(*_moment_of(state), position))
    return found


async def of_asset(
    connection: Connection,
    moment: point_in_time.Moment,
    asset: query_assets.Asset,
    span: Span,
) -> list[AssetPoint]:
    """An asset's history."""
    source = Source(asset.pool_id, asset.id, "changes_of_asset")
    moments = await points(connection, moment, source, span)
    found = []
    async for state in states_of(connection, moments, asset.pool_id):
        found += [
            AssetPoint(*_moment_of(state), market_asset)
            for market_asset in state.assets
            if market_asset.id == asset.id
        ]
    return found


async def of_pool(
    connection: Connection, moment: point_in_time.Moment, pool_id: str, span: Span
) -> list[PoolPoint]:
    """A pool's history in sums."""
    source = Source(pool_id, None, "changes_of_pool")
    moments = await points(connection, moment, source, span)
    found = []
    async for state in states_of(connection, moments, pool_id):
        details = pool_details.of(state, pool_id)
        if details is not None:
            sums = (details.supply_usd, details.borrow_usd, details.unpriced)
            found.append(PoolPoint(*_moment_of(state), _age(details.assets), None, *sums))
    return found


async def of_user(
    connection: Connection, moment: point_in_time.Moment, user_id: str, span: Span
) -> list[UserPoint]:
    """A user's sums over all pools; `interval` block: a point at each change of the user."""
    source = Source("", user_id, "changes_of_user")
    moments = await points(connection, moment, source, span)
    found = []
    async for state in states_of(connection, moments, None):
        positions = await position_pages.of_user(connection, state, user_id)
        summed = portfolio.summed(state.moment, user_id, list(positions))
        pool_ids = {position.pool_id for position in positions}
        found.append(
            UserPoint(
                *_moment_of(state),
                _age(asset for asset in state.assets if asset.pool_id in pool_ids),
                None,
                collateral_usd=summed.collateral_usd,
                earn_usd=summed.earn_usd,
                debt_usd=summed.debt_usd,
                net_usd=summed.net_usd,
                unpriced=summed.unpriced,
                lowest_health=summed.lowest_health,
                positions=sum(position.is_listed for position in positions),
                unlisted=summed.unlisted,
            )
        )
    return found


async def of_protocol(
    connection: Connection, moment: point_in_time.Moment, span: Span
) -> list[ProtocolPoint]:
    """The whole protocol's history in sums."""
    moments = await points(connection, moment, None, span)
    found = []
    async for state in states_of(connection, moments, None):
        counted = totals.newest(state.assets)
        sums = totals.listed(counted)
        age = _age(asset for asset in counted if asset.is_listed)
        found.append(ProtocolPoint(*_moment_of(state), age, None, *sums, totals.unlisted(counted)))
    return found


def _moment_of(state: states.State) -> tuple[datetime.datetime, int, str]:
    moment = state.moment
    return moment.valued_at, moment.block_number, moment.block_hash


def _age(assets: Iterable[query_assets.Asset]) -> int | None:
    """The age of the oldest price of the assets; None without one."""
    ages = (asset.price_age_seconds for asset in assets)
    return max((age for age in ages if age is not None), default=None)
