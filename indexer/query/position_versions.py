"""The versions that positions have at a block, read from where an index finds them.

The newest block has the rows of `vesu_positions` as they stand. Shortly before it nearly all rows
are still those: the few that changed since are looked up. Further back each position's newest
version is, or where closed or liquidated ones are asked for, that of each which once was.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from indexer.query import database_state, filters, kinds, listing, near, point_in_time

MOST_CHANGED = 5_000
"""Versions above a block up to which it counts as recent; to count them takes 1 ms."""


class PositionVersion(msgspec.Struct, frozen=True):
    """A version of a position: the columns of vesu_position_history."""

    id: kinds.Id
    pool_id: kinds.Felt
    pool_address: kinds.Felt
    protocol: str
    is_listed: bool
    user_id: kinds.Felt
    kind: str
    collateral_address: kinds.Felt
    debt_address: kinds.Felt | None
    v_token: kinds.Felt | None
    created_at: datetime.datetime
    collateral_shares: kinds.Raw
    nominal_debt: kinds.Raw
    vtoken_balance_raw: kinds.Raw
    status: str
    migrated_block: kinds.Block | None
    changed_at: datetime.datetime
    block_number: kinds.Block


EVERY = listing.Listing(("positions",), PositionVersion, ("pool_id", "id"), is_newest_first=False)
"""The newest version of each position, at any block."""

CURRENT = msgspec.structs.replace(EVERY, statements=("current_positions",))
"""The same at the newest block."""

RECENT = msgspec.structs.replace(EVERY, statements=("unchanged_positions", "changed_positions"))
"""The same at a block above which few positions changed."""

FIELDS = kinds.fields(PositionVersion)

OF_STATE = (
    *("collateral_shares", "nominal_debt", "vtoken_balance_raw", "status"),
    *("migrated_block", "changed_at", "block_number"),
)
"""The columns that change from version to version; all others name the position."""


async def of_moment(
    connection: listing.Connection,
    moment: point_in_time.Moment,
    standing: database_state.DatabaseState,
    conditions: Sequence[filters.Condition],
) -> listing.Listing:
    """The list of positions as of a moment's block, for a question with these conditions.

    Where none is on the state, each row that an index finds is one of the page, and its version is
    looked up in less time than all that changed since are.
    """
    block = moment.block_number
    if block == standing.stored_number:
        return CURRENT
    if all(condition.field not in OF_STATE for condition in conditions):
        return EVERY
    if await near.count_changed(connection, block, MOST_CHANGED) is not None:
        return RECENT
    asked = [condition.values for condition in conditions if condition.field == "status"]
    return _once(asked[0]) if asked and "active" not in asked[0] else EVERY


def _once(statuses: Sequence[str]) -> listing.Listing:
    """The positions that had one of these statuses: most never end."""
    arguments = (list(statuses),)
    return msgspec.structs.replace(EVERY, statements=("positions_once",), arguments=arguments)


def of_keys(keys: near.Candidates) -> listing.Listing:
    """The list of the positions with these keys."""
    return msgspec.structs.replace(
        EVERY, statements=("positions_of",), arguments=tuple(keys), is_of_keys=True
    )
