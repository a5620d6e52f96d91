"""The index check knows every index that the migrations make, those of the guide among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexer.audit import indexes
from tests import postgres

GUIDE = Path(__file__).parents[1] / "data" / "index-names.json"
EXPECTED = {(table, name) for table, names in indexes.EXPECTED.items() for name in names}


@pytest.fixture
async def made() -> set[tuple[str, str]]:
    """The indexes of a migrated database with their tables, but for those of constraints."""
    async with postgres.fresh_database(migrated=True) as url:
        rows = await postgres.fetch(
            url,
            """
            SELECT indrelid::regclass::text AS table_name, indexrelid::regclass::text AS index_name
            FROM pg_index
            JOIN pg_class ON pg_class.oid = indexrelid
            WHERE relnamespace = current_schema()::regnamespace
                AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
            """,
        )
    return {(row["table_name"], row["index_name"]) for row in rows}


async def test_every_index_that_the_migrations_leave_is_expected(
    made: set[tuple[str, str]],
) -> None:
    assert made == EXPECTED


async def test_every_index_of_the_guide_is_there(made: set[tuple[str, str]]) -> None:
    named = json.loads(GUIDE.read_text("utf-8"))
    guide = {(table, name) for table, names in named.items() for name in names}
    assert len(guide) == 24
    assert guide <= made
