"""`replay --shadow`: equal to the live tables, finds what is not, swaps unnoticed by readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.recording import chain, playhead, server
from tests import postgres
from tests.acceptance import stage, truth

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
async def filled(recorded: truth.Recorded) -> AsyncIterator[str]:
    """A database of its own, filled from devnet-a, that a test may spoil."""
    async with postgres.fresh_database() as url:
        async with server.RecordingServer(chain.load(recorded.folder)) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(
                environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
            )
        yield url


@pytest.mark.parametrize("from_block", ["0", "60", "125"])
async def test_a_shadow_of_a_sound_database_is_equal(
    filled: str, recorded: truth.Recorded, from_block: str
) -> None:
    environ = stage.environment(recorded, NOWHERE, filled)
    found = await stage.json_of(environ, "replay", "--from-block", from_block, "--shadow")
    assert found["difference"]["is_equal"]
    assert found["difference"]["tables"]["vesu_positions"]["live_rows"] == 100
    assert await _value(filled, "SELECT to_regnamespace('vesu_shadow')") is None


async def test_a_wrong_row_is_named_and_swapped_out(filled: str, recorded: truth.Recorded) -> None:
    """One digit in one version of one position: table, column, row and event are named."""
    environ = stage.environment(recorded, NOWHERE, filled)
    before = await stage.json_of(environ, "digest")
    spoiled = await _spoil(filled)
    found = await stage.json_of(environ, "replay", "--from-block", "0", "--shadow", expect=1)
    difference = found["difference"]
    assert not difference["is_equal"]
    table = difference["tables"]["vesu_position_history"]
    assert (table["missing"], table["extra"]) == (0, 0)
    assert table["columns"] == {"collateral_shares": 1}
    assert table["examples"][0]["id"] == str(spoiled["id"])
    first = difference["first_event"]
    assert first["block_number"] == spoiled["block_number"]
    assert first["event_index"] == spoiled["event_index"]
    changed = {name for name, one in difference["tables"].items() if one["columns"]}
    assert changed == {"vesu_position_history"}

    _, _, err = await stage.command(
        environ, "replay", "--from-block", "0", "--shadow", "--swap", "--allow-rows", "0", expect=2
    )
    assert "not swapped" in err
    swapped = await stage.json_of(environ, "replay", "--from-block", "0", "--shadow", "--swap")
    assert swapped["swapped"]
    assert swapped["rows_changed"] == 1
    assert await stage.json_of(environ, "digest") == before


async def test_a_killed_shadow_goes_on(filled: str, recorded: truth.Recorded) -> None:
    """Killed between its creation and its first batch: a lock on the log holds it there."""
    environ = stage.environment(recorded, NOWHERE, filled)
    holding = await asyncpg.connect(filled)
    async with holding.transaction():
        await holding.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        process = await stage.start(environ, "replay", "--from-block", "0", "--shadow")
        async with asyncio.timeout(30):
            while await _value(filled, "SELECT to_regclass('vesu_shadow.progress')") is None:
                await asyncio.sleep(0.02)
        process.kill()
        await process.communicate()
    await holding.close()
    found = await stage.json_of(environ, "replay", "--from-block", "0", "--shadow")
    assert found["difference"]["is_equal"]


async def test_swap_while_the_daemon_follows_and_a_reader_reads(
    filled: str, recorded: truth.Recorded
) -> None:
    """The daemon takes up the new rows and goes on; a reader never sees two blocks mixed."""
    loaded = chain.load(recorded.folder)
    async with postgres.fresh_database() as url:
        head = playhead.Playhead.at(loaded, 100)
        async with server.RecordingServer(loaded, head) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(environ, "run", "--until-block", "100", "--no-serve")
            daemon = await stage.start(
                environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
            )
            reading = asyncio.create_task(_read_joined(url))
            await _spoil(url)
            swapped = await stage.json_of(
                environ, "replay", "--from-block", "0", "--shadow", "--swap"
            )
            assert swapped["swapped"]
            head.go_to(recorded.last_block)
            assert await asyncio.wait_for(daemon.wait(), 60) == 0
            reading.cancel()
            reads, longest = await reading
            digest = await stage.json_of(environ, "digest")
    undisturbed = await stage.json_of(stage.environment(recorded, NOWHERE, filled), "digest")
    assert digest == undisturbed
    print(f"{reads} reads, the longest took {longest * 1000:.0f} ms")
    assert reads > 20


async def _read_joined(url: str) -> tuple[int, float]:
    """Join the four tables until cancelled: no error, no row of a block above the cursor's."""
    connection = await asyncpg.connect(url)
    reads, longest = 0, 0.0
    try:
        while True:
            began = asyncio.get_running_loop().time()
            row = await connection.fetchrow(
                "SELECT (SELECT block_number FROM cursor) AS committed, "
                "max(t.block_number) AS newest, max(p.last_event_block) AS touched, count(*) "
                "FROM vesu_transactions t "
                "JOIN vesu_positions p ON (p.pool_id, p.id) = (t.pool_id, t.position_id) "
                "LEFT JOIN vesu_pools o ON (o.pool_id, o.id) = (p.pool_id, p.pool_pair_id) "
                "LEFT JOIN vesu_liquidations l ON (l.pool_id, l.position_id) = (p.pool_id, p.id)"
            )
            assert max(row["newest"] or 0, row["touched"] or 0) <= row["committed"]
            longest = max(longest, asyncio.get_running_loop().time() - began)
            reads += 1
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        return reads, longest
    finally:
        await connection.close()


async def _spoil(url: str) -> dict[str, Any]:
    """Change one digit of one old version of a position."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "UPDATE vesu_position_history h SET collateral_shares = collateral_shares + 1 "
            "WHERE (id, block_number, event_index) = (SELECT id, block_number, event_index "
            "FROM vesu_position_history WHERE kind = 'borrow' AND block_number BETWEEN 14 AND 20 "
            "ORDER BY block_number, transaction_index, event_index LIMIT 1) RETURNING *"
        )
        return dict(row)
    finally:
        await connection.close()


async def _value(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
