"""Checks against the contracts as they are kept, and which of their differences still stand.

A difference stands until a later check finds that very value equal, or the row's next version;
until a later check lists it again itself; or until its row or version was taken out by a
reorganisation or a replay.
"""

from __future__ import annotations

from collections.abc import Collection

import asyncpg
import msgspec

from indexer.audit import reconcile
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "reconcile")


async def store(
    connection: asyncpg.Connection,
    reconciliation: reconcile.Reconciliation,
    equal: Collection[reconcile.Checked],
    origin: str,
) -> int:
    """Keep a check and settle what it settles; returns its id."""
    async with connection.transaction():
        check: int = await connection.fetchval(
            _SQL["store"],
            origin,
            reconciliation.block_number,
            reconciliation.block_hash,
            reconciliation.committed_block,
            reconciliation.scope,
            reconciliation.pool,
            reconciliation.user,
            reconciliation.sample,
            reconciliation.seed,
            reconciliation.rows,
            reconciliation.asked,
            reconciliation.compared,
            reconciliation.refused,
            len(reconciliation.differences),
            msgspec.json.encode(reconciliation.views).decode(),
            reconciliation.seconds,
        )
        await connection.executemany(
            _SQL["store_difference"],
            [_row(check, difference) for difference in reconciliation.differences],
        )
        await _settle(connection, check, equal)
    return check


def _row(check: int, difference: reconcile.Difference) -> tuple[object, ...]:
    return (
        check,
        difference.table,
        difference.row_id,
        difference.column,
        *(difference.version or (None, None, None)),
        difference.view,
        difference.contract,
        list(difference.calldata),
        difference.ours,
        difference.theirs,
    )


async def _settle(
    connection: asyncpg.Connection, check: int, equal: Collection[reconcile.Checked]
) -> None:
    standing = await connection.fetch(_SQL["standing"], check)
    if not standing:
        return
    rows = {row["row_id"] for row in standing}
    settled = [checked for checked in equal if checked.row_version.row_id in rows]
    versions = [checked.row_version.version or (None, None, None) for checked in settled]
    await connection.execute(
        _SQL["resolve_equal"],
        check,
        [checked.row_version.table for checked in settled],
        [checked.row_version.row_id for checked in settled],
        [checked.column for checked in settled],
        [version[0] for version in versions],
        [version[1] for version in versions],
        [version[2] for version in versions],
        [checked.view for checked in settled],
        [checked.contract for checked in settled],
    )
    await connection.execute(_SQL["resolve_repeated"], check)
    await connection.execute(_SQL["resolve_gone"], check)


async def settle_gone(connection: asyncpg.Connection) -> None:
    """Close what differed in rows that are there no more, in the caller's transaction."""
    await connection.execute(_SQL["resolve_gone"], None)


async def age(connection: asyncpg.Connection, origin: str) -> float | None:
    """Seconds since the last check of this origin; None: there was none."""
    seconds: float | None = await connection.fetchval(_SQL["age"], origin)
    return seconds


async def standing(connection: asyncpg.Connection) -> int:
    """The number of values that are known to differ from the contracts'."""
    count: int = await connection.fetchval(_SQL["count_standing"])
    return count


async def note_failure(
    connection: asyncpg.Connection, name: str, reason: str, *, may_pass: bool
) -> None:
    """Remember that a check could not be done; health is bad where that does not pass."""
    await connection.execute(_SQL["note_failure"], name, reason, may_pass)


async def note_done(connection: asyncpg.Connection, name: str) -> None:
    """Remember that a check was done."""
    await connection.execute(_SQL["note_done"], name)
