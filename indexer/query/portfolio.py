"""All that a user holds and owes at a moment, over all pools and generations."""

from __future__ import annotations

from indexer.projections import rows
from indexer.query import point_in_time, positions

Connection = point_in_time.Connection


class Portfolio(point_in_time.Moment, frozen=True):
    """A user's active positions and their sums in USD.

    `collateral_usd` is what stands in positions of the contracts, `earn_usd` what vTokens are
    worth, `net_usd` both less `debt_usd`. `unpriced` counts the positions that are in no sum
    because no price was known. `lowest_health` is None without debt.
    """

    user_id: str
    collateral_usd: str
    earn_usd: str
    debt_usd: str
    net_usd: str
    unpriced: int
    lowest_health: str | None
    positions: list[positions.Position]


async def of(connection: Connection, user: int, at: point_in_time.When = None) -> Portfolio:
    """A user's portfolio at a moment, the lowest health first; empty where there was nothing."""
    found = await positions.find(connection, positions.Wanted(user=user, status="active"), at)
    priced = [one for one in found.positions if _is_priced(one)]
    earned = [one.collateral_value_usd for one in priced if one.kind == "earn"]
    pledged = [one.collateral_value_usd for one in priced if one.kind != "earn"]
    owed = [one.debt_value_usd for one in priced]
    return Portfolio(
        *found.parts,
        user_id=rows.padded(user),
        collateral_usd=point_in_time.total(pledged),
        earn_usd=point_in_time.total(earned),
        debt_usd=point_in_time.total(owed),
        net_usd=point_in_time.total([*pledged, *earned, *(f"-{value}" for value in owed)]),
        unpriced=len(found.positions) - len(priced),
        lowest_health=next((one.health_factor for one in found.positions), None),
        positions=found.positions,
    )


def _is_priced(position: positions.Position) -> bool:
    return position.collateral_value_usd is not None and position.debt_value_usd is not None
