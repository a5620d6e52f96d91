"""Interest and gains of all positions of a user, those of listed pools together."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.query import markets, pnl, point_in_time, positions, unknown_state

Connection = point_in_time.Connection

PERSONAL = ("borrow", "earn")
"""Kinds of positions that are people's; the protocol's own are not."""


class Sums(msgspec.Struct, frozen=True):
    """Gains of some positions together; None where one of them is not known."""

    pnl_usd: str | None
    liquidation_loss_usd: str


class UserPnl(point_in_time.Moment, frozen=True):
    """All positions of a user, and the gains of those in listed pools together; None where one of
    them is not known. `unlisted`: the gains of the others. `unknown`: pools in which the gains of a
    position cannot be told."""

    user_id: str
    since: datetime.datetime
    pnl_usd: str | None
    liquidation_loss_usd: str
    unlisted: Sums
    positions: list[pnl.Pnl]
    unknown: list[unknown_state.UnknownPool]


async def of_user(
    connection: Connection,
    user: int,
    since: datetime.datetime,
    at: point_in_time.When = None,
) -> UserPnl:
    """Interest and gains of every position that a user ever had, from a time to a moment."""
    async with point_in_time.steady(connection):
        history = await positions.find(connection, positions.PositionFilter(user=user), at)
        pairs = {
            markets.PositionRef.of(position): position
            for position in history.positions
            if position.kind in PERSONAL
        }
        found, unknown = [], dict[bool, list[unknown_state.UnknownPool]]()
        for pair, position in pairs.items():
            try:
                found.append(await pnl.of_position(connection, pair, since, at))
            except errors.UnknownStateError as error:
                unknown.setdefault(position.is_listed, []).append(
                    unknown_state.UnknownPool(position.pool_id, position.pool_name, str(error))
                )
    listed = _summed([pnl for pnl in found if pnl.is_listed], is_complete=True not in unknown)
    return UserPnl(
        *history.parts,
        felt252.padded(user),
        since,
        listed.pnl_usd,
        listed.liquidation_loss_usd,
        _summed([pnl for pnl in found if not pnl.is_listed], is_complete=False not in unknown),
        found,
        [pool for pools in unknown.values() for pool in pools],
    )


def _summed(pnls: Sequence[pnl.Pnl], *, is_complete: bool) -> Sums:
    known = [pnl.pnl_usd for pnl in pnls]
    return Sums(
        None if None in known or not is_complete else point_in_time.total(known),
        point_in_time.total(pnl.liquidation_loss_usd for pnl in pnls),
    )
