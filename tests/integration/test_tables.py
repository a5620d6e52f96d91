"""The descriptions of the tables against the database: what is forgotten is named."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.projections import statements, tables
from indexer.store import sqlfile

DESCRIBED = (*tables.PROJECTIONS, tables.ASSET_SETTINGS, *tables.LOG)

COLUMNS = """
SELECT attname AS name, format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
"""

PRIMARY_KEY = """
SELECT a.attname AS name
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indisprimary AND i.indrelid = $1::text::regclass
ORDER BY k.place
"""

PARENTS = """
SELECT DISTINCT confrelid::regclass::text AS name
FROM pg_constraint
WHERE contype = 'f' AND conrelid = $1::text::regclass
"""


async def test_every_column_is_described(migrated_database_url: str) -> None:
    """A column that no description names would be missing from upserts, loads and digests."""
    connection = await asyncpg.connect(migrated_database_url)
    for table in DESCRIBED:
        types = {row["name"]: row["type"] for row in await connection.fetch(COLUMNS, table.name)}
        assert len(set(table.columns)) == len(table.columns), f"{table.name}: a column twice"
        if forgotten := sorted(types.keys() - set(table.columns)):
            pytest.fail(
                f"projections/tables.py does not describe {table.name}.{forgotten[0]}: add it to "
                "state (it follows from the log alone; raise FOLD_VERSION), display or valuation"
            )
        if unknown := sorted(set(table.columns) - types.keys()):
            pytest.fail(f"{table.name}.{unknown[0]} is described, but no migration makes it")
        stored = {row["name"] for row in await connection.fetch(COLUMNS, table.stored_name)}
        assert stored == set(table.stored_columns), f"what {table.stored_name} holds"
        for name, type_ in types.items():
            if name in table.columns and name not in table.display:
                is_time = type_ == "timestamp with time zone"
                assert is_time == (name in tables.TIMES), (
                    f"{table.name}.{name} is {type_}: tables.TIMES decides how it is digested"
                )
    await connection.close()


async def test_keys_and_parents_are_those_of_the_database(migrated_database_url: str) -> None:
    connection = await asyncpg.connect(migrated_database_url)
    before: set[str] = set()
    for table in DESCRIBED:
        name = "event_log" if table is tables.EVENTS else table.stored_name
        key = [row["name"] for row in await connection.fetch(PRIMARY_KEY, name)]
        assert set(key) == set(table.stored_key), f"{name}: its primary key is {key}"
        parents = {row["name"] for row in await connection.fetch(PARENTS, name)}
        assert parents <= {*table.parents, "blocks"}, f"{table.name} refers to {parents}"
        assert set(table.parents) <= before, f"{table.name} stands before what it refers to"
        before.add(table.name)
    await connection.close()


async def test_stored_valuations_are_read_last_and_numbers_as_text(
    migrated_database_url: str,
) -> None:
    """The check of valuations compares texts, and takes the valuation from the end of a row."""
    connection = await asyncpg.connect(migrated_database_url)
    table = tables.POSITIONS
    types = {row["name"]: row["type"] for row in await connection.fetch(COLUMNS, table.name)}
    numbers = {name for name in (*table.state, *table.valuation) if types.get(name) == "numeric"}
    assert set(table.numbers) == numbers
    text = sqlfile.load("indexer.projections", "stored_valuations")["rows"]
    statement = await connection.prepare(statements.fill(text, table, "public"))
    read = {attribute.name: attribute.type.name for attribute in statement.get_attributes()}
    assert tuple(read)[-len(table.valuation) :] == table.valuation
    assert set(read) == {"block_time", *table.state, "block_number", *table.valuation}
    assert {read[name] for name in numbers} == {"text"}
    assert "numeric" not in read.values()
    await connection.close()
