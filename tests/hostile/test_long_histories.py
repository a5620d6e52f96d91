"""A row's version at a block is one step in an index, however many versions other rows have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import asyncpg

from indexer.projections import statements, storage, tables, world
from indexer.store import sqlfile
from tests import postgres
from tests.hostile import chain

LAST = 600

OTHERS = """
    WITH other AS (SELECT md5(n::text)::uuid AS id FROM generate_series(1, 20) AS n),
    added AS (
        INSERT INTO {name} SELECT (jsonb_populate_record(
            NULL::{name}, to_jsonb(t) || jsonb_build_object('id', other.id))).*
        FROM (SELECT * FROM {name} LIMIT 1) t, other
    )
    INSERT INTO {versions} SELECT (jsonb_populate_record(
        NULL::{versions}, to_jsonb(v) || jsonb_build_object('id', other.id))).*
    FROM (SELECT * FROM {versions} ORDER BY block_number LIMIT 1) v, other
"""
"""Twenty rows more, each with one version."""

BUSY = f"""
    INSERT INTO {{versions}} SELECT (jsonb_populate_record(
        NULL::{{versions}},
        to_jsonb(v) || jsonb_build_object('block_number', block, 'id', md5(n::text)::uuid))).*
    FROM (SELECT * FROM {{versions}} ORDER BY block_number LIMIT 1) v,
        generate_series(100, {LAST}) AS block, generate_series(1, 20) AS n
    ORDER BY block
"""
"""Many versions more of these, as they come: block by block."""


async def test_versions_of_others_are_not_read() -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        connection = await asyncpg.connect(url)
        for table in (tables.ASSETS, tables.POOLS):
            await connection.execute(statements.fill(OTHERS, table))
        before = await of_block(connection, 4)
        for table in (tables.ASSETS, tables.POOLS):
            await connection.execute(statements.fill(BUSY, table))
        await connection.execute("ANALYZE")
        assert await of_block(connection, 4) == before
        statement = sqlfile.load("indexer.projections", "storage")["versions_of_pools"]
        for table in (tables.CONTRACTS, tables.ASSETS, tables.POOLS):
            plan = await connection.fetchval(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statements.fill(statement, table)}",
                LAST // 2,
                None,
            )
            scanned = list(scans(json.loads(plan)[0]["Plan"], "v"))
            assert scanned, table.name
            assert all(rows < 100 for rows in scanned), (table.name, scanned)
        await connection.close()


async def of_block(connection: asyncpg.Connection, block: int) -> list[Any]:
    """Contracts, assets and pairs as they were at a block."""
    loaded = await world.at_block(connection, block)
    every = await world.in_history(connection, block)
    assert loaded.world == every.world
    found = await storage.versions_of_pools(connection, tables.ASSETS, block, None)
    return [loaded.world, sorted(map(tuple, found))]


def scans(node: dict[str, Any], alias: str) -> Iterator[float]:
    """The rows that each scan of a table by this alias looked at, all its turns together."""
    if node.get("Alias") == alias:
        looked = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        yield looked * node["Actual Loops"]
    for inner in node.get("Plans", ()):
        yield from scans(inner, alias)


async def test_a_replay_gathers_statistics_where_there_are_none() -> None:
    """Without them PostgreSQL takes filled tables for empty ones, and compares them by loops."""
    gathered = """
        SELECT bool_and(reltuples >= 0) FROM pg_class
        WHERE relname IN ('vesu_positions', 'vesu_transactions', 'asset_versions',
            'position_versions', 'pool_versions')
            AND relnamespace = 'public'::regnamespace
    """
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        assert not await postgres.value(url, gathered)
        await chain.replayed(url)
        assert await postgres.value(url, gathered)
