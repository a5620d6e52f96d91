"""`maintenance`: advice that names what is there, work beside a daemon, retention by age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib import parse

import asyncpg
import pytest

from indexer.audit import advice
from indexer.log import retention
from indexer.recording import server
from indexer.store import upkeep
from tests import postgres
from tests.acceptance import moving, refusal, stage, truth

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
async def filled_url(recorded: truth.Recorded) -> AsyncIterator[str]:
    """A database filled up to block 60, to be copied."""
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(recorded.chain) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(environ, "run", "--until-block", "60", "--no-serve")
        yield url


@pytest.fixture
async def url(filled_url: str) -> AsyncIterator[str]:
    async with postgres.fresh_database(copy_of=filled_url) as url:
        yield url


@pytest.fixture
def environ(recorded: truth.Recorded, url: str) -> dict[str, str]:
    return stage.environment(recorded, NOWHERE, url)


@pytest.fixture
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def shown(connection: asyncpg.Connection, condition: str) -> None:
    """Until the statistics, which come late, show it."""
    while not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {condition})"):
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        await asyncio.sleep(0.02)


def of_kind(told: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {one["subject"]: one for one in told["advice"]["advice"] if one["kind"] == kind}


# --- advice ---------------------------------------------------------------------------------------


async def test_nothing_is_advised_away_that_the_indexer_made(environ: dict[str, str]) -> None:
    told = await stage.json_of(environ, "maintenance")
    assert told["done"] == []
    assert told["retention"] is None
    index_kinds = {"unused index", "duplicate index", "covered index", "invalid index"}
    assert not [one for one in told["advice"]["advice"] if one["kind"] in index_kinds]
    kept = {one["subject"] for one in told["advice"]["kept"]}
    assert "vesu_liquidations.idx_vesu_liquidations_liquidator" in kept
    sizes = {table["name"]: table["total_bytes"] for table in told["advice"]["tables"]}
    assert sizes["event_log"] > 100_000
    assert not [name for name in sizes if "yoyo" in name]
    _, out, _ = await stage.command(environ, "maintenance", "--advise")
    assert "promised indexes" in out


async def test_each_finding_has_a_remedy_that_ends_it(
    environ: dict[str, str], url: str, connection: asyncpg.Connection
) -> None:
    await postgres.execute(
        url,
        "ALTER TABLE observations SET (autovacuum_enabled = false)",
        "ALTER TABLE receipts SET (autovacuum_enabled = false)",
        "CREATE INDEX mine_unused ON event_log (emitter)",
        "CREATE INDEX mine_twice ON vesu_positions (user_id)",
        "CREATE INDEX mine_broken ON blocks (parent_hash)",
        "CREATE INDEX mine_broken_ccnew ON blocks (parent_hash)",
        "UPDATE pg_index SET indisvalid = false "
        "WHERE indexrelid IN ('mine_broken'::regclass, 'mine_broken_ccnew'::regclass)",
        "INSERT INTO receipts SELECT g, 0, 'hash', 1, 'FRI' FROM generate_series(1000, 150000) g",
        "INSERT INTO observations SELECT g, 'c', 'v', '{}', 'h', '{}' "
        "FROM generate_series(1000, 5000) g",
    )
    await postgres.execute(
        url,
        "DELETE FROM receipts WHERE block_number >= 1000",
        "VACUUM (ANALYZE) receipts",
        "DELETE FROM observations WHERE block_number > 2000",
    )
    await shown(
        connection, "pg_stat_user_tables WHERE relname = 'observations' AND n_dead_tup > 2000"
    )
    told = await stage.json_of(environ, "maintenance")
    subjects = {
        kind: set(of_kind(told, kind))
        for kind in ("unused index", "duplicate index", "invalid index", "bloated index")
    }
    assert subjects == {
        "unused index": {"event_log.mine_unused"},
        "duplicate index": {"vesu_positions.mine_twice"},
        "invalid index": {"blocks.mine_broken", "blocks.mine_broken_ccnew"},
        "bloated index": {"receipts.receipts_pkey"},
    }
    assert (
        "idx_vesu_positions_user_id"
        in of_kind(told, "duplicate index")["vesu_positions.mine_twice"]["finding"]
    )
    assert "observations" in of_kind(told, "dead rows")
    for one in told["advice"]["advice"]:
        if one["kind"].endswith("index"):
            await connection.execute(one["remedy"])
        elif one["kind"] in ("dead rows", "no statistics"):
            await stage.command(environ, *one["remedy"].split()[1:])
    await shown(connection, "pg_stat_user_tables WHERE relname = 'observations' AND n_dead_tup = 0")
    left = (await stage.json_of(environ, "maintenance"))["advice"]["advice"]
    assert {one["subject"] for one in left} <= {"blocks.mine_broken"}
    assert not [one for one in left if one["kind"] != "unused index"]


async def test_a_dropped_index_is_missed_with_the_statement_that_makes_it(
    environ: dict[str, str], url: str
) -> None:
    await postgres.execute(
        url,
        "DROP INDEX idx_vesu_positions_status",
        "DROP INDEX idx_vesu_positions_last_updated",
        "CREATE INDEX idx_vesu_positions_last_updated ON vesu_positions (created_at)",
    )
    told = (await stage.json_of(environ, "maintenance"))["advice"]["advice"]
    found = {one["subject"]: one for one in told if one["kind"] in ("missing index", "other index")}
    assert {name: one["kind"] for name, one in found.items()} == {
        "vesu_positions.idx_vesu_positions_status": "missing index",
        "vesu_positions.idx_vesu_positions_last_updated": "other index",
    }
    _, out, _ = await stage.command(environ, "maintenance")
    assert "Nothing to do" not in out
    for one in found.values():
        await postgres.execute(url, *filter(None, map(str.strip, one["remedy"].split(";"))))
    await stage.command(environ, "verify-indexes")


async def test_a_long_transaction_is_named(
    connection: asyncpg.Connection, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "LONG_SECONDS", 0.0)
    sleeper = await asyncpg.connect(url, server_settings={"application_name": "a report"})
    pid = str(sleeper.get_server_pid())
    await sleeper.execute("BEGIN; SELECT 1")
    found = (await advice.read(connection)).advice
    one = next(one for one in found if one.kind == "long transaction" and one.subject == pid)
    assert "a report" in one.finding
    assert "idle in transaction" in one.finding
    assert one.remedy is not None
    await connection.execute(one.remedy)
    while pid in {one.subject for one in (await advice.read(connection)).advice}:
        await asyncio.sleep(0.02)
    sleeper.terminate()


# --- work -----------------------------------------------------------------------------------------


async def test_beside_a_writing_daemon(recorded: truth.Recorded, indexed_url: str) -> None:
    """Everything at once, while block after block is committed; nothing is lost by it."""
    async with moving.daemon(recorded, 15) as daemon:
        work = stage.json_of(
            daemon.environ, "maintenance", "--vacuum", "--analyze", "--reindex", "--advise"
        )
        told, commits = await daemon.during(work, at_most=80)
        print(f"{len(told['done'])} steps while {commits} blocks were committed")
        assert commits > 3
        assert [step for step in told["done"] if step["complaint"]] == []
        statements = " ".join(step["statement"] for step in told["done"])
        assert 'REINDEX INDEX CONCURRENTLY "idx_vesu_positions_health_factor"' in statements
        assert 'VACUUM (ANALYZE) "event_log"' in statements
        await daemon.reach(recorded.last_block)
        environ = daemon.environ
        await stage.command(environ, "verify-indexes")
        same = await stage.json_of(environ, "digest")
        assert same == await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")
        connection = await asyncpg.connect(environ["DATABASE_URL"])
        unvacuumed = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid "
            "WHERE s.relname LIKE 'vesu_%' AND c.relkind = 'r' "  # a partitioned one has no rows
            "AND (last_vacuum IS NULL OR last_analyze IS NULL)"
        )
        await connection.close()
        assert unvacuumed == 0


async def test_what_a_killed_reindex_left_is_cleared(
    environ: dict[str, str], url: str, connection: asyncpg.Connection
) -> None:
    left = "idx_vesu_pools_address_ccnew"
    await postgres.execute(
        url,
        f"CREATE INDEX {left} ON vesu_pools (pool_address)",
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{left}'::regclass",
    )
    told = await stage.json_of(environ, "maintenance", "--reindex")
    assert f'DROP INDEX CONCURRENTLY "{left}"' in {step["statement"] for step in told["done"]}
    assert await connection.fetchval("SELECT to_regclass($1)", left) is None
    await stage.command(environ, "verify-indexes")


async def test_one_maintenance_at_a_time(
    environ: dict[str, str], connection: asyncpg.Connection
) -> None:
    await connection.execute(f"SELECT pg_advisory_lock({upkeep.MAINTENANCE_KEY})")
    line = await refusal.refused(environ, "maintenance", "--vacuum", code=3)
    assert "another maintenance" in line
    await stage.command(environ, "maintenance", "--advise")


async def test_what_a_role_may_not_do_is_told(
    environ: dict[str, str], url: str, connection: asyncpg.Connection
) -> None:
    """PostgreSQL skips such a table with a warning alone."""
    role = "reader_of_tests"
    await connection.execute(f"DROP ROLE IF EXISTS {role}")
    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    parts = parse.urlsplit(url)
    netloc = f"{role}:{role}@{parts.netloc.rpartition('@')[2]}"
    environ["DATABASE_URL"] = parse.urlunsplit(parts._replace(netloc=netloc))
    try:
        told = await stage.json_of(environ, "maintenance", "--vacuum", expect=1)
        assert all(step["complaint"] for step in told["done"])
        assert len(told["done"]) > 10
        line = await refusal.refused(environ, "maintenance", "--reindex", code=3)
        assert "must be owner" in line or "permission denied" in line
        await stage.command(environ, "maintenance")
    finally:
        await connection.execute(f"DROP OWNED BY {role}")
        await connection.execute(f"DROP ROLE {role}")


# --- retention ------------------------------------------------------------------------------------


@pytest.fixture
async def orphans(url: str, connection: asyncpg.Connection) -> dict[int, int]:
    """Reorganisations so many days and an hour ago, with two events and one observation each."""
    made = {}
    for days in (5, 29, 30, 400):
        reorg = await connection.fetchval(
            "INSERT INTO reorgs (detected_at, ancestor_number, old_number, old_hash, new_number, "
            "new_hash, depth, events_orphaned, rows_restored, seconds) VALUES "
            "(now() - make_interval(days => $1, hours => 1), 1, 3, '0x3', 4, '0x4', 2, 2, 0, 0) "
            "RETURNING id",
            days,
        )
        await connection.execute(
            "INSERT INTO orphaned_events SELECT $1, block_number, transaction_index, event_index, "
            "block_hash, transaction_hash, from_address, keys, data FROM events LIMIT 2",
            reorg,
        )
        await connection.execute(
            "INSERT INTO orphaned_observations SELECT $1, block_number, contract, view, calldata, "
            "block_hash, result, error FROM observations LIMIT 1",
            reorg,
        )
        await connection.execute(
            "INSERT INTO completeness_gaps (block_number, transaction_index, event_index, "
            "transaction_hash, from_address, difference, reorg_id, repaired_at) "
            "VALUES (2, 0, $1, '0x5', '0x6', 'missing', $2, now())",
            days,
            reorg,
        )
        await connection.execute(
            "INSERT INTO observation_gaps (block_number, contract, view, calldata, reorg_id, "
            "repaired_at) VALUES (2, '0x6', 'symbol', ARRAY[$1::text], $2, now())",
            str(days),
            reorg,
        )
        made[days] = reorg
    return made


async def remaining(connection: asyncpg.Connection) -> list[set[int]]:
    return [
        {row[0] for row in await connection.fetch(f"SELECT {column} FROM {table}")}
        for table, column in (
            ("reorgs", "id"),
            ("orphaned_events", "reorg_id"),
            ("orphaned_observations", "reorg_id"),
            ("completeness_gaps", "reorg_id"),
            ("observation_gaps", "reorg_id"),
        )
    ]


async def test_retention_deletes_what_is_older_and_only_when_told(
    environ: dict[str, str], connection: asyncpg.Connection, orphans: dict[int, int]
) -> None:
    every = set(orphans.values())
    before = await stage.json_of(environ, "digest")
    told = await stage.json_of(environ, "maintenance", "--retention", "--apply")
    assert told["retention"]["reorgs"] == 0, "kept for ever unless configured"
    environ["VESU_MAINTENANCE_RETAIN_ORPHANS_DAYS"] = "30"
    told = await stage.json_of(environ, "maintenance", "--retention")
    expected = {
        "reorgs": 2,
        "orphaned_events": 4,
        "orphaned_observations": 2,
        "completeness_gaps": 2,
        "observation_gaps": 2,
    }
    assert told["retention"] == expected | {"days": 30, "deleted": False}
    _, out, _ = await stage.command(environ, "maintenance", "--retention")
    assert out.startswith("Would delete 2 reorganisations older than 30 days")
    assert await remaining(connection) == [every] * 5
    told = await stage.json_of(environ, "maintenance", "--retention", "--apply")
    assert told["retention"] == expected | {"days": 30, "deleted": True}
    assert await remaining(connection) == [{orphans[5], orphans[29]}] * 5
    flag = ("--retain-orphans-days", "29")
    told = await stage.json_of(environ, "maintenance", "--retention", "--apply", *flag)
    assert await remaining(connection) == [{orphans[5]}] * 5
    assert await stage.json_of(environ, "digest") == before


async def test_a_gap_that_is_still_open_keeps_its_reorganisation(
    environ: dict[str, str], connection: asyncpg.Connection, orphans: dict[int, int]
) -> None:
    await connection.execute(
        "UPDATE completeness_gaps SET repaired_at = NULL WHERE reorg_id = $1", orphans[400]
    )
    given = ("--retention", "--apply", "--retain-orphans-days", "1")
    told = await stage.json_of(environ, "maintenance", *given)
    assert told["retention"]["reorgs"] == 3
    assert await remaining(connection) == [{orphans[400]}] * 5


async def test_retention_knows_every_table_of_a_reorganisation(
    connection: asyncpg.Connection,
) -> None:
    """One that a migration adds would keep reorganisations from being deleted."""
    rows = await connection.fetch(
        "SELECT conrelid::regclass::text FROM pg_constraint "
        "WHERE contype = 'f' AND confrelid = 'reorgs'::regclass"
    )
    assert {row[0] for row in rows} == set(retention.TABLES)


async def test_retention_waits_for_a_shadow(
    environ: dict[str, str], connection: asyncpg.Connection, orphans: dict[int, int]
) -> None:
    await connection.execute("CREATE SCHEMA vesu_shadow")
    await connection.execute("CREATE TABLE vesu_shadow.progress (block_number bigint)")
    given = ("--retention", "--apply", "--retain-orphans-days", "30")
    line = await refusal.refused(environ, "maintenance", *given, code=3)
    assert "replay --discard" in line
    assert await remaining(connection) == [set(orphans.values())] * 5


async def test_apply_alone_is_a_mistake(environ: dict[str, str]) -> None:
    line = await refusal.refused(environ, "maintenance", "--vacuum", "--apply", code=2)
    assert "--retention" in line
