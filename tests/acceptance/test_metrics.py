"""What /metrics says after a restart, before anything is committed."""

from __future__ import annotations

from indexer.recording import server
from tests.acceptance import stage, truth
from tests.acceptance.test_http import daemon, value


async def test_gauges_after_a_restart_are_those_of_the_cursor(
    recorded: truth.Recorded, indexed_copy: str
) -> None:
    loaded = recorded.chain
    async with server.RecordingServer(loaded) as node:
        endpoint = node.url
        environ = stage.environment(recorded, endpoint, indexed_copy)
        async with daemon(environ) as running:
            await running.health(200, committed_block=recorded.last_block)
            text = (await running.ask("/metrics"))[2]
    assert value(text, "vesu_committed_block") == recorded.last_block
    assert value(text, "vesu_committed_block_timestamp_seconds") == recorded.timestamps[125]
    assert value(text, "vesu_lag_blocks") == 0
    assert value(text, "vesu_events_total") == 0
    assert f'vesu_endpoint_in_use{{endpoint="{endpoint}"}} 1.0' in text
    assert "vesu_build_info{" in text
