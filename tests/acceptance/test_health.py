"""No stall looks healthy: what /health and status say of silence, lag, standstill and doubt."""

from __future__ import annotations

import asyncpg

from indexer.recording import playhead, server
from tests.acceptance import stage, truth
from tests.acceptance.test_http import daemon, value


async def test_a_suspect_chain_is_not_healthy(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """The head falls below the committed block and stays; then the chain goes on elsewhere."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    fork = loaded.forks[0]
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(
            recorded, node.url, migrated_database_url, VESU_NODE_CONFIRM_LOOKS="100000"
        )
        async with daemon(environ) as running:
            head.go_to(fork.last, branch=1)
            await running.health(200, committed_block=fork.last)
            head.go_to(fork.common + 1, branch=1)
            doubted = await running.health(503, status="suspect", committed_block=fork.last)
            assert doubted["reason"].startswith(f"the head fell to block {fork.common + 1}")
            assert value((await running.ask("/metrics"))[2], "vesu_chain_suspect") == 1
            assert (await running.ask("/ready"))[0] == 200
            _, out, _ = await stage.command(environ, "status", expect=1)
            assert "SUSPECT: the head fell" in out
            head.go_to(loaded.main.last)
            await running.health(200, status="fresh", committed_block=loaded.main.last)
            metrics = (await running.ask("/metrics"))[2]
            assert value(metrics, "vesu_chain_suspect") == 0
            assert value(metrics, "vesu_reorg_depth_blocks_count") == 1


async def test_a_silent_node_is_not_healthy_after_the_configured_time(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    node = server.RecordingServer(recorded.chain)
    await node.start()
    environ = stage.environment(
        recorded, node.url, migrated_database_url, VESU_HEALTH_SILENCE_SECONDS="2"
    )
    async with daemon(environ) as running:
        await running.health(200, committed_block=recorded.last_block)
        await node.stop()
        silent = await running.health(503, status="stale")
        assert silent["reason"].startswith("no good answer from the node for ")


async def test_a_node_that_stands_still_is_not_healthy(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """It answers well, and its head is years old: on a public network that is a standstill."""
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(
            recorded, node.url, migrated_database_url, VESU_HEALTH_HALT_SECONDS="900"
        )
        async with daemon(environ) as running:
            still = await running.health(503, status="stale", committed_block=recorded.last_block)
            assert still["reason"].endswith("the chain or the node stands still")
        found = await stage.json_of(environ, "status", expect=1)
        assert found["reason"].endswith("the chain or the node stands still")
        assert found["lag_blocks"] == 0


async def test_lag_is_judged_by_the_configured_age(
    recorded: truth.Recorded, indexed_url: str
) -> None:
    """The same tables, one block behind: stale by the default, fresh by a longer limit."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    connection = await asyncpg.connect(indexed_url)
    try:
        await connection.execute(
            "UPDATE chain_head SET block_number = block_number + 1, seen_at = clock_timestamp()"
        )
        found = await stage.json_of(environ, "status", expect=1)
        assert found["reason"].startswith("1 block behind the head")
        # The recording is years old, and no age is allowed beyond a day.
        await connection.execute("UPDATE cursor SET block_timestamp = now() - interval '1 hour'")
        await stage.json_of(environ, "status", expect=1)
        patient = environ | {"VESU_HEALTH_STALE_SECONDS": "7200"}
        assert (await stage.json_of(patient, "status", expect=0))["state"] == "fresh"
    finally:
        await connection.execute(
            "UPDATE chain_head SET block_number = block_number - 1; "
            "UPDATE cursor SET block_timestamp = (SELECT timestamp FROM blocks "
            "WHERE number = cursor.block_number)"
        )
        await connection.close()


async def test_a_wrong_clock_hides_no_stall(recorded: truth.Recorded, indexed_url: str) -> None:
    """The block's time is hours ahead of the database's clock, and nothing is committed."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    connection = await asyncpg.connect(indexed_url)
    try:
        await connection.execute(
            "UPDATE chain_head SET block_number = block_number + 1, seen_at = clock_timestamp(); "
            "UPDATE cursor SET block_timestamp = now() + interval '3 hours', committed_at = now()"
        )
        assert (await stage.json_of(environ, "status", expect=0))["state"] == "fresh"
        await connection.execute("UPDATE cursor SET committed_at = now() - interval '20 minutes'")
        found = await stage.json_of(environ, "status", expect=1)
        assert found["reason"].startswith("1 block behind the head")
        await connection.execute("UPDATE chain_head SET block_number = block_number - 1")
        public = environ | {"VESU_HEALTH_HALT_SECONDS": "900"}
        halted = await stage.json_of(public, "status", expect=1)
        assert halted["reason"].endswith("the chain or the node stands still")
    finally:
        await connection.execute(
            "UPDATE chain_head SET block_number = (SELECT block_number FROM cursor); "
            "UPDATE cursor SET block_timestamp = (SELECT timestamp FROM blocks "
            "WHERE number = cursor.block_number)"
        )
        await connection.close()
