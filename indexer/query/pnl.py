"""Interest and gains of one position over a period: earned and paid, realised or not, by day.

Interest in units is exact: what a side is worth at the end, less what it was at the start, less
what went in, plus what went out. The days of a period so add up to it, to the unit.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.projections import assets as asset_rows
from indexer.projections import positions as position_rows
from indexer.projections import rows, samples
from indexer.query import markets, point_in_time
from indexer.store import sqlfile
from indexer.vesu import accrual, lots, market, maths, state

Connection = point_in_time.Connection
_SQL = sqlfile.load(__package__, "pnl")

MAX_DAYS = 1_100
"""The longest period in days."""


class Side(msgspec.Struct, frozen=True):
    """One side of a position over a time, in raw units of its asset.

    `moved_in` and `moved_out` are positive; `interest` is earned (collateral) or paid (debt).
    """

    start: str
    moved_in: str
    moved_out: str
    interest: str
    end: str


class Day(msgspec.Struct, frozen=True):
    """A day in UTC, the first and last as far as they lie in the period; interest in raw units."""

    start: datetime.datetime
    collateral_interest: str
    debt_interest: str


class Basis(msgspec.Struct, frozen=True):
    """Gains of the collateral in USD: realised by what went out, and not by what is still there.

    Interest costs nothing; it is in the gains at the price of its day.
    """

    realised_usd: str
    cost_usd: str
    unrealised_usd: str | None


class Pnl(point_in_time.Moment, frozen=True):
    """A position's interest and gains from `since` to `valued_at`.

    `pnl_usd`: what it is worth at the end less at the start, less what was put in, plus what was
    taken out, each at the price of its time: interest, changes of prices and liquidations. None
    where a price is not known. `liquidation_loss_usd`, collateral seized less debt removed, is in
    it.
    """

    pool_id: str
    collateral_address: str
    debt_address: str | None
    v_token: str | None
    user_id: str
    is_listed: bool
    since: datetime.datetime
    collateral: Side
    debt: Side
    collateral_interest: str
    debt_interest: str
    pnl_usd: str | None
    liquidation_loss_usd: str
    average: Basis
    fifo: Basis
    days: list[Day]


class _Point(NamedTuple):
    """Collateral and debt in raw units, and the assets' accrued state, at one time."""

    collateral: int
    debt: int
    assets: tuple[accrual.AssetState, accrual.AssetState]

    @property
    def equity(self) -> int | None:
        """Collateral less debt x 10^18 USD; None without a price."""
        collateral, debt = self.assets
        if (self.collateral and collateral.price is None) or (self.debt and debt.price is None):
            return None
        return market.value_of_collateral(self.collateral, collateral) - market.value_of_debt(
            self.debt, debt
        )


class _Flow(NamedTuple):
    """A transfer: signed raw units of one side, and their value x 10^18 USD (signed)."""

    block: int
    type: str
    is_debt: bool
    amount: int
    price: int
    usd: int


async def of_position(
    connection: Connection,
    position_ref: markets.PositionRef,
    since: datetime.datetime,
    at: point_in_time.When = None,
) -> Pnl:
    """Interest and gains of a position from a time to a moment.

    NotFoundError where there never was such a position; QuestionError for a period that is empty or
    longer than 1100 days; UnknownStateError where the contract's arithmetic overflows.
    """
    try:
        return await _of_position(connection, position_ref, since, at)
    except maths.RevertedError as error:
        raise errors.UnknownStateError(
            f"nobody can tell the gains in pool {felt252.padded(position_ref.pool)}: {error}",
            parameter="pool",
        ) from error


async def _of_position(
    connection: Connection,
    position_ref: markets.PositionRef,
    since: datetime.datetime,
    at: point_in_time.When,
) -> Pnl:
    async with point_in_time.steady(connection):
        moment = await point_in_time.moment(connection, at)
        times = _times(since, moment.valued_at)
        known = await _rows_of(connection, position_ref)
        blocks = await _blocks(connection, times, moment.block_number)
        points = await _points(connection, position_ref, known, times, blocks)
        flows = await _flows(connection, position_ref, known, blocks[0], moment.block_number)
    is_listed = known[0]["is_listed"]
    return _written(moment, position_ref, times, blocks, points, flows, is_listed=is_listed)


def _times(since: datetime.datetime, until: datetime.datetime) -> list[datetime.datetime]:
    """The start, each midnight in between, and the end."""
    start = since.replace(tzinfo=since.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    if not start < until or until - start > datetime.timedelta(days=MAX_DAYS):
        raise errors.QuestionError(
            f"from {start:%F %T} to {until:%F %T} UTC is no period of up to {MAX_DAYS} days",
            parameter="since",
        )
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (midnight + datetime.timedelta(days=n) for n in range(1, MAX_DAYS + 2))
    return [start, *(day for day in days if start < day < until), until]


async def _rows_of(
    connection: Connection, position_ref: markets.PositionRef
) -> list[asyncpg.Record]:
    found = await connection.fetch(
        _SQL["positions"],
        felt252.padded(position_ref.pool),
        felt252.padded(position_ref.user),
        felt252.padded(position_ref.collateral),
        None if position_ref.v_token else felt252.padded(position_ref.debt),
        rows.padded_or_none(position_ref.v_token),
    )
    if not found:
        raise errors.NotFoundError("there never was such a position")
    return found


async def _blocks(
    connection: Connection, times: Sequence[datetime.datetime], last: int
) -> list[int]:
    """The block of each time; -1 before the first."""
    rows = await connection.fetch(_SQL["blocks_at"], list(times), last)
    by_time = {row["at"]: row["number"] for row in rows}
    return [by_time.get(time, -1) for time in times]


async def _points(
    connection: Connection,
    position_ref: markets.PositionRef,
    known: Sequence[asyncpg.Record],
    times: Sequence[datetime.datetime],
    blocks: Sequence[int],
) -> list[_Point]:
    pool, distinct = felt252.padded(position_ref.pool), sorted(set(blocks))
    addresses = [felt252.padded(asset) for asset in (position_ref.collateral, position_ref.debt)]
    states: dict[int, list[state.PositionState]] = {}
    ids = [row["id"] for row in known]
    for row in await connection.fetch(_SQL["positions_at"], pool, ids, distinct):
        states.setdefault(row["at_block"], []).append(position_rows.parse(row)[1])
    found: dict[int, dict[int, accrual.AssetState]] = {}
    stored = await connection.fetch(_SQL["assets_at"], pool, addresses, distinct)
    asset_ids = {asset_rows.parse(row)[0]: str(row["id"]) for row in stored}
    sampled = {block: await samples.newest(connection, asset_ids, block) for block in distinct}
    for row in sorted(stored, key=lambda point: str(point["protocol"])):
        key, asset = asset_rows.parse(row)
        sample = sampled[row["at_block"]].get(key)
        asset = asset if sample is None else accrual.with_sample(asset, sample)
        found.setdefault(row["at_block"], {})[key.asset] = asset  # V1.1's where it took over
    return [
        _point(position_ref, states.get(block, []), found.get(block, {}), int(time.timestamp()))
        for time, block in zip(times, blocks, strict=True)
    ]


def _point(
    position_ref: markets.PositionRef,
    states: Sequence[state.PositionState],
    found: dict[int, accrual.AssetState],
    now: int,
) -> _Point:
    collateral = accrual.accrue(found.get(position_ref.collateral, accrual.AssetState()), now)
    debt = accrual.accrue(found.get(position_ref.debt, market.NO_ASSET), now)
    counted = [state for state in states if state.migrated_block is None]
    return _Point(
        sum(
            accrual.collateral_of(state.collateral_shares + state.vtoken_balance, collateral)
            for state in counted
        ),
        sum(accrual.debt_of(state.nominal_debt, debt) for state in counted),
        (collateral, debt),
    )


async def _flows(
    connection: Connection,
    position_ref: markets.PositionRef,
    known: Sequence[asyncpg.Record],
    after: int,
    last: int,
) -> list[_Flow]:
    rows = await connection.fetch(
        _SQL["flows"],
        felt252.padded(position_ref.pool),
        [row["id"] for row in known],
        after,
        last,
        felt252.padded(position_ref.collateral),
    )
    return [_flow(position_ref, row) for row in rows]


def _flow(position_ref: markets.PositionRef, row: asyncpg.Record) -> _Flow:
    """A row of vesu_transactions in units of its side; vTokens count as the shares they are."""
    amount, asset = int(row["amount_raw"]), accrual.AssetState()
    if row["id"] is not None:
        asset = accrual.accrue(asset_rows.parse(row)[1], int(row["flow_time"].timestamp()))
    if position_ref.v_token and int(row["flow_asset"], 16) == position_ref.v_token:
        units = accrual.collateral_of(abs(amount), asset)
        amount = units if amount > 0 else -units
    is_debt = not position_ref.v_token and int(row["flow_asset"], 16) == position_ref.debt
    price = asset.price or 0
    usd = amount * price // asset.scale if asset.scale else 0
    return _Flow(row["flow_block"], row["type"], is_debt, amount, price, usd)


# --- how it is written ------------------------------------------------------------------------


def _interest(before: _Point, after: _Point, flows: Sequence[_Flow]) -> tuple[int, int]:
    """(collateral earned, debt paid) between two points, in raw units."""
    collateral = sum(flow.amount for flow in flows if not flow.is_debt)
    debt = sum(flow.amount for flow in flows if flow.is_debt)
    return (
        after.collateral - before.collateral - collateral,
        after.debt - before.debt - debt,
    )


def _written(
    moment: point_in_time.Moment,
    position_ref: markets.PositionRef,
    times: Sequence[datetime.datetime],
    blocks: Sequence[int],
    points: Sequence[_Point],
    flows: Sequence[_Flow],
    *,
    is_listed: bool,
) -> Pnl:
    first, last = points[0], points[-1]
    earned, paid = _interest(first, last, flows)
    days = [
        _day(
            times[index],
            points[index : index + 2],
            _between(flows, blocks[index], blocks[index + 1]),
        )
        for index in range(len(times) - 1)
    ]
    collateral, debt = ([flow for flow in flows if flow.is_debt is side] for side in (False, True))
    decimals = [rows.decimals_of(asset.scale) for asset in last.assets]
    lost = sum(
        flow.usd if flow.is_debt else -flow.usd for flow in flows if flow.type == "liquidation"
    )
    bought = [lots.Flow(flow.amount, flow.price) for flow in _with_start(first, collateral)]
    return Pnl(
        *moment.parts,
        felt252.padded(position_ref.pool),
        felt252.padded(position_ref.collateral),
        None if position_ref.v_token else felt252.padded(position_ref.debt),
        rows.padded_or_none(position_ref.v_token),
        felt252.padded(position_ref.user),
        is_listed,
        times[0],
        _side(first.collateral, last.collateral, collateral, earned),
        _side(first.debt, last.debt, debt, paid),
        rows.units(earned, decimals[0]),
        rows.units(paid, decimals[1]),
        rows.scaled(_pnl(first, last, flows)),
        rows.units(lost, 18),
        _basis(lots.average(bought, last.assets[0].scale or 1), last),
        _basis(lots.fifo(bought, last.assets[0].scale or 1), last),
        days,
    )


def _between(flows: Sequence[_Flow], after: int, last: int) -> list[_Flow]:
    return [flow for flow in flows if after < flow.block <= last]


def _day(start: datetime.datetime, ends: Sequence[_Point], flows: Sequence[_Flow]) -> Day:
    earned, paid = _interest(ends[0], ends[1], flows)
    return Day(start, str(earned), str(paid))


def _side(start: int, end: int, flows: Sequence[_Flow], interest: int) -> Side:
    moved_in = sum(flow.amount for flow in flows if flow.amount > 0)
    moved_out = -sum(flow.amount for flow in flows if flow.amount < 0)
    return Side(str(start), str(moved_in), str(moved_out), str(interest), str(end))


def _pnl(first: _Point, last: _Point, flows: Sequence[_Flow]) -> int | None:
    """Liquidations are no withdrawals: what they take is lost."""
    if first.equity is None or last.equity is None:
        return None
    net_flow = sum(
        -flow.usd if flow.is_debt else flow.usd for flow in flows if flow.type != "liquidation"
    )
    return last.equity - first.equity - net_flow


def _with_start(first: _Point, flows: Sequence[_Flow]) -> list[_Flow]:
    """Count the balance at the start as a deposit at the price of that time."""
    if not first.collateral:
        return list(flows)
    price = first.assets[0].price or 0
    begun = _Flow(-1, "supply", is_debt=False, amount=first.collateral, price=price, usd=0)
    return [begun, *flows]


def _basis(basis: lots.Basis, last: _Point) -> Basis:
    asset = last.assets[0]
    worth = None if asset.price is None else market.value_of_collateral(last.collateral, asset)
    return Basis(
        rows.units(basis.gain, 18),
        rows.units(basis.cost, 18),
        None if worth is None else rows.units(worth - basis.cost, 18),
    )
