"""Every SQL statement of the package against the tables that the migrations make."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from indexer.audit import digest, digested
from indexer.projections import shadow_tables
from indexer.store import sqlfile

PACKAGE = Path(str(resources.files("indexer")))
FILES = sorted(
    (".".join(("indexer", *path.parent.relative_to(PACKAGE).parts)), path.stem)
    for path in PACKAGE.rglob("*.sql")
    if not path.is_relative_to(PACKAGE / "_migrations")
)
"""Package and name of every file of statements."""


HISTORIES, EFFECTS, EVENTS = (
    shadow_tables.HISTORIES,
    shadow_tables.EFFECTS,
    (shadow_tables.EVENTS,),
)
FOR_SOME = {
    "analyze_live": EVENTS,
    "create_block_index": HISTORIES + EFFECTS,
    "mark_appended": HISTORIES + EFFECTS,
    "count_appended": HISTORIES + EFFECTS,
    "first_of_rows": EFFECTS,
    "copy_current": shadow_tables.CURRENT,
    "mark_current": shadow_tables.CURRENT,
    "mark_recent": shadow_tables.CURRENT,
    "count_current": shadow_tables.CURRENT,
    "last_versions_differ": HISTORIES,
    "first_of_keys": HISTORIES,
    "mark_events": EVENTS,
    "put_derived": EVENTS,
    "count_events": EVENTS,
    "count_column_of_events": EVENTS,
    "examples_of_events": EVENTS,
}
"""Statements of the shadow that do not go for every table."""


def test_every_projection_is_built_in_the_shadow() -> None:
    """A table that is missing there would be written live by a shadow replay."""
    log = {"events", "receipts", "observations"}
    hashed = {*digested.STATE_TABLES, *digested.LOG_TABLES} - log
    assert hashed == {table.name for table in shadow_tables.TABLES}


async def test_every_statement_fits_the_tables(migrated_database_url: str) -> None:
    """A column that a migration renames, or a parameter without a type, is found here."""
    connection = await asyncpg.connect(migrated_database_url)
    await _make_shadow(connection)
    prepared = 0
    for package, file in FILES:
        for name, statement in sqlfile.load(package, file).items():
            for filled in await _filled(connection, file, name, statement):
                try:
                    await connection.prepare(filled)
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{package} {file}.sql, {name}: {error}\n{filled}")
                prepared += 1
    await connection.close()
    assert prepared > 50


async def _make_shadow(connection: asyncpg.Connection) -> None:
    """Everything that the statements of a shadow replay may name."""
    shadow = sqlfile.load("indexer.projections", "shadow")
    parted = sqlfile.load("indexer.projections", "shadow_parted")
    for name in ("create_schema", "create_progress", "create_derived"):
        await connection.execute(shadow[name])
    for table in (*shadow_tables.TABLES, shadow_tables.EVENTS):
        if table is not shadow_tables.EVENTS:
            await connection.execute(_fill(shadow["create_table"], table))
        if table in HISTORIES:
            await connection.execute(_fill(shadow["create_touched"], table))
        await connection.execute(_fill(parted["create"], table))


async def _filled(
    connection: asyncpg.Connection, file: str, name: str, statement: str
) -> list[str]:
    """The statement as it is, or for each table that it goes for."""
    if "{" not in statement:
        return [statement]
    if file == "digest":
        hashed = digested.LOG_TABLES if name == "log_at" else digested.STATE_TABLES
        return [digest.statement(name, table) for table in hashed]
    tables = FOR_SOME.get(name, HISTORIES if "{history}" in statement else shadow_tables.TABLES)
    return [
        _fill(statement, table, await shadow_tables.columns(connection, "public", table))
        for table in tables
    ]


def _fill(text: str, table: shadow_tables.Table, columns: list[str] | None = None) -> str:
    return shadow_tables.statement(text, "public", table, columns)
