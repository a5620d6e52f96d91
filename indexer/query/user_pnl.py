"""Interest and gains of all positions of a user, those of listed pools together."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from indexer.cairo import felt252
from indexer.query import markets, pnl, point_in_time, positions

Connection = point_in_time.Connection

PERSONAL = ("borrow", "earn")
"""Kinds of positions that are people's; the protocol's own are not."""


class Sums(msgspec.Struct, frozen=True):
    """Gains of some positions together; None where one of them is not known."""

    pnl_usd: str | None
    liquidation_loss_usd: str


class UserPnl(point_in_time.Moment, frozen=True):
    """All positions of a user, and the gains of those in listed pools together; None where one of
    them is not known. `unlisted`: the gains of the others."""

    user_id: str
    since: datetime.datetime
    pnl_usd: str | None
    liquidation_loss_usd: str
    unlisted: Sums
    positions: list[pnl.Pnl]


async def of_user(
    connection: Connection,
    user: int,
    since: datetime.datetime,
    at: point_in_time.When = None,
) -> UserPnl:
    """Interest and gains of every position that a user ever had, from a time to a moment."""
    async with point_in_time.steady(connection):
        held = await positions.find(connection, positions.Wanted(user=user), at)
        wanted = {_wanted(one): None for one in held.positions if one.kind in PERSONAL}
        found = [await pnl.of_position(connection, one, since, at) for one in wanted]
    listed = _summed([one for one in found if one.is_listed])
    return UserPnl(
        *held.parts,
        felt252.padded(user),
        since,
        listed.pnl_usd,
        listed.liquidation_loss_usd,
        _summed([one for one in found if not one.is_listed]),
        found,
    )


def _summed(found: Sequence[pnl.Pnl]) -> Sums:
    known = [one.pnl_usd for one in found]
    return Sums(
        None if None in known else point_in_time.total(known),
        point_in_time.total(one.liquidation_loss_usd for one in found),
    )


def _wanted(one: positions.Position) -> markets.Wanted:
    return markets.Wanted(
        int(one.pool_id, 16),
        int(one.collateral_address, 16),
        int(one.debt_address or "0x0", 16),
        int(one.user_id, 16),
        int(one.v_token or "0x0", 16),
    )
