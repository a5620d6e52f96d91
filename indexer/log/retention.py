"""Retention of the audit tables: deletes what reorganisations took out of the log, by age."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import msgspec

from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "retention")


class Expired(msgspec.Struct, frozen=True):
    """What is older than the retention allows, by table; `deleted` tells whether it is gone."""

    days: int
    deleted: bool
    reorgs: int
    orphaned_events: int
    orphaned_observations: int
    completeness_gaps: int
    observation_gaps: int


TABLES = ("orphaned_events", "orphaned_observations", "completeness_gaps", "observation_gaps")
"""The tables whose rows belong to a reorganisation."""

DROPS = ("drop_events", "drop_observations", "drop_gaps", "drop_observation_gaps", "drop_reorg")
"""The statements that delete one reorganisation."""


async def look(connection: asyncpg.Connection, days: int) -> Expired:
    """What a retention of so many days (0: for ever) would delete. Changes nothing."""
    rows = await _expired(connection, days)
    return _summed(rows, days, deleted=False)


async def apply(
    connection: asyncpg.Connection, days: int, report: Callable[[int, int], None]
) -> Expired:
    """Delete it, one reorganisation a transaction; the daemon may go on meanwhile.

    An unfinished replay follows the chain by these rows: the caller makes sure that there is none.
    """
    rows = await _expired(connection, days)
    for done, row in enumerate(rows, start=1):
        async with connection.transaction():
            for statement in DROPS:
                await connection.execute(_SQL[statement], row["id"])
        report(done, len(rows))
    return _summed(rows, days, deleted=True)


async def _expired(connection: asyncpg.Connection, days: int) -> list[asyncpg.Record]:
    if days == 0:
        return []
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["expired"], days)
    return rows


def _summed(rows: list[asyncpg.Record], days: int, *, deleted: bool) -> Expired:
    counts = {table: sum(row[table] for row in rows) for table in TABLES}
    return Expired(days, deleted, len(rows), **counts)
