"""Prices sampled in the background: beside the log, on a grid of chain time, kept by replays."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from indexer import errors
from indexer.cairo import felt252, selector
from indexer.query import assets, positions
from indexer.recording import options, playhead, server
from tests import postgres
from tests.acceptance import stage, truth

STOPS = (40, 60, 84)
AFTER = (100, 110, 124)


@pytest.fixture(scope="module")
async def sampled(recorded: truth.Recorded) -> AsyncIterator[str]:
    """A database of one daemon that sampled at each of its stops, also on the abandoned fork."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, STOPS[0], story=True)
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, head) as node,
    ):
        environ = stage.environment(
            recorded, node.url, url, VESU_PRICES_SAMPLE_SECONDS="1", VESU_LOG_LEVEL="error"
        )
        last = str(recorded.last_block)
        process = await stage.start(environ, "run", "--until-block", last, "--no-serve")
        for block in STOPS:
            head.go_to(block)
            await sampled_at(url, recorded.hashes[block])
        fork = truth.Recorded(loaded.forks[0].folder)
        head.go_to(loaded.forks[0].last, branch=1)
        await sampled_at(url, fork.hashes[loaded.forks[0].last])
        for block in AFTER:
            head.go_to(block)
            await sampled_at(url, recorded.hashes[block])
        head.go_to(recorded.last_block)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, (out, err)
        yield url


async def sampled_at(url: str, hash_: str) -> None:
    """Wait until a block is committed and its prices are sampled."""
    await committed(url, hash_)
    async with asyncio.timeout(60):
        while not await postgres.fetch(
            url,
            "SELECT FROM price_samplings WHERE block_hash = $1",
            felt252.padded(int(hash_, 16)),
        ):
            await asyncio.sleep(0.05)


async def committed(url: str, hash_: str) -> None:
    """Wait until a block is the committed one."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(asyncpg.UndefinedTableError):
                found = await postgres.fetch(url, "SELECT block_hash FROM cursor")
                if found and int(found[0]["block_hash"] or "0x0", 16) == int(hash_, 16):
                    return
            await asyncio.sleep(0.05)


def told(recorded: truth.Recorded) -> dict[tuple[int, int, int], tuple[int, bool]]:
    """(block, pool, asset) → (price, is valid), as the pools answered."""
    return {
        (block, pool, calldata[0]): (truth.u256s(result[:2])[0], bool(result[2]))
        for block, pool, calldata, result in recorded.answered("price")
        if calldata
    }


async def test_every_sample_is_the_pools_own_answer(sampled: str, recorded: truth.Recorded) -> None:
    rows = await postgres.fetch(sampled, "SELECT * FROM vesu_prices WHERE source = 'sample'")
    expected = told(recorded)
    compared = refused = 0
    for row in rows:
        key = (row["block_number"], int(row["pool_address"], 16), int(row["asset_address"], 16))
        assert int(row["block_hash"], 16) == int(recorded.hashes[row["block_number"]], 16)
        if row["price"] is None:
            assert row["is_valid"] is False
            assert key not in expected
            refused += 1
            continue
        assert (int(row["price"]), row["is_valid"]) == expected[key]
        compared += 1
    print(f"compared {compared} sampled prices, {refused} were refused")
    assert compared > 50
    assert refused
    assert {*STOPS, *AFTER, recorded.last_block} <= {row["block_number"] for row in rows}


async def test_event_prices_are_what_contexts_told(sampled: str) -> None:
    """One row an asset and block: the last UpdateContext's, by its own block's hash and time."""
    rows = await postgres.fetch(
        sampled,
        "SELECT p.*, b.hash, b.timestamp AS block_time FROM vesu_prices p "
        "LEFT JOIN blocks b ON b.number = p.block_number WHERE p.source = 'event'",
    )
    contexts: dict[tuple[int, str, str], tuple[str, bool]] = {}
    for event in await postgres.fetch(
        sampled,
        "SELECT block_number, from_address, args FROM events WHERE name = 'UpdateContext' "
        "ORDER BY block_number, transaction_index, event_index",
    ):
        args = msgspec.json.decode(event["args"])
        for side in ("collateral_asset", "debt_asset"):
            key = (event["block_number"], event["from_address"], args[side])
            price = args[f"{side}_price"]
            contexts[key] = (str(price["value"]), bool(price["is_valid"]))
    assert {
        (row["block_number"], row["pool_address"], row["asset_address"]): (
            str(int(row["price"])),
            row["is_valid"],
        )
        for row in rows
    } == contexts
    for row in rows:
        assert (row["block_hash"], row["timestamp"]) == (row["hash"], row["block_time"])
    assert len(rows) > 50


async def test_the_past_knows_what_was_sampled_then(sampled: str, recorded: truth.Recorded) -> None:
    """At a sampled block, prices are the pools' own and health is what they would say."""
    prices, compared, judged = told(recorded), 0, 0
    safe = {
        (block, pool, *calldata): bool(result[0])
        for block, pool, calldata, result in recorded.answered("check_collateralization")
    }
    connection = await asyncpg.connect(sampled)
    try:
        for block in (*STOPS[1:], *AFTER, recorded.last_block):
            for asset in (await assets.find(connection, at=block)).assets:
                if asset.price_block == block and asset.price_is_valid:
                    key = (block, int(asset.pool_id, 16), int(asset.asset_address, 16))
                    assert (int(asset.price or 0), True) == prices[key]
                    compared += 1
            for one in (await positions.find(connection, at=block)).positions:
                named = (one.pool_id, one.collateral_address, one.debt_address or "0x0")
                place = (block, *(int(text, 16) for text in (*named, one.user_id)))
                if one.health is not None and place in safe:
                    assert (one.health >= 1) == safe[place]
                    judged += 1
    finally:
        await connection.close()
    print(f"compared {compared} prices and {judged} judgements of health at sampled blocks")
    assert compared > 50
    assert judged > 50


async def test_tables_hold_the_last_sample(sampled: str, recorded: truth.Recorded) -> None:
    """Price and block of each asset that is supplied or owed; a refused one is not valid."""
    expected = told(recorded)
    rows = await postgres.fetch(
        sampled,
        "SELECT * FROM vesu_assets WHERE total_collateral_shares > 0 OR total_nominal_debt > 0",
    )
    refused = 0
    for row in rows:
        key = (recorded.last_block, int(row["pool_address"], 16), int(row["asset_address"], 16))
        if key in expected:
            assert (int(row["price"]), row["price_is_valid"]) == expected[key]
            assert row["price_block"] == recorded.last_block
        else:
            refused += 1
            assert row["price_is_valid"] is False
    assert len(rows) - refused > 8
    assert refused


async def test_positions_are_worth_what_the_sample_says(
    sampled: str, recorded: truth.Recorded
) -> None:
    """At the head a new price revalues all positions: health below 1 exactly where the contract
    would let them be liquidated, and values as the contract states them."""
    answers = {
        (pool, *calldata): (bool(result[0]), truth.u256s(result[1:]))
        for block, pool, calldata, result in recorded.answered("check_collateralization")
        if block == recorded.last_block
    }
    rows = await postgres.fetch(
        sampled, "SELECT * FROM vesu_positions WHERE status = 'active' AND kind <> 'earn'"
    )
    compared = 0
    for row in rows:
        names = ("pool_address", "collateral_address", "debt_address", "user_id")
        answer = answers.get(tuple(int(row[name], 16) for name in names))
        if answer is None:
            continue
        is_safe, (collateral, debt) = answer
        assert row["valued_at_block"] == recorded.last_block
        assert (row["health_factor"] is None or row["health_factor"] >= 1) == is_safe
        assert int(row["collateral_value_usd"] * 10**18) == collateral
        assert int(row["debt_value_usd"] * 10**18) == debt
        compared += 1
    print(f"compared {compared} positions with check_collateralization()")
    assert compared > 20


async def test_reconcile_compares_sampled_prices(sampled: str, recorded: truth.Recorded) -> None:
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, sampled)
        for block in (60, 84, recorded.last_block):
            found = await stage.json_of(environ, "reconcile", "--block", str(block))
            assert found["is_equal"], found["differences"]
            assert found["views"]["price"]["compared"] > 10


async def test_samples_of_an_abandoned_branch_are_gone(
    sampled: str, recorded: truth.Recorded
) -> None:
    """Those below the common ancestor stay: STOPS lie below it, the fork's own were sampled."""
    ancestor = await postgres.fetch(sampled, "SELECT ancestor_number FROM reorgs")
    main = {int(hash_, 16) for hash_ in recorded.hashes.values()}
    for table in ("price_samplings", "vesu_sampled_prices"):
        rows = await postgres.fetch(sampled, f"SELECT block_number, block_hash FROM {table}")
        assert {int(row["block_hash"], 16) for row in rows} <= main
        below = {row["block_number"] for row in rows}
        assert {block for block in STOPS if block <= ancestor[0][0]} <= below


async def test_replay_and_shadow_give_the_same(sampled: str, recorded: truth.Recorded) -> None:
    """From the start, from a sampled block, from the block after it: all columns, all samples,
    no node."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", sampled)
    before, digest = await rows_of(sampled), await stage.json_of(environ, "digest")
    samples = await stage.json_of(environ, "digest", "--samples")
    assert samples["vesu_sampled_prices"]["rows"] > 50
    at_60 = await stage.json_of(environ, "digest", "--at-block", "60")
    for from_block in ("0", "60", "61", "85", "125"):
        await stage.command(environ, "replay", "--from-block", from_block)
        assert differing(before, await rows_of(sampled)) == [], from_block
        assert await stage.json_of(environ, "digest") == digest, from_block
    assert await stage.json_of(environ, "digest", "--at-block", "60") == at_60
    assert await stage.json_of(environ, "digest", "--samples") == samples
    found = await stage.json_of(environ, "replay", "--from-block", "0", "--shadow")
    assert found["difference"]["is_equal"], found


async def test_without_sampling_nothing_is_asked(recorded: truth.Recorded) -> None:
    asked: list[str] = []

    def listen(method: str, params: Any) -> options.Fault | None:
        if method == "starknet_call":
            request = params["request"] if isinstance(params, dict) else params[0]
            asked.append(request["entry_point_selector"])
        return None

    loaded = recorded.chain
    settings = options.ServerOptions(fault=listen)
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, options=settings) as node,
    ):
        environ = stage.environment(recorded, node.url, url, VESU_PRICES_SAMPLE_SECONDS="0")
        await stage.command(environ, "run", "--until-block", "20", "--no-serve")
        assert not await postgres.fetch(url, "SELECT 1 FROM vesu_sampled_prices")
    assert hex(selector.of("symbol")) in asked
    assert hex(selector.of("price")) not in asked


def differing(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> list[Any]:
    return [
        (table, line) for table in before for line in sorted({*before[table]} ^ {*after[table]})
    ]


async def rows_of(url: str) -> dict[str, list[str]]:
    return await postgres.lines(
        url,
        "vesu_pools",
        "vesu_assets",
        "vesu_positions",
        "vesu_asset_history",
        "vesu_position_history",
        "vesu_pool_history",
    )


async def test_a_price_that_fails_holds_up_no_other_and_no_commit(
    recorded: truth.Recorded,
) -> None:
    """One pool's `price` view answers with an internal error for ever."""
    pool = next(iter(recorded.manifest["pools"].values()))["address"]
    price = hex(selector.of("price"))

    def fault(method: str, params: Any) -> options.Fault | None:
        if method != "starknet_call":
            return None
        request = params["request"] if isinstance(params, dict) else params[0]
        at_fault = (int(request["contract_address"], 16), request["entry_point_selector"])
        return options.Fault(edit=refuse) if at_fault == (int(pool, 16), price) else None

    def refuse(_: Any) -> Any:
        raise errors.RpcError("Internal error", -32603)

    loaded = recorded.chain
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, options=options.ServerOptions(fault=fault)) as node,
    ):
        environ = stage.environment(recorded, node.url, url, VESU_PRICES_SAMPLE_SECONDS="1")
        _, _, err = await stage.command(
            environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
        )
        assert "prices_not_sampled" in err
        rows = await postgres.fetch(url, "SELECT DISTINCT pool_address FROM vesu_sampled_prices")
        sampled_pools = {int(row["pool_address"], 16) for row in rows}
        assert int(pool, 16) not in sampled_pools
        assert len(sampled_pools) >= 2
