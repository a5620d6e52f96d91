"""`digest --compare`: two databases that differ in one row are told apart, by block and table."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.recording import chain, server
from tests import postgres
from tests.acceptance import stage, truth

NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("table", "where", "change"),
    [
        ("vesu_transactions", "block_number = 35 AND leg = 0", "amount_raw = amount_raw + 1"),
        ("vesu_asset_history", "block_number = 58", "reserve = reserve - 1"),
        ("events", "block_number = 100", "data = data || '0x1'::text"),
    ],
)
async def test_the_parting_block_and_table_are_found(
    indexed_url: str, recorded: truth.Recorded, table: str, where: str, change: str
) -> None:
    async with postgres.fresh_database() as url:
        async with server.RecordingServer(chain.load(recorded.folder)) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(
                environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
            )
        environ = stage.environment(recorded, NOWHERE, url)
        same = await stage.json_of(environ, "digest", "--compare", indexed_url)
        assert same["first_block"] is None
        assert same["current"] == []
        connection = await asyncpg.connect(url)
        block = await connection.fetchval(
            f"UPDATE {table} SET {change} WHERE ctid = "
            f"(SELECT ctid FROM {table} WHERE {where} LIMIT 1) RETURNING block_number"
        )
        await connection.close()
        found = await stage.json_of(environ, "digest", "--compare", indexed_url, expect=1)
    assert found["first_block"] == block
    assert table in found["tables"]
    assert found["questions"] <= 9


async def test_databases_at_different_blocks_compare_up_to_the_lower(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    async with postgres.fresh_database() as url:
        async with server.RecordingServer(chain.load(recorded.folder)) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(environ, "run", "--until-block", "70", "--no-serve")
        environ = stage.environment(recorded, NOWHERE, url)
        found = await stage.json_of(environ, "digest", "--compare", indexed_url)
    assert found["compared_to"] == 70
    assert found["first_block"] is None


async def test_other_samples_are_no_difference(
    indexed_copy: str, indexed_url: str, recorded: truth.Recorded
) -> None:
    """A machine that sampled other prices is not wrong; one whose state differs is."""
    connection = await asyncpg.connect(indexed_copy)
    await connection.execute("UPDATE vesu_assets SET price = price + 1, price_block = 1")
    await connection.execute(
        "INSERT INTO vesu_sampled_prices SELECT pool_id, asset_id, pool_address, protocol, "
        "asset_address, block_number, block_hash, timestamp, price + 1, is_valid, 'sample', 1 "
        "FROM vesu_event_prices"
    )
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    found = await stage.json_of(environ, "digest", "--compare", indexed_url)
    assert (found["first_block"], found["current"]) == (None, [])
    samples = await stage.json_of(environ, "digest", "--samples")
    other = stage.environment(recorded, NOWHERE, indexed_url)
    assert samples != await stage.json_of(other, "digest", "--samples")
    await connection.execute("UPDATE vesu_positions SET nominal_debt = nominal_debt + 1")
    await connection.close()
    _, out, _ = await stage.command(environ, "digest", "--compare", indexed_url, expect=1)
    assert "Current rows differ in: vesu_positions" in out
    assert "None of these may differ: one of the two databases is wrong" in out
