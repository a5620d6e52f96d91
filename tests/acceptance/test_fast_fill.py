"""Far behind the head the tables are filled from events alone; fees and proofs come afterwards.

Ten blocks count as near here, so that the recordings are far behind for the most part.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.cairo import selector
from indexer.recording import options, server
from tests import postgres
from tests.acceptance import stage, truth, truth_v1

NEAR = 10
SECONDS = 90.0
NO_NODE = "http://127.0.0.1:1"
FAST = {
    "VESU_INGEST_VERIFY_NEAR_BLOCKS": str(NEAR),
    "VESU_INGEST_VERIFY_SAMPLE_RATE": "0",
    # The background begins after five seconds: a busy machine may still fill then.
    "VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE": "0",
}
PROVING = {"VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE": "60000"}
WITH_FEES = {"receipts", "vesu_transactions"}
UPDATE_CONTEXT = hex(selector.of("UpdateContext"))
LIE_BLOCK = 60


LIGHT = ("devnet-a", "devnet-v10-migration")


@pytest.fixture(
    params=[
        pytest.param(name, marks=[] if name in LIGHT else [pytest.mark.heavy])
        for name in ("devnet-a", *truth_v1.RECORDINGS)
    ]
)
def any_recorded(request: pytest.FixtureRequest, recorded: truth.Recorded) -> truth.Recorded:
    return recorded if request.param == "devnet-a" else truth_v1.recorded(request.param)


@contextlib.asynccontextmanager
async def filled(
    recorded: truth.Recorded, node: server.RecordingServer, **more: str
) -> AsyncIterator[tuple[dict[str, str], asyncpg.Connection]]:
    """A database filled by `run` with these settings, its environment and a connection to it."""
    async with postgres.fresh_database(migrated=True) as url:
        environ = stage.environment(recorded, node.url, url, **FAST, **more)
        await stage.command(environ, "run", "--until-block", str(recorded.last_block), "--no-serve")
        connection = await asyncpg.connect(url)
        try:
            yield environ, connection
        finally:
            await connection.close()


async def all_first(recorded: truth.Recorded) -> dict[str, Any]:
    """The digest of a run that proves every block before its commit."""
    async with (
        server.RecordingServer(recorded.chain) as node,
        filled(recorded, node, VESU_INGEST_VERIFY="all") as (environ, _),
    ):
        found: dict[str, Any] = await stage.json_of(environ, "digest")
        return found


async def proved(environ: dict[str, str], connection: asyncpg.Connection, kills: int = 0) -> None:
    """Run the daemon until every committed block is proved; killed so many times on the way."""
    query = (
        "SELECT count(*) = 0 FROM blocks b WHERE parent_hash IS NULL OR NOT EXISTS "
        "(SELECT FROM verified_ranges WHERE b.number BETWEEN first_block AND last_block)"
    )
    while True:
        process = await stage.start(environ | PROVING, "run", "--no-serve")
        try:
            async with asyncio.timeout(SECONDS):
                while not await connection.fetchval(query):
                    assert process.returncode is None, (await process.communicate())[1].decode()
                    if kills and await connection.fetchval(
                        "SELECT EXISTS (SELECT FROM receipts WHERE block_number < $1)", 100 - kills
                    ):
                        break
                    await asyncio.sleep(0.05)
        finally:
            process.kill()
            await process.communicate()
        if not kills:
            return
        kills -= 1


async def test_events_alone_make_the_same_tables_and_the_background_the_rest(
    any_recorded: truth.Recorded,
) -> None:
    recorded = any_recorded
    expected = await all_first(recorded)
    async with (
        server.RecordingServer(recorded.chain) as node,
        filled(recorded, node) as (environ, connection),
    ):
        far = recorded.last_block - NEAR
        assert node.counts["starknet_getBlockWithReceipts"] <= NEAR
        before = await stage.json_of(environ, "digest")
        differing = {
            table for table, one in expected["tables"].items() if before["tables"][table] != one
        }
        assert differing == WITH_FEES
        times = await connection.fetch("SELECT number, timestamp FROM blocks")
        assert {row["number"]: int(row["timestamp"].timestamp()) for row in times} == {
            row["number"]: recorded.timestamps[row["number"]] for row in times
        }
        assert await connection.fetchval(
            "SELECT bool_and(gas_used IS NULL) FROM vesu_transactions WHERE block_number <= $1", far
        )
        await proved(environ, connection)
        assert await stage.json_of(environ, "digest") == expected
        assert await stage.json_of(environ, "verify", expect=0)


async def test_kills_while_the_background_fills_leave_nothing_out(recorded: truth.Recorded) -> None:
    expected = await all_first(recorded)
    async with (
        server.RecordingServer(recorded.chain) as node,
        filled(recorded, node) as (environ, connection),
    ):
        await proved(environ, connection, kills=3)
        assert await stage.json_of(environ, "digest") == expected


async def test_a_time_that_events_told_wrong_is_found_and_read_again(
    recorded: truth.Recorded,
) -> None:
    """A pool's own class may emit any `last_updated`; the header has the last word."""

    def lie(events: list[dict[str, Any]]) -> None:
        for event in events:
            if event["keys"][0] == UPDATE_CONTEXT:
                for place in (13, 35):
                    event["data"][place] = hex(int(event["data"][place], 16) + 1)

    def fault(method: str, _: Any) -> options.Fault | None:
        edit = {
            "starknet_getEvents": edit_page,
            "starknet_getBlockWithReceipts": edit_block,
            "starknet_getBlockWithTxHashes": edit_header,
        }.get(method)
        return None if edit is None else options.Fault(edit=edit)

    def edit_page(page: dict[str, Any]) -> dict[str, Any]:
        page = copy.deepcopy(page)
        lie([one for one in page["events"] if one["block_number"] == LIE_BLOCK])
        return page

    def edit_header(block: dict[str, Any]) -> dict[str, Any]:
        # The commitment of other events would give the forged ones away.
        return block | {"event_commitment": "0x0"}

    def edit_block(block: dict[str, Any]) -> dict[str, Any]:
        block = copy.deepcopy(edit_header(block))
        if block["block_number"] == LIE_BLOCK:
            for one in block["transactions"]:
                lie(one["receipt"]["events"])
        return block

    loaded = recorded.chain
    async with (
        server.RecordingServer(loaded, options=options.ServerOptions(fault=fault)) as node,
        filled(recorded, node) as (environ, connection),
    ):
        told = "SELECT timestamp FROM blocks WHERE number = $1"
        first = await connection.fetchval(told, LIE_BLOCK)
        assert int(first.timestamp()) == recorded.timestamps[LIE_BLOCK] + 1
        await proved(environ, connection)
        second = await connection.fetchval(told, LIE_BLOCK)
        assert int(second.timestamp()) == recorded.timestamps[LIE_BLOCK]
        repaired = "SELECT count(*) FROM completeness_gaps WHERE repaired_at IS NOT NULL"
        assert await connection.fetchval(repaired) == 1


async def test_status_says_what_is_still_to_be_read(recorded: truth.Recorded) -> None:
    async with (
        server.RecordingServer(recorded.chain) as node,
        filled(recorded, node) as (environ, connection),
    ):
        waiting = await connection.fetchval("SELECT count(*) FROM blocks WHERE parent_hash IS NULL")
        assert waiting > 0
        still = f"receipts   {waiting:,} blocks still to read"
        _, out, _ = await stage.command(environ, "status")
        assert f"{still}; ingest.verify_blocks_per_minute = 0 reads none\n" in out
        del environ["VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE"]
        _, out, _ = await stage.command(environ, "status")
        assert f"{still}: about {waiting / 60 / 60:.1f} hours at 60 a minute\n" in out
