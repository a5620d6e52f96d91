"""`replay` in place: the same rows from any block, after any kill, unnoticed by readers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.projections import tables
from indexer.recording import server
from tests import postgres
from tests.acceptance import joined, refusal, spoiled, stage, truth

NOWHERE = "http://127.0.0.1:1"
SEED = 20261125
SMALL_BATCHES = "20"
FOLD = tables.FOLD_VERSION
NEXT_FOLD = f"fold:{FOLD + 1}"
MADE = f"made by fold {FOLD}, this version has fold {FOLD + 1}"

REPEATED = (
    "UPDATE position_versions h SET collateral_shares = collateral_shares + 1 "
    "WHERE (id, block_number, transaction_index, event_index) = (SELECT id, block_number, "
    "transaction_index, event_index FROM vesu_position_history WHERE kind = 'borrow' "
    "AND block_number BETWEEN 35 AND 45 ORDER BY 2, 3, 4 LIMIT 1)"
)
SPOILED = (
    REPEATED,
    "DELETE FROM vesu_transactions WHERE type = 'withdraw' AND block_number > 60",
    "UPDATE vesu_assets SET reserve = reserve + 1 WHERE symbol = 'ETH'",
    "UPDATE events SET name = NULL, args = NULL WHERE name = 'UpdateContext' AND block_number > 90",
)
"""What a wrong fold may have left, in every kind of table."""


@pytest.fixture(scope="module")
async def sound(recorded: truth.Recorded) -> AsyncIterator[dict[str, str]]:
    """The environment of a database that replays leave as it is; small batches, no node."""
    async with stage.filled(recorded) as url:
        yield stage.environment(recorded, NOWHERE, url, VESU_INGEST_BATCH_EVENTS=SMALL_BATCHES)


@pytest.fixture(scope="module")
async def digest(sound: dict[str, str]) -> dict[str, Any]:
    """What the daemon made."""
    made: dict[str, Any] = await stage.json_of(sound, "digest")
    return made


@pytest.fixture
async def wrong(sound: dict[str, str], digest: dict[str, Any]) -> AsyncIterator[dict[str, str]]:
    """The environment of a database in which rows are not what the log makes."""
    async with postgres.fresh_database(copy_of=sound["DATABASE_URL"]) as url:
        await postgres.execute(url, *SPOILED)
        environ = sound | {"DATABASE_URL": url}
        assert await stage.json_of(environ, "digest") != digest
        yield environ


@pytest.mark.parametrize(
    "from_block",
    [
        pytest.param(block, marks=[pytest.mark.heavy] if block % 40 and block != 125 else [])
        for block in (*range(0, 126, 10), 125)
    ],
)
async def test_from_every_tenth_block(
    sound: dict[str, str], digest: dict[str, Any], from_block: int
) -> None:
    """In place and in shadow; valuations are equal too, though in batches cut otherwise."""
    start = ("replay", "--from-block", str(from_block))
    done = await stage.json_of(sound, *start)
    assert (done["from_block"], done["to_block"], done["rows_changed"]) == (from_block, 125, 0)
    shadow = await stage.json_of(sound, *start, "--shadow", "--swap")
    assert shadow["difference"]["is_equal"]
    assert shadow["rows_changed"] == 0
    assert await stage.json_of(sound, "digest") == digest


async def test_what_is_wrong_is_made_right(wrong: dict[str, str], digest: dict[str, Any]) -> None:
    done = await stage.json_of(wrong, "replay", "--from-block", "0")
    assert done["rows_changed"] > 10
    assert await stage.json_of(wrong, "digest") == digest
    assert (await stage.json_of(wrong, "replay", "--from-block", "0"))["rows_changed"] == 0


NONE = "00000000-0000-5000-8000-000000000000"
OTHER_POSITION = f"""
    INSERT INTO vesu_positions
    SELECT (jsonb_populate_record(p, jsonb_build_object('id', '{NONE}'))).*
    FROM vesu_positions p WHERE kind = 'earn' ORDER BY id LIMIT 1;
    UPDATE vesu_transactions t SET position_id = '{NONE}'
    FROM (SELECT pool_id, id FROM vesu_positions WHERE id <> '{NONE}' AND kind = 'earn') AS p
    WHERE (t.pool_id, t.position_id) = (p.pool_id, p.id)
        AND t.pool_id = (SELECT pool_id FROM vesu_positions WHERE id = '{NONE}');
"""
"""A position that the log does not make, which holds the transactions of another."""


async def test_transactions_of_a_position_that_goes_are_given_back(
    sound: dict[str, str], digest: dict[str, Any]
) -> None:
    async with postgres.fresh_database(copy_of=sound["DATABASE_URL"]) as url:
        await postgres.execute(url, OTHER_POSITION)
        environ = sound | {"DATABASE_URL": url}
        assert await stage.json_of(environ, "digest") != digest
        done = await stage.json_of(environ, "replay", "--from-block", "0")
        assert done["rows_changed"] > 1
        assert await stage.json_of(environ, "digest") == digest


IN_SHADOW = ("--shadow", "--swap", "--allow-differences", "all")


@pytest.mark.parametrize(
    ("where", "from_block", "flags"),
    [
        ("kill-after-block:1", 0, ()),
        ("kill-after-block:64", 31, ()),
        ("kill-after-block:64", 31, IN_SHADOW),
        ("kill-before-block:64", 0, ()),
        ("kill-before-block:64", 31, IN_SHADOW),
        ("kill-while-seeding", 31, ()),
        ("kill-inside-swap", 0, ()),
        ("kill-inside-swap", 0, IN_SHADOW),
    ],
)
async def test_a_killed_replay_goes_on(
    wrong: dict[str, str],
    digest: dict[str, Any],
    where: str,
    from_block: int,
    flags: tuple[str, ...],
) -> None:
    """Until it is done readers see the old tables, whole."""
    start = ("replay", "--from-block", str(from_block), *flags)
    before = await stage.json_of(wrong, "digest")
    await spoiled.killed(wrong, where, *start)
    assert await stage.json_of(wrong, "digest") == before
    done = await stage.json_of(wrong, *start)
    if where == "kill-while-seeding":
        assert done["resumed_at"] is None
    elif where == "kill-before-block:64":
        # That batch was folded, and is folded again: the one before it was the last committed.
        assert from_block <= done["resumed_at"] < 64
    else:
        assert done["resumed_at"] >= int(where.partition(":")[2] or 125)
    assert await stage.json_of(wrong, "digest") == digest
    assert (
        await postgres.value(wrong["DATABASE_URL"], "SELECT to_regnamespace('vesu_shadow')") is None
    )


async def test_kills_at_seeded_blocks(wrong: dict[str, str], digest: dict[str, Any]) -> None:
    """Killed again and again, further on each time, then let through."""
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    for block in sorted(dice.sample(range(1, 125), 4)):
        await spoiled.killed(wrong, f"kill-after-block:{block}", "replay", "--from-block", "0")
    done = await stage.json_of(wrong, "replay", "--from-block", "0")
    assert done["resumed_at"] >= block
    assert await stage.json_of(wrong, "digest") == digest


async def test_a_kill_after_the_swap_leaves_it_done(
    wrong: dict[str, str], digest: dict[str, Any]
) -> None:
    await spoiled.killed(wrong, "kill-after-swap", "replay", "--from-block", "0")
    assert await stage.json_of(wrong, "digest") == digest
    assert (
        await postgres.value(wrong["DATABASE_URL"], "SELECT to_regnamespace('vesu_shadow')") is None
    )


async def test_what_a_kill_left_is_not_taken_for_another_replay(
    wrong: dict[str, str], digest: dict[str, Any]
) -> None:
    """Another first block, or another fold: begun anew. --discard removes it."""
    await spoiled.killed(wrong, "kill-after-block:64", "replay", "--from-block", "31")
    _, out, _ = await stage.command(wrong, "doctor", expect=1)
    assert "`vesu-indexer replay --discard`" in out
    assert (await stage.json_of(wrong, "replay", "--discard")) == {"discarded": True}
    assert (await stage.json_of(wrong, "replay", "--discard")) == {"discarded": False}
    await spoiled.killed(wrong, "kill-after-block:64", "replay", "--from-block", "31")
    done = await stage.json_of(wrong, "replay", "--from-block", "0")
    assert done["resumed_at"] is None
    assert await stage.json_of(wrong, "digest") == digest


async def test_two_replays_at_once(sound: dict[str, str]) -> None:
    connection = await asyncpg.connect(sound["DATABASE_URL"])
    try:
        await connection.execute(f"SELECT pg_advisory_lock({0x5645_5348})")
        line = await refusal.refused(sound, "replay", "--from-block", "0", "--shadow", code=3)
    finally:
        await connection.close()
    assert "another replay builds the shadow: server process" in line


# --- --to-block -------------------------------------------------------------------------------


async def test_a_range_is_mended_alone(wrong: dict[str, str], digest: dict[str, Any]) -> None:
    """A wrong version that a later one of the range replaces: nothing above need change."""
    await stage.json_of(wrong, "replay", "--from-block", "0")
    url = wrong["DATABASE_URL"]
    again = await postgres.value(
        url,
        "UPDATE pool_versions SET pair_nominal_debt = pair_nominal_debt + 1 WHERE "
        "(id, block_number, transaction_index, event_index) = (SELECT h.id, "
        "h.block_number, h.transaction_index, h.event_index FROM vesu_pool_history h WHERE EXISTS "
        "(SELECT FROM vesu_pool_history l WHERE (l.pool_id, l.id) = (h.pool_id, h.id) AND "
        "l.block_number > h.block_number AND l.block_number < 80) AND h.block_number > 20 "
        "ORDER BY 2, 3, 4 LIMIT 1) RETURNING block_number",
    )
    start = ("replay", "--from-block", "10", "--to-block", "80")
    found = await stage.json_of(wrong, *start, "--shadow", expect=1)
    assert found["difference"]["first_event"]["block_number"] == again
    assert found["difference"]["tables"]["vesu_pool_history"]["columns"] == {"pair_nominal_debt": 1}
    assert "vesu_positions" not in found["difference"]["tables"]
    done = await stage.json_of(wrong, *start)
    assert (done["from_block"], done["to_block"], done["rows_changed"]) == (10, 80, 1)
    assert await stage.json_of(wrong, "digest") == digest


async def test_what_follows_from_a_wrong_range_is_made_again(
    wrong: dict[str, str], digest: dict[str, Any]
) -> None:
    """The range ends in another state than the tables say: the replay goes on to the end."""
    await stage.json_of(wrong, "replay", "--from-block", "0")
    url = wrong["DATABASE_URL"]
    await postgres.execute(
        url,
        "UPDATE vesu_assets SET reserve = reserve + 1",
        "UPDATE asset_versions SET reserve = reserve + 1 WHERE block_number >= 75",
    )
    done = await stage.json_of(wrong, "replay", "--from-block", "60", "--to-block", "80")
    assert done["to_block"] == 125
    assert await stage.json_of(wrong, "digest") == digest


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        (("9999",), "--from-block 9999 is above the last committed block 125"),
        (("3", "--to-block", "9999"), "--to-block 9999 is above the last committed block 125"),
        (("30", "--to-block", "29"), "--to-block 29 is below --from-block 30"),
    ],
)
async def test_blocks_that_are_not_there(
    sound: dict[str, str], blocks: tuple[str, ...], said: str
) -> None:
    line = await refusal.refused(sound, "replay", "--from-block", *blocks, code=2)
    assert said in line


# --- readers ----------------------------------------------------------------------------------


async def test_readers_see_the_old_tables_or_the_new(
    wrong: dict[str, str], digest: dict[str, Any]
) -> None:
    """The join of the four tables has two outcomes, one before the swap and one after it."""
    url = wrong["DATABASE_URL"]
    async with joined.Reader(url) as reader:
        before = await reader.once()
        await stage.json_of(wrong, "replay", "--from-block", "0")
        after = await reader.once()
    assert before != after
    assert set(reader.seen) == {before, after}
    assert reader.seen[before] > 20
    assert await stage.json_of(wrong, "digest") == digest


# --- fold versions ----------------------------------------------------------------------------


async def test_a_newer_fold_says_so_and_offers_the_replay(
    recorded: truth.Recorded, wrong: dict[str, str], digest: dict[str, Any]
) -> None:
    """Old tables are not written on by a newer fold, nor made again by half."""
    async with server.RecordingServer(recorded.chain) as node:
        served = wrong | {"VESU_NODE_URLS": node.url}
        code, _, err = await spoiled.command(served, NEXT_FOLD, "run", "--no-serve")
    assert code == 3
    assert MADE in err
    assert "`vesu-indexer replay --from-block 0`" in err
    code, out, _ = await spoiled.command(wrong, NEXT_FOLD, "doctor")
    assert code == 1
    assert MADE in out
    for some in (("--from-block", "1"), ("--from-block", "0", "--to-block", "125")):
        code, _, err = await spoiled.command(wrong, NEXT_FOLD, "replay", *some)
        assert code == 2
        assert "replay all of them, --from-block 0" in err
    code, _, err = await spoiled.command(wrong, NEXT_FOLD, "replay", "--from-block", "0")
    assert code == 0, err
    assert await stage.json_of(wrong, "digest") == digest
    assert (
        await postgres.value(wrong["DATABASE_URL"], "SELECT fold_version FROM cursor") == FOLD + 1
    )
    async with server.RecordingServer(recorded.chain) as node:
        served = wrong | {"VESU_NODE_URLS": node.url}
        line = await refusal.refused(served, "run", "--no-serve", code=3)
    assert f"made by fold {FOLD + 1}, this version has fold {FOLD}: upgrade the indexer" in line


async def test_a_build_of_another_fold_is_not_gone_on_with(
    wrong: dict[str, str], digest: dict[str, Any]
) -> None:
    await spoiled.killed(wrong, "kill-after-block:64", "replay", "--from-block", "0")
    code, out, err = await spoiled.command(wrong, NEXT_FOLD, "replay", "--from-block", "0")
    assert code == 0, err
    assert "gone on" not in out
    assert await stage.json_of(wrong, "digest") == digest


async def test_progress_goes_to_stderr_with_an_eta(sound: dict[str, str]) -> None:
    environ = sound | {"VESU_LOG_LEVEL": "info"}
    _, _, err = await stage.command(environ, "replay", "--from-block", "0")
    assert '"eta_seconds"' in err


async def test_a_replay_of_one_pool_changes_no_other(
    recorded: truth.Recorded, indexed_copy: str
) -> None:
    """Rows of two pools are spoiled: those of the named one are made again, the rest stays."""
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy)
    sound = await of_pools(indexed_copy)
    mended, left, *_ = sorted(
        row["pool_id"]
        for row in await postgres.fetch(
            indexed_copy, "SELECT DISTINCT pool_id FROM vesu_positions WHERE nominal_debt > 0"
        )
    )
    await postgres.execute(
        indexed_copy,
        "UPDATE vesu_positions SET nominal_debt = nominal_debt + 1 WHERE nominal_debt > 0",
        "UPDATE position_versions SET collateral_shares = collateral_shares + 1",
        "DELETE FROM vesu_liquidations",
        "DELETE FROM vesu_transactions WHERE type = 'borrow'",
        "UPDATE contracts SET quarantine_reason = 'a fault' WHERE kind = 'pool_v2'",
        "UPDATE vesu_pools SET quarantine_reason = 'a fault'",
    )
    spoiled = await of_pools(indexed_copy)
    await stage.command(environ, "replay", "--pool", mended)
    found = await of_pools(indexed_copy)
    assert found[mended] == sound[mended] != spoiled[mended]
    assert found[left] == spoiled[left] != sound[left]
    assert {pool: rows for pool, rows in found.items() if pool != mended} == {
        pool: rows for pool, rows in spoiled.items() if pool != mended
    }
    await stage.command(environ, "replay", "--from-block", "0")
    found = await of_pools(indexed_copy)
    assert found.keys() == sound.keys()
    assert [row for pool in found for row in sorted({*found[pool]} ^ {*sound[pool]})] == []


async def of_pools(url: str) -> dict[str, list[str]]:
    """The rows of every table with rows of pools, by pool."""
    found: dict[str, list[str]] = {}
    for table in tables.PROJECTIONS:
        for row in await postgres.fetch(url, f"SELECT * FROM {table.name}"):
            pool = row["pool_id"] or row.get("pool_address") or row.get("address")
            # Which sampling was the newest when a row was valued is counted by each valuing.
            kept = {name: value for name, value in row.items() if name != "sampling"}
            found.setdefault(pool, []).append(f"{table.name} {kept}")
    return {pool: sorted(rows) for pool, rows in found.items()}
