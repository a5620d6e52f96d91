"""Every SQL statement of the package against the tables that the migrations make."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from indexer.audit import digest
from indexer.projections import statements, tables
from indexer.projections.shadow import build
from indexer.store import sqlfile

PACKAGE = Path(str(resources.files("indexer")))
FILES = sorted(
    (".".join(("indexer", *path.parent.relative_to(PACKAGE).parts)), path.stem)
    for path in PACKAGE.rglob("*.sql")
    if not path.is_relative_to(PACKAGE / "_migrations")
)
"""Package and name of every file of statements."""

PLACEHOLDER = re.compile(r"\{\w+\}")
"""An identifier to be filled in; not an empty array, '{}'."""


HISTORIES, EFFECTS, EVENTS = tables.HISTORIES, tables.EFFECTS, (tables.DECODED_EVENTS,)
VERSIONED = tuple(table for table in tables.CURRENT if table.versions)
VIEWS = tuple(table.past for table in VERSIONED)
FOR_SOME = {
    "bring_settings": (tables.ASSET_SETTINGS,),
    "put_settings": (tables.ASSET_SETTINGS,),
    "create_version_index": tables.CURRENT,
    "versions_without_row": VERSIONED,
    "create_suspected": VIEWS,
    "suspect_versions": VIEWS,
    "suspect_of_rows": VERSIONED,
    "suspect_of_settings": (tables.ASSETS,),
    "mark_suspected": VIEWS,
    "bring_foundation": HISTORIES,
    "drop_foundation": HISTORIES,
    "create_block_index": HISTORIES + EFFECTS,
    "mark_appended": HISTORIES + EFFECTS,
    "count_appended": HISTORIES + EFFECTS,
    "first_of_rows": EFFECTS,
    "drop_appended": EFFECTS,
    "copy_current": tables.CURRENT,
    "mark_current": tables.CURRENT,
    "mark_recent": tables.CURRENT,
    "count_current": tables.CURRENT,
    "last_versions_differ": HISTORIES,
    "first_of_keys": HISTORIES,
    "keep_contracts": (tables.CONTRACTS, tables.CONTRACTS.past),
    "keep_pool": tuple(
        table
        for table in tables.PROJECTIONS
        if table not in (tables.CONTRACTS, tables.CONTRACTS.past)
    ),
    "list_rows": (tables.POSITIONS, tables.POOLS, tables.ASSETS),
    "mark_events": EVENTS,
    "put_derived": EVENTS,
    "mark_revalued": (tables.POSITIONS,),
    "marked_active": (tables.POSITIONS,),
    "late_fees": (tables.TRANSACTIONS,),
    "late_fees_of_marked": (tables.TRANSACTIONS,),
    "mark_keys": (tables.POSITIONS,),
    "count_events": EVENTS,
    "count_column_of_events": EVENTS,
    "examples_of_events": EVENTS,
}
"""Statements that do not go for every projection."""

STAGE = ("indexer.projections", "storage", "stage")
SUSPECT = ("indexer.projections.shadow", "compared_versions", "create_suspected")
ROOM = {
    "upsert_staged": STAGE,
    "drop_staged": STAGE,
    "suspect_versions": SUSPECT,
    "suspect_of_rows": SUSPECT,
    "suspect_of_settings": SUSPECT,
    "analyze_suspected": SUSPECT,
    "mark_suspected": SUSPECT,
    "drop_suspected": SUSPECT,
}
"""Statements of a temporary table, and the one that makes it."""


def test_every_projection_is_digested() -> None:
    log = {table.name for table in tables.LOG}
    hashed = {table.name for table in digest.DIGESTED} - log
    assert hashed == {table.name for table in (*tables.PROJECTIONS, tables.EVENT_PRICES)}


async def test_every_statement_fits_the_tables(migrated_database_url: str) -> None:
    """A column that a migration renames, or a parameter without a type, is found here."""
    connection = await asyncpg.connect(migrated_database_url)
    await _make_shadow(connection)
    prepared = 0
    for package, file in FILES:
        for name, statement in sqlfile.load(package, file).items():
            for table, filled in _filled(file, name, statement):
                try:
                    async with connection.transaction():
                        await _make_room(connection, name, table)
                        await connection.prepare(filled)
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{package} {file}.sql, {name}: {error}\n{filled}")
                prepared += 1
    await connection.close()
    assert prepared > 50


async def _make_room(connection: asyncpg.Connection, name: str, table: tables.Table) -> None:
    """Make the temporary table that a statement works on, if it does."""
    if name in ROOM:
        package, file, made_by = ROOM[name]
        about = table if made_by == "stage" or not table.versions else table.past
        made = sqlfile.load(package, file)[made_by]
        await connection.execute(statements.fill(made, about, "public"))


async def _make_shadow(connection: asyncpg.Connection) -> None:
    """Everything that the statements of a shadow replay may name."""
    made = sqlfile.load("indexer.projections.shadow", "build")
    swap = sqlfile.load("indexer.projections.shadow", "swap")
    async with connection.transaction():
        await build.create(connection, "public")
    for table in (*tables.PROJECTIONS, tables.DECODED_EVENTS):
        if table in HISTORIES:
            await connection.execute(statements.fill(made["create_touched"], table, "public"))
        await connection.execute(statements.fill(swap["create"], table, "public"))


def _filled(file: str, name: str, statement: str) -> list[tuple[tables.Table, str]]:
    """The statement as it is, or for each table that it goes for."""
    if not PLACEHOLDER.search(statement):
        # psycopg's parameters, as migrations' own connection takes them.
        return [(tables.POSITIONS, re.sub(r"%\(\w+\)s", "$1", statement))]
    if file == "digest":
        return [
            (table, digest.statement(name, table))
            for table in digest.DIGESTED
            if table.is_appended == (name == "log_at")
        ]
    if file in ("revaluation", "stored_valuations"):
        wanted: tuple[tables.Table, ...] = (tables.POSITIONS,)
    elif file == "storage":
        wanted = FOR_SOME.get(name, tables.CURRENT)
    else:
        is_history = "{history}" in statement
        wanted = FOR_SOME.get(name, HISTORIES if is_history else tables.PROJECTIONS)
    return [(table, statements.fill(statement, table, "public")) for table in wanted]
