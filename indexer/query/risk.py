"""Risk of the positions with debt at a moment: under falling prices, by LTV, by concentration.

Everything is reckoned in integers from the positions' exact USD values (x 10^18): a share of a
price keeps 18 digits, values of collateral are rounded down.
"""

from __future__ import annotations

import decimal
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from indexer.projections import rows
from indexer.query import debts, kinds, listing, point_in_time, states
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "analysis")

UNIT = 10**18
STEPS = 20
"""The number of points of a curve; the price falls by a further twentieth at each."""

BUCKETS = 20
"""Columns of the heatmap: each a twentieth of the LTV at which a position can be liquidated."""


class Unlisted(msgspec.Struct, frozen=True):
    """Positions with debt in pools that are not listed: they are in no other number.

    Their prices are those that the pools' curators choose.
    """

    positions: kinds.Block
    debt_usd: kinds.Usd
    collateral_usd: kinds.Usd


class Indebted(NamedTuple):
    """Positions with debt: the counted ones, and those of unlisted pools."""

    counted: list[debts.Debt]
    rest: list[debts.Debt]

    @property
    def unlisted(self) -> Unlisted:
        """The sums of the positions in unlisted pools."""
        return Unlisted(
            len(self.rest),
            _ratio(sum(debt.debt_usd for debt in self.rest)),
            _ratio(sum(debt.collateral_usd for debt in self.rest)),
        )


class CurvePoint(msgspec.Struct, frozen=True):
    """What a fall of prices by `shock` (0.05: by 5 %) endangers.

    `debt_usd` and `collateral_usd` are those of the positions that can be liquidated then, the
    collateral at the fallen price; `bad_debt_usd` is the debt that the collateral, less the
    liquidator's bonus, would not cover.
    """

    shock: kinds.Ratio
    positions: kinds.Block
    debt_usd: kinds.Usd
    collateral_usd: kinds.Usd
    bad_debt_usd: kinds.Usd


class Curve(msgspec.Struct, frozen=True):
    """Falling prices in steps; `unpriced` positions have no price and are in no step."""

    positions: kinds.Block
    unpriced: kinds.Block
    unlisted: Unlisted
    points: list[CurvePoint]


class Cell(msgspec.Struct, frozen=True):
    """Positions of a pair whose LTV lies from `from_share` of its limit to below `to_share`."""

    pool_id: kinds.Felt
    is_listed: bool
    collateral_address: kinds.Felt
    debt_address: kinds.Felt | None
    collateral_asset: str | None
    debt_asset: str | None
    from_share: kinds.Ratio
    to_share: kinds.Ratio | None
    positions: kinds.Block
    debt_usd: kinds.Usd
    collateral_usd: kinds.Usd


class Holder(msgspec.Struct, frozen=True):
    """The debt or collateral of one user, and its part of the whole."""

    user_id: kinds.Felt
    value_usd: kinds.Usd
    share: kinds.Ratio


class Concentration(msgspec.Struct, frozen=True):
    """The largest users. `hhi` is the sum of squared shares: 1 where one user has all."""

    of: str
    users: kinds.Block
    total_usd: kinds.Usd
    hhi: kinds.Ratio
    unlisted: Unlisted
    top: list[Holder]


class Realised(msgspec.Struct, frozen=True):
    """Bad debt that liquidations left behind; the USD value is at the prices of the time."""

    pool_id: kinds.Felt
    is_listed: bool
    debt_address: kinds.Felt
    debt_asset: str | None
    liquidations: kinds.Block
    bad_debt_raw: kinds.Raw
    bad_debt: kinds.Amount
    bad_debt_usd: kinds.Usd


class Unrealised(msgspec.Struct, frozen=True):
    """A position whose collateral, less the liquidator's bonus, does not cover its debt."""

    position_id: kinds.Id
    pool_id: kinds.Felt
    is_listed: bool
    user_id: kinds.Felt
    debt_usd: kinds.Usd
    collateral_usd: kinds.Usd
    bad_debt_usd: kinds.Usd


class BadDebt(msgspec.Struct, frozen=True):
    """Realised and unrealised bad debt, and the sums in USD: of listed pools, and of the others."""

    realised_usd: kinds.Usd
    unrealised_usd: kinds.Usd
    unlisted_realised_usd: kinds.Usd
    unlisted_unrealised_usd: kinds.Usd
    realised: list[Realised]
    unrealised: list[Unrealised]


def indebted(found: Iterable[debts.Debt], *, is_of_pool: bool) -> Indebted:
    """Divide positions with debt: those of listed pools are counted.

    Where the question names their pool (`is_of_pool`), all are.
    """
    parts = Indebted([], [])
    for debt in found:
        (parts.counted if debt.is_listed or is_of_pool else parts.rest).append(debt)
    return parts


# --- falling prices ---------------------------------------------------------------------------


def curve(state: states.State, indebted: Indebted, falling: Collection[str] | None = None) -> Curve:
    """What falls of 0 to 100 % endanger.

    `falling` are the addresses of the assets that fall together; None: every collateral falls
    against its debt. What falls on both sides of a position leaves its health as it is.
    """
    limits = _limits(state)
    exposed = [
        _Exposed(
            *(debt.collateral_usd, debt.debt_usd, *limits.get(debt.pair, NO_LIMITS)),
            falling is None or debt.collateral_address in falling,
            falling is not None and debt.debt_address in falling,
        )
        for debt in indebted.counted
        if debt.health is not None
    ]
    points = [_shocked(exposed, UNIT * step // STEPS) for step in range(STEPS + 1)]
    count = len(indebted.counted)
    return Curve(count, count - len(exposed), indebted.unlisted, points)


class _Exposed(NamedTuple):
    """A position's values in USD x 10^18, its pair's limits, and which of its sides fall."""

    collateral: int
    debt: int
    max_ltv: int
    factor: int
    has_falling_collateral: bool
    has_falling_debt: bool


def _shocked(exposed: Iterable[_Exposed], shock: int) -> CurvePoint:
    count = owed = collateral_value = lost = 0
    left = UNIT - shock
    for collateral, debt, max_ltv, factor, has_falling_collateral, has_falling_debt in exposed:
        if has_falling_collateral:
            collateral = collateral * left // UNIT
        if has_falling_debt:
            debt = -(-debt * left // UNIT)
        if collateral * max_ltv >= debt * UNIT:
            continue
        count, owed, collateral_value = count + 1, owed + debt, collateral_value + collateral
        lost += max(0, debt - collateral * factor // UNIT)
    return CurvePoint(_ratio(shock), count, _ratio(owed), _ratio(collateral_value), _ratio(lost))


class _Limits(NamedTuple):
    """A pair's maximum LTV, and the part of the collateral that pays for debt; x 10^18."""

    max_ltv: int
    factor: int


NO_LIMITS = _Limits(0, UNIT)


def _limits(state: states.State) -> dict[tuple[str, str, str | None], _Limits]:
    """By pair; where V1.1 took a V1.0 pool over, those of V1.1. A factor of 0 means all."""
    found: dict[tuple[str, str, str | None], _Limits] = {}
    for pair in sorted(state.pools, key=lambda pool: pool.protocol):
        factor = int(pair.liquidation_factor_raw) or UNIT
        key = (pair.pool_id, pair.collateral_address, pair.debt_address)
        found[key] = _Limits(int(pair.max_ltv_raw), factor)
    return found


# --- where the debt stands --------------------------------------------------------------------


def heatmap(state: states.State, indebted: Indebted) -> list[Cell]:
    """Debt by pair and by how much of the limit is used (1 / health factor), largest last."""
    cells: dict[tuple[tuple[str, str, str], int], list[debts.Debt]] = {}
    for debt in (*indebted.counted, *indebted.rest):
        if debt.health is None:
            continue
        used = UNIT * UNIT // debt.health if debt.health else BUCKETS * UNIT
        bucket = min(BUCKETS, used * BUCKETS // UNIT)
        cells.setdefault((debt.pair, bucket), []).append(debt)
    made = [_cell(state.snapshot, bucket, members) for (_, bucket), members in cells.items()]
    return sorted(
        made,
        key=lambda cell: (
            cell.pool_id,
            cell.collateral_address,
            cell.debt_address or "",
            decimal.Decimal(cell.from_share),
        ),
    )


def _cell(snapshot: point_in_time.Snapshot, bucket: int, members: Sequence[debts.Debt]) -> Cell:
    first, is_last = members[0], bucket == BUCKETS
    return Cell(
        first.pool_id,
        first.is_listed,
        first.collateral_address,
        first.debt_address,
        snapshot.symbol(first.collateral_address),
        snapshot.symbol(first.debt_address),
        _ratio(UNIT * bucket // BUCKETS),
        None if is_last else _ratio(UNIT * (bucket + 1) // BUCKETS),
        len(members),
        _ratio(sum(debt.debt_usd for debt in members)),
        _ratio(sum(debt.collateral_usd for debt in members)),
    )


def concentration(indebted: Indebted, of: str, top: int) -> Concentration:
    """The users who owe most (`of` debt) or stand behind most debt (`of` collateral)."""
    by_user: dict[str, int] = defaultdict(int)
    for debt in indebted.counted:
        if debt.health is not None:
            by_user[debt.user_id] += debt.debt_usd if of == "debt" else debt.collateral_usd
    total = sum(by_user.values())
    largest = sorted(by_user.items(), key=lambda item: (-item[1], item[0]))
    squares = sum(value * value for value in by_user.values())
    return Concentration(
        of,
        len(by_user),
        _ratio(total),
        _ratio(squares * UNIT // (total * total) if total else 0),
        indebted.unlisted,
        [
            Holder(user, _ratio(value), _ratio(value * UNIT // total if total else 0))
            for user, value in largest[:top]
        ],
    )


# --- bad debt ---------------------------------------------------------------------------------


async def realised(connection: listing.Connection, state: states.State) -> list[Realised]:
    """The bad debt that liquidations left behind up to the moment."""
    rows = await connection.fetch(_SQL["bad_debt"], state.moment.block_number)
    return [_realised(row) for row in rows]


def bad_debt(state: states.State, indebted: Indebted, realised: list[Realised]) -> BadDebt:
    """The realised bad debt, and the loss of liquidations at the moment's prices."""
    unrealised = _unrealised(state, [*indebted.counted, *indebted.rest])
    return BadDebt(
        _lost(realised, is_listed=True),
        _lost(unrealised, is_listed=True),
        _lost(realised, is_listed=False),
        _lost(unrealised, is_listed=False),
        realised,
        unrealised,
    )


def _lost(found: Iterable[Realised | Unrealised], *, is_listed: bool) -> str:
    return point_in_time.total(
        bad_debt.bad_debt_usd for bad_debt in found if bad_debt.is_listed == is_listed
    )


def _realised(row: asyncpg.Record) -> Realised:
    return Realised(
        row["pool_id"],
        row["is_listed"],
        row["debt_address"],
        row["debt_asset"],
        row["liquidations"],
        row["bad_debt_raw"],
        row["bad_debt"],
        _ratio(int(row["bad_debt_value"])),
    )


def _unrealised(state: states.State, found: Iterable[debts.Debt]) -> list[Unrealised]:
    limits, lost = _limits(state), []
    for debt in found:
        if debt.health is None:
            continue
        covered = debt.collateral_usd * limits.get(debt.pair, NO_LIMITS).factor // UNIT
        missing = debt.debt_usd - covered
        if missing > 0:
            lost.append((missing, debt))
    lost.sort(key=lambda entry: (-entry[0], entry[1].position_id))
    return [
        Unrealised(
            *(debt.position_id, debt.pool_id, debt.is_listed, debt.user_id),
            *(_ratio(debt.debt_usd), _ratio(debt.collateral_usd), _ratio(missing)),
        )
        for missing, debt in lost
    ]


def _ratio(scaled: int) -> str:
    return rows.units(scaled, 18)
