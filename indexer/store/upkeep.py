"""VACUUM, ANALYZE and REINDEX of the indexer's tables, while everybody else goes on."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec

from indexer import errors
from indexer.store import catalog, migrate, sqlfile

_SQL = sqlfile.load(__package__, "maintenance")

MAINTENANCE_KEY = 0x5645_5357
"""Advisory lock of whoever maintains the database."""

LEFT_BY_A_KILL = re.compile(r"_cc(new|old)\d*$")
"""How PostgreSQL names the index that a REINDEX CONCURRENTLY builds or replaces."""

ReportProgress = Callable[[int, int, str], None]
"""Steps done, steps in all, and the next one."""


class Done(msgspec.Struct, frozen=True):
    """A step: its statement, the size of its table or index around it, seconds.

    `complaint` is what PostgreSQL said instead of doing it, None where it did.
    """

    statement: str
    seconds: float
    bytes_before: int
    bytes_after: int
    complaint: str | None


@asynccontextmanager
async def alone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """WriterConflictError where another maintenance runs; no statement is timed out inside."""
    if not await connection.fetchval(_SQL["try"], MAINTENANCE_KEY):
        raise errors.WriterConflictError(
            "another maintenance of this database is running: try again when it is done"
        )
    await connection.execute("SET statement_timeout = 0")
    yield


async def table_sizes(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """The indexer's tables with their sizes and row counts, the largest first."""
    relations = migrate.relations(migrate.known())
    return [row for row in await connection.fetch(_SQL["tables"]) if row["name"] in relations]


async def index_rows(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """The indexer's indexes with their sizes, use and validity."""
    relations = migrate.relations(migrate.known())
    return [
        row for row in await connection.fetch(_SQL["indexes"]) if row["table_name"] in relations
    ]


async def tables(connection: asyncpg.Connection) -> list[str]:
    """The indexer's tables, the largest first."""
    return [row["name"] for row in await table_sizes(connection)]


async def analyze(connection: asyncpg.Connection) -> None:
    """Gather the planner's statistics of all tables anew."""
    for table in (await catalog.tables(connection)).values():
        await connection.execute(f"ANALYZE {table}")


async def vacuum(
    connection: asyncpg.Connection, report: ReportProgress, *, vacuum: bool, analyze: bool
) -> list[Done]:
    """VACUUM, ANALYZE or both, table by table. Neither waits for readers or writers."""
    command = "VACUUM (ANALYZE)" if vacuum and analyze else "VACUUM" if vacuum else "ANALYZE"
    names = await tables(connection)
    return await _each(
        connection, [(f"{command} {sqlfile.quoted(name)}", name) for name in names], report
    )


async def reindex(connection: asyncpg.Connection, report: ReportProgress) -> list[Done]:
    """Build every index anew beside the old one; first clear what a killed REINDEX left.

    The index of an exclusion constraint is passed over: PostgreSQL builds none beside it.
    WriterConflictError: another session builds an index, which must not be taken for a leftover.
    """
    if await connection.fetchval(_SQL["builds"]):
        raise errors.WriterConflictError(
            "another session is building an index in this database: try again when it is done"
        )
    rows = await index_rows(connection)
    left = [row["name"] for row in rows if is_leftover(row)]
    steps = [(f"DROP INDEX CONCURRENTLY {sqlfile.quoted(name)}", name) for name in left]
    steps += [
        (f"REINDEX INDEX CONCURRENTLY {sqlfile.quoted(row['name'])}", row["name"])
        for row in rows
        if row["name"] not in left and not row["is_exclusion"]
    ]
    return await _each(connection, steps, report)


def is_leftover(row: asyncpg.Record) -> bool:
    """Whether an index is the half-built one of a REINDEX CONCURRENTLY that did not end."""
    return not row["is_valid"] and LEFT_BY_A_KILL.search(row["name"]) is not None


async def _each(
    connection: asyncpg.Connection, steps: Sequence[tuple[str, str]], report: ReportProgress
) -> list[Done]:
    warnings: list[str] = []

    def heard(_: Any, message: Any) -> None:
        # A table that the role may not maintain is skipped with a warning, not an error.
        if message.severity_en == "WARNING":
            warnings.append(message.message)

    connection.add_log_listener(heard)
    done = []
    try:
        for count, (statement, subject) in enumerate(steps):
            report(count, len(steps), statement)
            warnings.clear()
            done.append(await _step(connection, statement, subject, warnings))
        report(len(steps), len(steps), "")
    finally:
        connection.remove_log_listener(heard)
    return done


async def _step(
    connection: asyncpg.Connection, statement: str, subject: str, warnings: list[str]
) -> Done:
    before = await _size(connection, subject)
    began = time.monotonic()
    complaint = None
    try:
        await connection.execute(statement)
    except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError) as error:
        # The table is busy with something that does not let go; the next one may not be.
        complaint = str(error)
    complaint = complaint or ("; ".join(warnings) or None)
    seconds = time.monotonic() - began
    return Done(statement, round(seconds, 3), before, await _size(connection, subject), complaint)


async def _size(connection: asyncpg.Connection, name: str) -> int:
    size = await connection.fetchval(_SQL["size"], name)
    return int(size or 0)
