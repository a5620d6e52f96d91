"""Every SQL statement of the package against the tables that the migrations make."""

from __future__ import annotations

from importlib import resources

import asyncpg
import pytest

from indexer.store import sqlfile

FILES = sorted(
    entry.name.removesuffix(".sql")
    for entry in (resources.files("indexer.store") / "sql").iterdir()
    if entry.name.endswith(".sql")
)


async def test_every_statement_fits_the_tables(migrated_database_url: str) -> None:
    """A column that a migration renames, or a parameter without a type, is found here."""
    connection = await asyncpg.connect(migrated_database_url)
    statements = sqlfile.load("shadow")
    for name in ("create_schema", "create_progress"):
        await connection.execute(statements[name])
    prepared = 0
    for file in FILES:
        for name, statement in sqlfile.load(file).items():
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{file}.sql, {name}: {error}")
            prepared += 1
    await connection.close()
    assert prepared > 50
