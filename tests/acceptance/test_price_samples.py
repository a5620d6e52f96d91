"""Samples of prices back to the beginning: health at past blocks, repairs, machines that agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from indexer import errors
from indexer.log import blocks_by_time, cursor
from indexer.query import positions
from indexer.recording import server
from tests import postgres
from tests.acceptance import stage, test_prices, truth

BLOCKS = 20
REACHED = "SELECT min(block_number) <= $1 AND max(block_number) = $2 FROM price_samplings"
SPOIL = """
DELETE FROM events
WHERE (block_number, transaction_index, event_index) IN (
    SELECT block_number, transaction_index, event_index FROM events
    WHERE name = 'ModifyPosition' AND block_number < 110
    ORDER BY block_number DESC LIMIT 1
)
RETURNING block_number
"""


def judged(recorded: truth.Recorded) -> dict[int, dict[tuple[int, ...], bool]]:
    """By block: pool, collateral, debt and user → whether the contract takes it for healthy."""
    found: dict[int, dict[tuple[int, ...], bool]] = {}
    for block, pool, calldata, result in recorded.answered("check_collateralization"):
        found.setdefault(block, {})[(pool, *calldata)] = bool(result[0])
    return found


@pytest.fixture(scope="module")
async def filled(recorded: truth.Recorded) -> AsyncIterator[str]:
    """A database that was filled at once, and sampled back to the beginning afterwards."""
    loaded = recorded.chain
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded) as node,
    ):
        environ = stage.environment(
            recorded,
            node.url,
            url,
            VESU_PRICES_SAMPLE_SECONDS="1",
            VESU_PRICES_BACKFILL_SECONDS="1",
        )
        process = await stage.start(environ, "run", "--no-serve")
        await test_prices.committed(url, recorded.hashes[recorded.last_block])
        first = min(judged(recorded))
        try:
            async with asyncio.timeout(300):
                while not await postgres.value(url, REACHED, first, recorded.last_block):
                    assert process.returncode is None, await process.communicate()
                    await asyncio.sleep(0.2)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()
        yield url


async def test_health_at_past_blocks_is_on_the_contracts_side_of_one(
    filled: str, recorded: truth.Recorded
) -> None:
    answers = judged(recorded)
    blocks = sorted(answers)
    chosen = [blocks[place * (len(blocks) - 1) // (BLOCKS - 1)] for place in range(BLOCKS)]
    compared, wrong, aged = 0, [], 0
    connection = await asyncpg.connect(filled)
    try:
        for block in chosen:
            at = await positions.find(connection, at=block)
            for one in at.positions:
                key = (one.pool_id, one.collateral_address, one.debt_address or "0x0", one.user_id)
                is_safe = answers[block].get(tuple(int(text, 16) for text in key))
                if one.health is None or is_safe is None:
                    continue
                compared += 1
                if (one.health >= 1) != is_safe:
                    wrong.append((block, one.id, one.health, one.price_age_seconds))
                assert one.price_block is not None
                assert one.price_timestamp is not None
                assert one.price_block <= block
                age = (at.valued_at - one.price_timestamp).total_seconds()
                assert one.price_age_seconds == age
                aged += one.price_age_seconds == 0
    finally:
        await connection.close()
    print(f"compared {compared} positions at {len(set(chosen))} blocks, {aged} with prices of them")
    assert wrong == []
    assert len(set(chosen)) == BLOCKS
    assert compared > 300
    assert aged > 300


async def test_a_question_says_how_old_prices_may_be(filled: str, recorded: truth.Recorded) -> None:
    environ = stage.environment(recorded, "http://127.0.0.1:1", filled)
    answers = {}
    for age in ("0", "31536000"):
        answers[age] = await stage.json_of(
            environ, "positions", "--at-block", "124", "--status", "active", "--max-price-age", age
        )
    stale = {row["id"] for row in answers["0"]["positions"] if (row["price_age_seconds"] or 0) > 0}
    assert {row["id"] for row in answers["0"]["positions"] if row["is_price_stale"]} == stale
    assert stale
    assert len(stale) < len(answers["0"]["positions"])
    assert not any(row["is_price_stale"] for row in answers["31536000"]["positions"])


async def test_a_repair_and_a_replay_keep_every_sample(
    filled: str, recorded: truth.Recorded
) -> None:
    async with (
        postgres.fresh_database(copy_of=filled) as url,
        server.RecordingServer(recorded.chain) as node,
    ):
        environ = stage.environment(recorded, node.url, url)
        samples = await stage.json_of(environ, "digest", "--samples")
        state = await stage.json_of(environ, "digest")
        assert samples["vesu_sampled_prices"]["rows"] > 500
        spoilt = (await postgres.fetch(url, SPOIL))[0]["block_number"]
        block = str(spoilt)
        repaired = await stage.json_of(
            environ, "verify", "--from-block", block, "--to-block", block, expect=1
        )
        assert repaired["repair"] == "done"
        assert await stage.json_of(environ, "digest") == state
        assert await stage.json_of(environ, "digest", "--samples") == samples
        # The daemon looks at the blocks that were taken back, and finds them on the chain.
        doubted = "SELECT count(*) FROM price_samplings WHERE NOT is_checked"
        assert await postgres.value(url, doubted) > 0
        process = await stage.start(
            environ | {"VESU_PRICES_SAMPLE_SECONDS": "1"}, "run", "--no-serve"
        )
        async with asyncio.timeout(60):
            while await postgres.value(url, doubted):
                assert process.returncode is None, await process.communicate()
                await asyncio.sleep(0.1)
        process.terminate()
        await process.communicate()
        assert await stage.json_of(environ, "digest", "--samples") == samples
        await stage.command(environ, "replay", "--from-block", "0")
        assert await stage.json_of(environ, "digest", "--samples") == samples
        assert await stage.json_of(environ, "digest") == state


async def test_a_block_that_a_rollback_took_back_is_looked_for_again(
    indexed: asyncpg.Connection,
) -> None:
    """The sampler reads the cursor first, and a rollback may land before it reads the blocks."""
    committed = await cursor.read(indexed)
    assert committed is not None
    assert committed.timestamp is not None
    low, high = await blocks_by_time.around(indexed, committed.timestamp)
    assert low is not None
    assert low < high == committed.block_number
    with pytest.raises(errors.LogMovedError):
        await blocks_by_time.around(indexed, committed.timestamp + 1)


async def test_two_machines_with_users_settings_hold_the_same(recorded: truth.Recorded) -> None:
    """Other batches, the same chain: one digest of state, and one of samples."""
    found = []
    for size in ("7", "5000"):
        async with (
            postgres.fresh_database(migrated=True) as url,
            server.RecordingServer(recorded.chain) as node,
        ):
            environ = stage.environment(recorded, node.url, url, VESU_INGEST_BATCH_EVENTS=size)
            for until in (
                ("60", str(recorded.last_block)) if size == "7" else (str(recorded.last_block),)
            ):
                await stage.command(environ, "run", "--until-block", until, "--no-serve")
            digest = await stage.json_of(environ, "digest")
            rows = await postgres.fetch(
                url,
                "SELECT asset_id, price, is_valid FROM vesu_sampled_prices WHERE block_number = $1 "
                "ORDER BY asset_id",
                recorded.last_block,
            )
            found.append((digest, [tuple(row) for row in rows]))
    assert found[0] == found[1]
    assert len(found[0][1]) > 8
