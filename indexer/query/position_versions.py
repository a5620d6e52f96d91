"""The versions that positions have at a block, read from where an index finds them.

At the newest block `vesu_positions` has the rows as they stand. Shortly before it nearly all rows
are still those, and only the few that changed since are looked up. Further back the newest version
of each position is looked up; for closed or liquidated positions, only that of positions which had
such a status by then. Who asks what changed since a block is answered out of the versions since.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from indexer.query import (
    changes,
    database_state,
    filters,
    kinds,
    listing,
    near,
    point_in_time,
)


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

CURRENT = msgspec.structs.replace(EVERY, statements=("unchanged_positions",))
"""The same at the newest block."""

RECENT = msgspec.structs.replace(
    EVERY, statements=("unchanged_positions", "changed_positions"), arguments=(None, None)
)
"""The same at a block above which few positions changed."""

FIELDS = kinds.fields(PositionVersion)

OF_STATE = (
    *("collateral_shares", "nominal_debt", "vtoken_balance_raw", "status"),
    *("migrated_block", "changed_at", "block_number"),
)
"""The columns that events change; all others are the same in every version."""

OWES = filters.Condition("nominal_debt", ">=", (1,))
"""Positions with debt."""


async def of_moment(
    connection: listing.Connection,
    moment: point_in_time.Moment,
    standing: database_state.DatabaseState,
    conditions: Sequence[filters.Condition],
) -> listing.Listing:
    """The list of positions as of a moment's block, for a question with these conditions.

    Where they leave few rows of many, these come out of an index of the rows as they stand or of
    those that ended. Where they leave most rows, or name the user, it takes less time to look up
    the versions of a page than those of all that changed since.
    """
    block = moment.block_number
    if (changed_in := _changed_in(conditions, block)) is not None:
        first, last = changed_in
        if await changes.are_few(connection, first - 1, changes.MOST, last):
            return _changed(first, last)
    if block == standing.stored_number:
        return CURRENT
    if not any(map(_leaves_few, conditions)) or any(map(_names_rows, conditions)):
        return EVERY
    if await changes.are_few(connection, block, changes.MOST):
        return RECENT
    asked = [condition.values for condition in conditions if condition.field == "status"]
    return _ever_of_status(asked[0]) if asked and "active" not in asked[0] else EVERY


def _leaves_few(condition: filters.Condition) -> bool:
    """Whether a condition on the state may leave few positions: most are active, many have debt."""
    is_of_most = condition == OWES or (condition.field == "status" and "active" in condition.values)
    return condition.field in OF_STATE and not is_of_most


def _names_rows(condition: filters.Condition) -> bool:
    return condition.field in ("id", "user_id")


def _changed_in(conditions: Sequence[filters.Condition], block: int) -> tuple[int, int] | None:
    """The first and last block in which the positions asked for changed; None: it is not said.

    Nor where the rows are named: those of a user are fewer.
    """
    if any(map(_names_rows, conditions)):
        return None
    asked = [condition for condition in conditions if condition.field == "block_number"]
    firsts = [min(each.values) for each in asked if each.operator != "<="]
    lasts = [max(each.values) for each in asked if each.operator != ">="]
    return (max(firsts), min([*lasts, block])) if firsts else None


def _changed(first: int, last: int) -> listing.Listing:
    """The positions that changed in these blocks."""
    return msgspec.structs.replace(
        EVERY, statements=("changed_positions",), arguments=(first, last)
    )


def _ever_of_status(statuses: Sequence[str]) -> listing.Listing:
    """The positions that had one of these statuses by the block: most never ended."""
    arguments = (list(statuses),)
    statements = ("positions_ever_of_status",)
    return msgspec.structs.replace(EVERY, statements=statements, arguments=arguments)


def of_keys(keys: near.Candidates) -> listing.Listing:
    """The list of the positions with these keys."""
    return msgspec.structs.replace(
        EVERY, statements=("positions_of",), arguments=tuple(keys), keeps_plan=True
    )
