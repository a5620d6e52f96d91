"""Questions about the catalogue, in a schema whose name is one only in quotes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from indexer.audit import indexes
from indexer.store import sqlfile

SCHEMA = "Vesu Two"
STATEMENTS = (
    ("indexer.query", "export", "relations"),
    ("indexer.store", "catalog", "sizes"),
    ("indexer.store", "maintenance", "tables"),
    ("indexer.store", "maintenance", "indexes"),
)


@pytest.fixture
async def connection(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_database_url)
    yield connection
    await connection.close()


async def move(connection: asyncpg.Connection) -> None:
    """Everything that the migrations made gets into the schema."""
    await connection.execute(f'ALTER SCHEMA public RENAME TO "{SCHEMA}"')
    await connection.execute(f'SET search_path = "{SCHEMA}"')


async def test_every_index_is_found(connection: asyncpg.Connection) -> None:
    await move(connection)
    report = await indexes.check(connection)
    assert report.is_good, report


@pytest.mark.parametrize(("package", "file", "name"), STATEMENTS)
async def test_the_same_relations_are_found(
    connection: asyncpg.Connection, package: str, file: str, name: str
) -> None:
    async def names() -> list[str]:
        rows = await connection.fetch(sqlfile.load(package, file)[name])
        return sorted(str(row["name"]) for row in rows)

    expected = await names()
    assert len(expected) > 20
    await move(connection)
    assert await names() == expected
