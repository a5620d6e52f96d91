"""`run` asks for the classes of pools and factory; one that nobody knows is shown everywhere."""

from __future__ import annotations

import asyncio

from indexer.recording import server
from indexer.vesu import known_classes
from tests import postgres
from tests.acceptance import stage, truth
from tests.acceptance.test_http import daemon, value

ASKED = "SELECT address, class_hash, class_name FROM contract_classes"


async def test_the_classes_of_a_recorded_chain(recorded: truth.Recorded, indexed_copy: str) -> None:
    """One pool of the recording was upgraded to a mock, which no release knows."""
    loaded = recorded.chain
    told = loaded.main.class_hashes
    at_head = {int(address, 16): int(found[-1][1], 16) for address, found in told.items()}
    watched = await postgres.fetch(
        indexed_copy, "SELECT address FROM watch_list WHERE kind NOT LIKE 'vtoken%'"
    )
    expected = {row["address"]: at_head[int(row["address"], 16)] for row in watched}
    mock = int(recorded.manifest["classes"]["MockPoolUpgrade"], 16)
    (strange,) = [address for address, found in expected.items() if found == mock]
    async with server.RecordingServer(loaded) as node:
        environ = stage.environment(recorded, node.url, indexed_copy)
        async with daemon(environ) as running:
            await running.health(200, committed_block=recorded.last_block)
            async with asyncio.timeout(60):
                while len(found := await postgres.fetch(indexed_copy, ASKED)) < len(expected):
                    await asyncio.sleep(0.1)
            metrics = (await running.ask("/metrics"))[2]
            while value(metrics, "vesu_unknown_classes") != 1:
                metrics = (await running.ask("/metrics"))[2]
        assert {row["address"]: int(row["class_hash"], 16) for row in found} == expected
        for row in found:
            assert row["class_name"] == known_classes.name_of(int(row["class_hash"], 16))
        assert [row["address"] for row in found if row["class_name"] is None] == [strange]
        pools = await stage.json_of(environ, "pools")
        marked = {one["pool_id"]: one["unknown_class"] for one in pools["pools"]}
        assert marked[strange] == f"0x{mock:064x}"
        assert {found for pool, found in marked.items() if pool != strange} == {None}
        _, said, _ = await stage.command(environ, "status", expect=None)
        assert f"classes    1 unknown\n           pool_v2 {strange}: 0x{mock:064x}, 1 pool" in said
        _, doctor, _ = await stage.command(environ, "doctor", expect=None)
        assert f"pool_v2 {strange}: 0x{mock:064x}" in doctor
