"""What a database administrator would look at: sizes, dead rows, indexes, long transactions.

It reads statistics alone and changes nothing. The indexes that the indexer promises (the users'
guide's 24 and those that its own reads need) are never advised away: they are listed as kept.
"""

from __future__ import annotations

import datetime

import asyncpg
import msgspec

from indexer.audit import indexes
from indexer.store import sqlfile, upkeep

_SQL = sqlfile.load(__package__, "advice")

LONG_SECONDS = 300.0
DEAD_SHARE, DEAD_ROWS = 0.2, 1_000
BLOAT_FACTOR, BLOAT_BYTES = 2, 1 << 20
"""An index counts as bloated from so many times its expected size on, and above so many bytes."""


class Table(msgspec.Struct, frozen=True):
    """A table's sizes in bytes (`total_bytes` with indexes) and its rows by the statistics."""

    name: str
    total_bytes: int
    index_bytes: int
    live_rows: int
    dead_rows: int
    vacuumed_at: datetime.datetime | None
    analyzed_at: datetime.datetime | None


class Advice(msgspec.Struct, frozen=True):
    """One finding, and the command or statement that puts it right; None: judge for yourself."""

    kind: str
    subject: str
    finding: str
    remedy: str | None


class AdviceReport(msgspec.Struct, frozen=True):
    """The whole advice. `kept`: indexes without a scan, or covered by others, that stay anyway."""

    tables: list[Table]
    advice: list[Advice]
    kept: list[Advice]
    counting_since: datetime.datetime | None


async def read(connection: asyncpg.Connection) -> AdviceReport:
    """Check tables, indexes and transactions, and give the advice."""
    tables = [Table(*row.values()) for row in await upkeep.table_sizes(connection)]
    rows = await upkeep.index_rows(connection)
    since = await connection.fetchval(_SQL["counting_since"])
    advice = [
        *_lacking(await indexes.check(connection)),
        *[suggestion for table in tables for suggestion in _of_table(table)],
        *[suggestion for row in rows if (suggestion := _broken(row))],
        *[suggestion for row in rows if (suggestion := _bloated(row))],
        *[
            _transaction(row)
            for row in await connection.fetch(_SQL["long_transactions"], LONG_SECONDS)
        ],
    ]
    promised = indexes.promised()
    spare = [suggestion for row in rows if (suggestion := _spare(row, rows, promised))]
    kept = [suggestion for suggestion in spare if suggestion.subject.partition(".")[2] in promised]
    return AdviceReport(
        tables, advice + [suggestion for suggestion in spare if suggestion not in kept], kept, since
    )


def _lacking(report: indexes.IndexReport) -> list[Advice]:
    """Promised indexes that are not there or are others, with the statements that make them."""
    made_by = indexes.statements()
    missing = [
        Advice("missing index", name, "questions count on it", made_by[name.partition(".")[2]])
        for name in report.missing
    ]
    others = [
        Advice(
            "other index",
            name,
            "it is not what the migrations make",
            f"DROP INDEX {index}; {made_by[index]}",
        )
        for name in report.differing
        for index in [name.partition(".")[2]]
    ]
    return [*missing, *others]


def _of_table(table: Table) -> list[Advice]:
    found = []
    rows = table.live_rows + table.dead_rows
    if table.dead_rows > max(DEAD_ROWS, DEAD_SHARE * rows):
        share = f"{table.dead_rows:,} of {rows:,} rows are dead"
        found.append(Advice("dead rows", table.name, share, "vesu-indexer maintenance --vacuum"))
    if table.live_rows > DEAD_ROWS and table.analyzed_at is None:
        finding = "the planner has no statistics of it"
        found.append(
            Advice("no statistics", table.name, finding, "vesu-indexer maintenance --analyze")
        )
    return found


def _broken(row: asyncpg.Record) -> Advice | None:
    if row["is_valid"]:
        return None
    name = sqlfile.quoted(row["name"])
    if upkeep.is_leftover(row):
        finding, remedy = "left by a REINDEX that did not end", f"DROP INDEX CONCURRENTLY {name};"
    else:
        finding, remedy = "invalid: no query uses it", f"REINDEX INDEX CONCURRENTLY {name};"
    return Advice("invalid index", _subject(row), finding, remedy)


def _bloated(row: asyncpg.Record) -> Advice | None:
    expected = row["expected_bytes"]
    if expected is None or not row["bytes"] > max(BLOAT_BYTES, BLOAT_FACTOR * expected):
        return None
    finding = f"{row['bytes']:,} bytes where about {expected:,} would do (an estimate)"
    remedy = f"REINDEX INDEX CONCURRENTLY {sqlfile.quoted(row['name'])};"
    return Advice("bloated index", _subject(row), finding, remedy)


def _spare(row: asyncpg.Record, rows: list[asyncpg.Record], promised: set[str]) -> Advice | None:
    """An index that no query uses, as far as this server's statistics show."""
    if row["is_constraint"] or not row["is_valid"]:
        return None
    name, remedy = row["name"], f"DROP INDEX CONCURRENTLY {sqlfile.quoted(row['name'])};"
    others = [
        other
        for other in rows
        if other["table_name"] == row["table_name"] and other["name"] != name and other["is_valid"]
    ]
    # Of two alike one must stay: a constraint's, a promised one, or the first by name.
    alike = [other for other in others if other["key"] == row["key"]]
    better = [
        other
        for other in alike
        if other["is_constraint"]
        or (other["name"] in promised, name) > (name in promised, other["name"])
    ]
    if better:
        finding = f"the same columns and rows as {better[0]['name']}"
        return Advice("duplicate index", _subject(row), finding, remedy)
    columns = row["columns"]
    longer = [other for other in others if columns and other["columns"][: len(columns)] == columns]
    covering = next((other for other in longer if len(other["columns"]) > len(columns)), None)
    if row["scans"] == 0:
        return Advice("unused index", _subject(row), "no scan on this server so far", remedy)
    if covering is not None:
        finding = f"its columns are the first of {covering['name']}"
        return Advice("covered index", _subject(row), finding, None)
    return None


def _transaction(row: asyncpg.Record) -> Advice:
    session = ", ".join(part for part in (row["role"], row["application"], row["state"]) if part)
    finding = f"open for {row['seconds']:,.0f} s ({session}): no vacuum removes what died since"
    name = row["name"].replace("'", "''")
    remedy = (
        f"ROLLBACK PREPARED '{name}';"
        if row["state"] == "prepared"
        else f"SELECT pg_terminate_backend({name});"
    )
    return Advice("long transaction", row["name"], finding, remedy)


def _subject(row: asyncpg.Record) -> str:
    return f"{row['table_name']}.{row['name']}"
