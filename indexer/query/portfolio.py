"""Everything that a user holds and owes at a moment, in all pools and generations."""

from __future__ import annotations

import msgspec

from indexer.projections import rows
from indexer.query import kinds, point_in_time, positions

Connection = point_in_time.Connection


class Sums(msgspec.Struct, frozen=True):
    """The worth of several positions.

    `unpriced` counts the positions that are in no sum because no price was known.
    """

    collateral_usd: kinds.Usd
    earn_usd: kinds.Usd
    debt_usd: kinds.Usd
    net_usd: kinds.Usd
    unpriced: kinds.Block


class Portfolio(point_in_time.Moment, frozen=True):
    """A user's active positions and their sums in USD.

    `collateral_usd` is what stands in positions of the contracts, `earn_usd` what vTokens are
    worth, `net_usd` both less `debt_usd`. `unpriced` counts the positions that are in no sum
    because no price was known. `lowest_health` is None without debt. All of them count positions
    in listed pools; `unlisted` are the sums of the others, whose prices their curators choose.
    """

    user_id: kinds.Felt
    collateral_usd: kinds.Usd
    earn_usd: kinds.Usd
    debt_usd: kinds.Usd
    net_usd: kinds.Usd
    unpriced: kinds.Block
    lowest_health: kinds.Ratio | None
    unlisted: Sums
    positions: list[positions.Position]


async def of(
    connection: Connection,
    user: int,
    at: point_in_time.When = None,
    max_price_age: int | None = None,
) -> Portfolio:
    """A user's portfolio at a moment, the lowest health first; empty where there was nothing.

    Positions on prices older than `max_price_age` seconds say so.
    """
    position_filter = positions.PositionFilter(user=user, status="active")
    positions_ = await positions.find(connection, position_filter, at, max_price_age)
    return summed(positions_, rows.padded(user), positions_.positions)


def summed(
    moment: point_in_time.Moment, user_id: str, positions: list[positions.Position]
) -> Portfolio:
    """The portfolio of a user's active positions, the lowest health first."""
    listed = [position for position in positions if position.is_listed]
    sums = _sums(listed)
    return Portfolio(
        *moment.parts,
        user_id=user_id,
        collateral_usd=sums.collateral_usd,
        earn_usd=sums.earn_usd,
        debt_usd=sums.debt_usd,
        net_usd=sums.net_usd,
        unpriced=sums.unpriced,
        lowest_health=next((position.health_factor for position in listed), None),
        unlisted=_sums([position for position in positions if not position.is_listed]),
        positions=positions,
    )


def _sums(positions: list[positions.Position]) -> Sums:
    priced = [position for position in positions if _is_priced(position)]
    earned = [position.collateral_value_usd for position in priced if position.kind == "earn"]
    pledged = [position.collateral_value_usd for position in priced if position.kind != "earn"]
    owed = [position.debt_value_usd for position in priced]
    return Sums(
        collateral_usd=point_in_time.total(pledged),
        earn_usd=point_in_time.total(earned),
        debt_usd=point_in_time.total(owed),
        net_usd=point_in_time.total([*pledged, *earned, *(f"-{value}" for value in owed)]),
        unpriced=len(positions) - len(priced),
    )


def _is_priced(position: positions.Position) -> bool:
    return position.collateral_value_usd is not None and position.debt_value_usd is not None
