"""Lists positions in the order of their worth by indexes: a page values few rows but its own.

Within a pair, health is one factor times shares over debt. Within an asset, a debt and its value
are one factor times nominal debt; collateral and its value are one factor times shares. So the rows
of a page are the next ones by that measure in each pair or asset. Rounding shifts a worth a little;
what lies within a margin of the page's ends is a candidate, too. Each one is valued afterwards.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Collection
from fractions import Fraction
from typing import NamedTuple

import asyncpg
import msgspec

from indexer.projections import rows
from indexer.query import filters, near, point_in_time
from indexer.store import sqlfile
from indexer.vesu import maths, state, valuation

_SQL = sqlfile.load(__package__, "measured")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

REFERENCES = (10**30, 10**24, 10**18)
"""Shares and debts to take a factor from: the largest one that the contract can value."""

RATIO_SCALE = 10**9
EXACT_SCALE = 10**6
"""A token with fewer units is rounded too coarsely for a margin."""

MOST_MEASURED = 10**77
"""A number above every measure that a column holds."""


class Group(NamedTuple):
    """Positions whose worth is one factor (`unit`) times their measure. 0: nobody knows it.

    `keys` name it for SQL; rounding shifts a measure by less than `slack`.
    """

    keys: tuple[str, ...]
    unit: Fraction
    slack: int


class Measure(msgspec.Struct, frozen=True):
    """A measure that an index orders positions by.

    `margin`: the part by which rounding shifts a worth besides a group's slack. `zeros`: rows of
    measure 0 may have any worth.
    """

    statement: str
    groups: Callable[[point_in_time.Snapshot, str], list[Group]]
    margin: Fraction
    zeros: bool = False


class Ends(NamedTuple):
    """The worth where a page begins, and where the last page ends; None: no bound."""

    begin: decimal.Decimal | None = None
    end: decimal.Decimal | None = None


class CandidateBatch(NamedTuple):
    """Candidates; `are_all`: there are no more of them."""

    candidates: near.Candidates
    are_all: bool


class Scan:
    """Candidates for pages of one order at a snapshot."""

    def __init__(
        self,
        order: filters.Order,
        snapshot: point_in_time.Snapshot,
        pool_ids: Collection[str] | None,
        ends: Ends,
    ) -> None:
        """The order is one of `MEASURES`; `pool_ids`: of these pools, None: of all."""
        self._measure = MEASURES[order]
        self._is_descending = order.is_descending
        found = self._measure.groups(snapshot, order.field)
        self._groups = [group for group in found if pool_ids is None or group.keys[-1] in pool_ids]
        self._ends = ends

    async def first(self, connection: Connection, count: int) -> CandidateBatch:
        """About the first `count` candidates."""
        return await self._read(connection, self._ends.end, count)

    async def up_to(
        self, connection: Connection, worth: decimal.Decimal, most: int
    ) -> CandidateBatch:
        """All candidates up to a worth; some of them only if there are more than `most`."""
        return await self._read(connection, worth, most + 1)

    async def _read(
        self, connection: Connection, end: decimal.Decimal | None, count: int
    ) -> CandidateBatch:
        if not self._groups:
            return CandidateBatch(near.Candidates([], []), are_all=True)
        begin = self._ends.begin
        low, high = (end, begin) if self._is_descending else (begin, end)
        bounds = [self._bounds(group, low, high) for group in self._groups]
        scans = [await self._fetch(connection, bounds, count)]
        if self._measure.zeros and any(least for least, _ in bounds):
            scans.append(await self._fetch(connection, [(0, 1)] * len(bounds), count))
        rows = [row for scan in scans for row in scan]
        return CandidateBatch(
            near.Candidates([row["pool_id"] for row in rows], [row["id"] for row in rows]),
            are_all=all(len(scan) < count for scan in scans),
        )

    async def _fetch(
        self, connection: Connection, bounds: list[tuple[int, int]], count: int
    ) -> list[asyncpg.Record]:
        keys = zip(*(group.keys[: self._key_count] for group in self._groups), strict=True)
        return await connection.fetch(
            _SQL[self._measure.statement],
            *(list(column) for column in keys),
            [least for least, _ in bounds],
            [most for _, most in bounds],
            [_decimal(group.unit) for group in self._groups],
            count,
        )

    @property
    def _key_count(self) -> int:
        return 1 if self._measure.zeros else 3

    def _bounds(
        self, group: Group, low: decimal.Decimal | None, high: decimal.Decimal | None
    ) -> tuple[int, int]:
        """The measures between which every position of a worth from `low` to `high` lies."""
        if not group.unit:
            return 0, MOST_MEASURED
        least, most = 0, MOST_MEASURED
        if low is not None:
            measure = Fraction(low) / group.unit * (1 - self._measure.margin)
            least = max(0, int(measure) - group.slack)
        if high is not None:
            measure = Fraction(high) / group.unit * (1 + self._measure.margin)
            most = min(MOST_MEASURED, int(measure) + 1 + group.slack)
        return least, most


def _decimal(unit: Fraction) -> decimal.Decimal:
    """A factor for SQL, which only needs it for a rough order."""
    return decimal.Context(prec=30).divide(
        decimal.Decimal(unit.numerator), decimal.Decimal(unit.denominator)
    )


# --- groups -----------------------------------------------------------------------------------


def _by_pair(snapshot: point_in_time.Snapshot, field: str) -> list[Group]:
    """Pairs with a health (`field` is the only one of them)."""
    found, valuer = [], snapshot.valuer()
    for key in snapshot.world.pairs:
        position_key = state.PositionKey(key.pool, key.collateral, key.debt, 0, 0)
        pool = snapshot.world.market(key.pool)
        scales = [
            asset.scale
            for address in (key.collateral, key.debt)
            if (asset := snapshot.world.assets.get(state.AssetKey(pool, address))) is not None
        ]
        _, worth = _reference(valuer.worth, position_key)
        health = worth.health_factor
        if worth.unvalued_reason is None and health is None:
            continue
        is_coarse = len(scales) < 2 or min(scales) < EXACT_SCALE
        unit = Fraction(0 if is_coarse else health or 0, maths.SCALE * RATIO_SCALE)
        keys = (rows.pair_id(snapshot.protocol(key.pool), key), rows.padded(key.pool.id))
        found.append(Group(keys, unit, 1))
    return found


def _by_asset(snapshot: point_in_time.Snapshot, field: str) -> list[Group]:
    """Assets, each with its price, or with its number of token units."""
    found, valuer = [], snapshot.valuer()
    for key, asset in snapshot.world.assets.items():
        position_key = state.PositionKey(key.pool, key.asset, key.asset, 0, 0)
        reference, worth = _reference(valuer.worth, position_key)
        is_debt, is_usd = field.startswith("debt"), field.endswith("usd")
        raw = worth.debt if is_debt else worth.collateral
        usd = worth.debt_usd if is_debt else worth.collateral_usd
        if worth.unvalued_reason is None and (usd if is_usd else raw) is None:
            continue
        pool = rows.padded(key.pool.id)
        keys = (pool, rows.padded(key.pool.address), rows.padded(key.asset), pool)
        units = 10 ** rows.decimals_of(asset.scale)
        amount = Fraction(usd or 0, maths.SCALE) if is_usd else Fraction(raw or 0, units)
        slack = 0 if not raw else 3 * reference // raw + 3
        if is_usd and usd:
            slack += 3 * reference // usd + 3
        found.append(Group(keys, amount / reference, slack))
    return found


def _reference(
    worth: Callable[[state.PositionKey, state.PositionState], valuation.Valuation],
    key: state.PositionKey,
) -> tuple[int, valuation.Valuation]:
    """A measure, and what a position is worth that holds and owes as much."""
    for measure in REFERENCES:
        valuation = worth(
            key,
            state.PositionState(kind="borrow", collateral_shares=measure, nominal_debt=measure),
        )
        if valuation.unvalued_reason is None:
            break
    return measure, valuation


_HEALTH = Measure("by_health", _by_pair, Fraction(2, 1_000), zeros=True)
_DEBT = Measure("by_debt", _by_asset, Fraction(1, 10**9))
_COLLATERAL = Measure("by_collateral", _by_asset, Fraction(1, 10**9))
MEASURES = {
    filters.Order("health_factor"): _HEALTH,
    filters.Order("debt_value_usd", is_descending=True): _DEBT,
    filters.Order("debt_amount", is_descending=True): _DEBT,
    filters.Order("collateral_value_usd", is_descending=True): _COLLATERAL,
    filters.Order("collateral_amount", is_descending=True): _COLLATERAL,
}
"""Orders that an index answers."""
