"""`replay --shadow`: equal to the live tables, finds what is not, swaps unnoticed by readers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from indexer.projections import tables
from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import joined, spoiled, stage, truth

NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize("from_block", ["0", "60", "125"])
async def test_a_shadow_of_a_sound_database_is_equal(
    indexed_copy: str, recorded: truth.Recorded, from_block: str
) -> None:
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    found = await stage.json_of(environ, "replay", "--from-block", from_block, "--shadow")
    _, out, _ = await stage.command(environ, "replay", "--from-block", from_block, "--shadow")
    assert out.splitlines()[-1].startswith("Equal up to block ")
    assert found["difference"]["is_equal"]
    assert found["difference"]["tables"]["vesu_positions"]["live_rows"] == 100
    assert await postgres.value(indexed_copy, "SELECT to_regnamespace('vesu_shadow')") is None


async def test_a_wrong_row_is_named_and_swapped_out(
    indexed_copy: str, recorded: truth.Recorded
) -> None:
    """One digit in one version of one position: table, column, row and event are named."""
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    before = await stage.json_of(environ, "digest")
    spoiled_row = await _spoil(indexed_copy)
    found = await stage.json_of(environ, "replay", "--from-block", "0", "--shadow", expect=1)
    difference = found["difference"]
    assert (difference["is_equal"], difference["rows_differing"]) == (False, 1)
    table = difference["tables"]["vesu_position_history"]
    assert (table["differing"], table["missing"], table["extra"]) == (1, 0, 0)
    assert table["columns"] == {"collateral_shares": 1}
    [example] = table["examples"]
    assert example["key"]["id"] == str(spoiled_row["id"])
    shares = int(spoiled_row["collateral_shares"])
    assert example["live"] == {"collateral_shares": str(shares)}
    assert example["shadow"] == {"collateral_shares": str(shares - 1)}
    first = difference["first_event"]
    assert first["block_number"] == spoiled_row["block_number"]
    assert first["event_index"] == spoiled_row["event_index"]
    changed = {name for name, one in difference["tables"].items() if one["differing"]}
    assert changed == {"vesu_position_history"}

    start = ("replay", "--from-block", "0", "--shadow", "--swap")
    _, out, err = await stage.command(environ, *start, expect=1)
    assert "They differ, and the live tables are as they were." in out
    assert "1 row differs in collateral_shares" in out
    assert "not swapped: 1 row differs, 0 allowed" in err
    refused = await stage.json_of(environ, *start, "--keep", expect=1)
    assert (refused["swapped"], refused["rows_changed"]) == (False, 0)
    assert await stage.json_of(environ, "digest") != before
    swapped = await stage.json_of(environ, *start, "--allow-differences", "1")
    assert swapped["resumed_at"] == recorded.last_block, "what --keep kept is gone on with"
    assert swapped["swapped"]
    assert swapped["rows_changed"] == 1
    assert await stage.json_of(environ, "digest") == before


async def test_a_kept_shadow_is_begun_anew_where_the_abi_folder_changed(
    indexed_copy: str, recorded: truth.Recorded, tmp_path: Path
) -> None:
    """Its rows were decoded without what the folder holds now."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy)
    start = ("replay", "--from-block", "0", "--shadow", "--keep")
    assert (await stage.json_of(environ, *start))["resumed_at"] is None
    assert (await stage.json_of(environ, *start))["resumed_at"] == recorded.last_block
    variant = {"name": "Frobnicated", "type": "later::Frobnicated", "kind": "nested"}
    abi = [
        {"type": "event", "kind": "enum", "name": "later::Event", "variants": [variant]},
        {"type": "event", "kind": "struct", "name": "later::Frobnicated", "members": []},
    ]
    (tmp_path / "pool_v2.later.json").write_text(json.dumps(abi))
    later = environ | {"VESU_ABI_FOLDER": str(tmp_path)}
    assert (await stage.json_of(later, *start))["resumed_at"] is None
    assert (await stage.json_of(later, *start))["resumed_at"] == recorded.last_block


async def test_a_new_decoder_reaches_the_log(indexed_copy: str, recorded: truth.Recorded) -> None:
    """An event that could not be decoded once: what decoding says now is a difference too."""
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    before = await stage.json_of(environ, "digest")
    await postgres.value(
        indexed_copy,
        "UPDATE events SET name = NULL, args = NULL WHERE block_number = "
        "(SELECT max(block_number) FROM events WHERE name = 'UpdateContext') "
        "AND name = 'UpdateContext'",
    )
    start = ("replay", "--from-block", "0", "--shadow")
    found = await stage.json_of(environ, *start, expect=1)
    table = found["difference"]["tables"]["events"]
    assert table["columns"] == {"name": table["differing"], "args": table["differing"]}
    assert table["examples"][0]["live"]["name"] is None
    assert table["examples"][0]["shadow"]["name"] == "UpdateContext"
    await stage.json_of(environ, *start, "--swap", "--allow-differences", "all")
    assert await stage.json_of(environ, "digest") == before


async def test_a_bug_in_a_fold_is_found(indexed_copy: str, recorded: truth.Recorded) -> None:
    """A fold that forgets repayments: right table, right count, right first event."""
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    before = await stage.json_of(environ, "digest")
    connection = await asyncpg.connect(indexed_copy)
    repaid = await connection.fetch(
        "SELECT block_number, transaction_index, event_index, transaction_hash "
        "FROM vesu_transactions WHERE type = 'repay' ORDER BY 1, 2, 3"
    )
    await connection.close()
    code, out, _ = await spoiled.command(
        environ,
        "repaid-forgotten",
        *("replay", "--from-block", "0", "--shadow", "--swap", "--json"),
    )
    assert code == 1
    found = msgspec.json.decode(out)
    assert not found["swapped"]
    assert f"{len(repaid)} rows differ" in found["refused"]
    tables = found["difference"]["tables"]
    assert {name for name, one in tables.items() if one["differing"]} == {"vesu_transactions"}
    wrong = tables["vesu_transactions"]
    assert (wrong["differing"], wrong["missing"], wrong["extra"]) == (len(repaid), 0, len(repaid))
    first = found["difference"]["first_event"]
    assert [first[name] for name in repaid[0].keys()] == list(repaid[0].values())  # noqa: SIM118
    assert first["name"] == "ModifyPosition"
    assert await stage.json_of(environ, "digest") == before


async def test_a_bug_in_the_state_is_found_where_it_begins(
    indexed_copy: str, recorded: truth.Recorded
) -> None:
    """A position that gets a share too many at each change from block 60 on."""
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    connection = await asyncpg.connect(indexed_copy)
    versions = await connection.fetch(
        "SELECT h.block_number, h.transaction_index, h.event_index FROM vesu_position_history h "
        "JOIN (SELECT pool_id, id FROM vesu_position_history WHERE block_number >= 60 "
        "ORDER BY block_number, transaction_index, event_index LIMIT 1) f USING (pool_id, id) "
        "WHERE h.block_number >= 60 ORDER BY 1, 2, 3"
    )
    await connection.close()
    code, out, err = await spoiled.command(
        environ, "shares-off-by-one:60", *("replay", "--from-block", "0", "--shadow", "--json")
    )
    assert code == 1, err
    difference = msgspec.json.decode(out)["difference"]
    histories = difference["tables"]["vesu_position_history"]
    assert histories["columns"]["collateral_shares"] == histories["differing"] == len(versions)
    assert difference["tables"]["vesu_positions"]["differing"] == 1
    first = difference["first_event"]
    assert [first[name] for name in versions[0].keys()] == list(versions[0].values())  # noqa: SIM118


async def test_a_daemon_with_an_older_fold_stops_after_the_swap(recorded: truth.Recorded) -> None:
    """The upgrade path: the old daemon goes on meanwhile, then finds other tables and says so."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 100)
    newer = f"fold:{tables.FOLD_VERSION + 1}"
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, head) as node,
    ):
        environ = stage.environment(recorded, node.url, url)
        await stage.command(environ, "run", "--until-block", "100", "--no-serve")
        daemon = await stage.start(environ, "run", "--no-serve")
        code, _, err = await spoiled.command(
            environ, newer, *("replay", "--from-block", "0", "--shadow", "--swap")
        )
        assert code == 0, err
        head.go_to(101)
        _, said = await asyncio.wait_for(daemon.communicate(), 60)
        assert daemon.returncode == 3
        assert f"made by fold {tables.FOLD_VERSION + 1}, this version has" in said.decode()
        code, _, err = await spoiled.command(
            environ, newer, *("run", "--until-block", "101", "--no-serve")
        )
        assert code == 0, err


async def test_a_swap_is_told_to_listeners(indexed_copy: str, recorded: truth.Recorded) -> None:
    """With the block that the tables still stand at, and the tables that changed."""
    environ = stage.environment(recorded, NOWHERE, indexed_copy)
    await _spoil(indexed_copy)
    connection = await asyncpg.connect(indexed_copy)
    told: asyncio.Queue[Any] = asyncio.Queue()
    try:
        await connection.add_listener("vesu_blocks", lambda *said: told.put_nowait(said[-1]))
        await stage.command(environ, "replay", "--from-block", "0")
        message = msgspec.json.decode(await asyncio.wait_for(told.get(), 30))
    finally:
        await connection.close()
    assert message["block_number"] == recorded.last_block
    assert message["block_hash"].startswith("0x")
    assert message["tables"] == ["vesu_position_history"]


@pytest.mark.parametrize("from_block", [pytest.param("0", marks=pytest.mark.heavy), "60", "88"])
async def test_a_reorganisation_under_a_shadow(
    indexed_copy: str, recorded: truth.Recorded, from_block: str
) -> None:
    """Built on a branch, killed, gone on with when the branch was abandoned at block 84."""
    loaded = recorded.chain
    fork = loaded.forks[0]
    async with postgres.fresh_database(migrated=True) as url:
        head = playhead.Playhead.at_block(loaded, 84, story=True)
        async with server.RecordingServer(loaded, head) as node:
            environ = stage.environment(recorded, node.url, url, VESU_INGEST_BATCH_EVENTS="5")
            await stage.command(environ, "run", "--until-block", "84", "--no-serve")
            head.go_to(fork.last, branch=1)
            await stage.command(environ, "run", "--until-block", str(fork.last), "--no-serve")
            start = ("replay", "--from-block", from_block, "--shadow")
            await spoiled.killed(environ, "kill-after-block:88", *start)
            head.go_to(loaded.main.last)
            until = str(recorded.last_block)
            await stage.command(environ, "run", "--until-block", until, "--no-serve")
        found = await stage.json_of(environ, *start)
    assert found["resumed_at"] >= 88
    assert found["difference"]["is_equal"], found
    assert found["difference"]["from_block"] == min(int(from_block), 85)


async def test_swap_while_the_daemon_follows_and_a_reader_reads(
    indexed_copy: str, recorded: truth.Recorded
) -> None:
    """The daemon takes up the new rows and goes on; a reader never sees two blocks mixed."""
    loaded = recorded.chain
    async with postgres.fresh_database(migrated=True) as url:
        head = playhead.Playhead.at_block(loaded, 100)
        async with server.RecordingServer(loaded, head) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(environ, "run", "--until-block", "100", "--no-serve")
            daemon = await stage.start(
                environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
            )
            async with joined.Reader(url) as reader:
                await _spoil(url)
                swapped = await stage.json_of(
                    environ,
                    *("replay", "--from-block", "0", "--shadow", "--swap"),
                    *("--allow-differences", "1"),
                )
                assert swapped["swapped"]
                head.go_to(recorded.last_block)
                assert await asyncio.wait_for(daemon.wait(), 60) == 0
            digest = await stage.json_of(environ, "digest")
    undisturbed = await stage.json_of(stage.environment(recorded, NOWHERE, indexed_copy), "digest")
    assert digest == undisturbed
    print(f"{reader.seen.total()} reads, the longest took {reader.longest * 1000:.0f} ms")
    assert len({seen.block for seen in reader.seen}) > 1
    for seen in reader.seen:
        assert seen.sums == await joined.at_block(indexed_copy, seen.block)


async def _spoil(url: str) -> dict[str, Any]:
    """Change one digit of one old version of a position."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "UPDATE position_versions h SET collateral_shares = collateral_shares + 1 "
            "WHERE (id, block_number, event_index) = (SELECT id, block_number, event_index "
            "FROM vesu_position_history WHERE kind = 'borrow' AND block_number BETWEEN 14 AND 20 "
            "ORDER BY block_number, transaction_index, event_index LIMIT 1) RETURNING *"
        )
        return dict(row)
    finally:
        await connection.close()
