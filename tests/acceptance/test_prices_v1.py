"""Prices of Vesu V1, sampled from the extensions: beside the log, kept by a replay."""

from __future__ import annotations

import asyncio

import pytest

from indexer.recording import chain, playhead, server
from tests import postgres
from tests.acceptance import stage, test_prices, test_reconcile_v1, truth

STOPS = {
    "devnet-v11": (20, 44, 46, 80, 116),
    "devnet-v10-migration": (20, 35, 40, 43, 60, 81),
    "devnet-v10-genesis": (20, 35, 50),
}


@pytest.mark.parametrize(
    "name", [pytest.param("devnet-v11", marks=pytest.mark.heavy), *list(STOPS)[1:]]
)
async def test_live_replay_and_shadow_are_the_same(name: str) -> None:
    folder = test_reconcile_v1.DATA / name
    loaded, stops = chain.load(folder), STOPS[name]
    hashes = truth.Recorded(folder).hashes
    head = playhead.Playhead.at_block(loaded, stops[0])
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, head) as node,
    ):
        environ = test_reconcile_v1.environment(folder, node.url, url)
        environ |= {"VESU_PRICES_SAMPLE_SECONDS": "1", "VESU_NODE_POLL_INTERVAL_SECONDS": "0.05"}
        process = await stage.start(environ, "run", "--no-serve")
        for block in stops:
            head.go_to(block)
            await test_prices.sampled_at(url, hashes[block])
        process.terminate()
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, (out, err)

        found = await stage.json_of(environ, "reconcile")
        assert found["is_equal"], found["differences"]
        assert found["views"]["price"]["compared"] > 0
        sampled = await postgres.fetch(
            url,
            "SELECT DISTINCT block_number FROM vesu_sampled_prices "
            "WHERE rate_model IS NOT NULL ORDER BY 1",
        )
        print(f"{name}: {found['views']['price']}, sampled at {[row[0] for row in sampled]}")
        assert {row["block_number"] for row in sampled} >= set(stops)

        before = await test_prices.rows_of(url)
        digest = await stage.json_of(environ, "digest")
        middle = str(stops[-2] + 1)
        for from_block in ("0", middle):
            await stage.command(environ, "replay", "--from-block", from_block)
            assert test_prices.differing(before, await test_prices.rows_of(url)) == [], from_block
            assert await stage.json_of(environ, "digest") == digest
        shadow = await stage.json_of(environ, "replay", "--from-block", "0", "--shadow")
        assert shadow["difference"]["is_equal"], shadow
