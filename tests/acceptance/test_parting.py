"""`digest --compare`: two databases that differ in one row are told apart, by block and table."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from indexer.recording import server
from tests import postgres
from tests.acceptance import refusal, stage, truth

NOWHERE = "http://127.0.0.1:1"

SHOWN_AS = {"asset_versions": "vesu_asset_history", "event_log": "events"}
"""The views that show stored tables."""


@pytest.fixture(scope="module")
async def other_machine(recorded: truth.Recorded) -> AsyncIterator[str]:
    """A second database of the same chain, to be copied."""
    async with stage.filled(recorded) as url:
        yield url


@pytest.mark.parametrize(
    ("table", "where", "change"),
    [
        ("vesu_transactions", "block_number = 35 AND leg = 0", "amount_raw = amount_raw + 1"),
        ("asset_versions", "block_number = 58", "reserve = reserve - 1"),
        ("event_log", "block_number = 100", r"data = data || '\x0101'::bytea"),
    ],
)
async def test_the_parting_block_and_table_are_found(
    other_machine: str,
    indexed_url: str,
    recorded: truth.Recorded,
    table: str,
    where: str,
    change: str,
) -> None:
    async with postgres.fresh_database(copy_of=other_machine) as url:
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
    assert SHOWN_AS.get(table, table) in found["tables"]
    assert found["questions"] <= 9


async def test_databases_at_different_blocks_compare_up_to_the_lower(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(recorded.chain) as node:
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
    await connection.execute("TRUNCATE vesu_sampled_prices")
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


async def test_a_machine_that_samples_and_one_that_does_not(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    """What sampling alone makes is named as not compared; one unit of an amount is a difference."""
    async with stage.filled(recorded, VESU_PRICES_SAMPLE_SECONDS="0") as url:
        sampled = "SELECT FROM vesu_sampled_prices"
        assert len(await postgres.fetch(indexed_url, sampled)) > 8
        assert not await postgres.fetch(url, sampled)
        environ = stage.environment(recorded, NOWHERE, url)
        mine = await stage.json_of(environ, "digest")
        theirs = await stage.json_of(stage.environment(recorded, NOWHERE, indexed_url), "digest")
        assert mine == theirs
        _, out, _ = await stage.command(environ, "digest", "--compare", indexed_url)
        same, not_compared = out.splitlines()
        assert same == f"Both hold the same up to block {recorded.last_block}."
        for table in ("vesu_sampled_prices", "columns of vesu_assets", "columns of vesu_positions"):
            assert table in not_compared
        assert "may differ by when each machine sampled prices" in not_compared
        await postgres.fetch(
            url,
            "UPDATE vesu_transactions SET amount_raw = amount_raw + 1 WHERE id = "
            "(SELECT id FROM vesu_transactions WHERE amount_raw IS NOT NULL ORDER BY id LIMIT 1) "
            "RETURNING id",
        )
        _, out, _ = await stage.command(environ, "digest", "--compare", indexed_url, expect=1)
        parted, *_, wrong, not_compared = out.splitlines()
        assert parted.endswith(": vesu_transactions")
        assert wrong == "None of these may differ: one of the two databases is wrong."
        assert "vesu_transactions" not in not_compared


@pytest.mark.parametrize(
    ("statement", "code", "words"),
    [
        (
            "UPDATE cursor SET fold_version = fold_version - 1",
            3,
            "--from-block 0` here, with the newer version, then compare",
        ),
        ("UPDATE cursor SET chain_id = '0x534e5f4d41494e'", 2, "hold two chains"),
        (
            "DELETE FROM _yoyo_migration WHERE migration_id = '0031_prices'",
            3,
            "lacks migrations: 1, 0031_prices is the first; run `vesu-indexer migrate` on it",
        ),
        (
            "INSERT INTO _yoyo_migration (migration_hash, migration_id) VALUES ('z', '9999_later')",
            3,
            "was made by a newer indexer (it holds 9999_later): ask with that version",
        ),
    ],
    ids=["fold", "chain", "older schema", "newer schema"],
)
async def test_databases_that_cannot_be_compared_say_what_to_do(
    indexed_copy: str,
    indexed_url: str,
    recorded: truth.Recorded,
    statement: str,
    code: int,
    words: str,
) -> None:
    connection = await asyncpg.connect(indexed_copy)
    await connection.execute(statement)
    await connection.close()
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    line = await refusal.refused(environ, "digest", "--compare", indexed_url, code=code)
    assert words in line
    environ = stage.environment(recorded, NOWHERE, indexed_url)
    line = await refusal.refused(environ, "digest", "--compare", indexed_copy, code=code)
    assert words.replace("here", "in the other") in line
