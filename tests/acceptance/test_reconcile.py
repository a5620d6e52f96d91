"""`reconcile` against the served recording: equal as it is, and names what was changed by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer import errors
from indexer.cairo import felt252, selector
from indexer.recording import options, playhead, server
from tests import postgres
from tests.acceptance import changed_rows, refusal, stage, test_http, truth


@pytest.fixture(scope="module")
async def served(recorded: truth.Recorded) -> AsyncIterator[str]:
    async with server.RecordingServer(recorded.chain) as node:
        yield node.url


@pytest.mark.parametrize("block", [0, 9, 33, 60, 84, 90, 110, 124, 125])
async def test_every_row_equals_the_contracts_views(
    indexed_url: str, recorded: truth.Recorded, served: str, block: int
) -> None:
    environ = stage.environment(recorded, served, indexed_url)
    found = await stage.json_of(environ, "reconcile", "--block", str(block))
    print(f"block {block}: {found['compared']} values, {found['views']}")
    assert found["is_equal"], found["differences"]
    assert found["block_number"] == block
    assert int(found["block_hash"], 16) == int(recorded.hashes[block], 16)


PICK = "(SELECT id FROM {table} WHERE {where} ORDER BY id LIMIT 1)"
SPOILED = [
    ("vesu_positions", "collateral_shares", "kind = 'borrow' AND collateral_shares > 0"),
    ("vesu_positions", "nominal_debt", "nominal_debt > 0"),
    ("vesu_positions", "vtoken_balance_raw", "kind = 'earn' AND vtoken_balance_raw > 0"),
    ("vesu_assets", "total_nominal_debt", "total_nominal_debt > 0"),
    ("vesu_assets", "reserve", "total_nominal_debt > 0"),
    ("vesu_assets", "last_rate_accumulator", "total_nominal_debt > 0"),
    ("vesu_assets", "rate_half_life", "total_nominal_debt > 0"),
    ("vesu_pools", "max_ltv_raw", "pair_nominal_debt > 0"),
    ("vesu_pools", "pair_nominal_debt", "pair_nominal_debt > 0"),
]


async def test_one_digit_of_a_current_row_changed_by_hand_is_named(
    indexed_copy: str, recorded: truth.Recorded, served: str
) -> None:
    """Row and column are named, nothing else is, and mending it by hand clears it again."""
    environ = stage.environment(recorded, served, indexed_copy)
    for table, column, where in SPOILED:
        (row,) = await postgres.fetch(
            indexed_copy,
            f"UPDATE {table} SET {column} = {column} + 10 "
            f"WHERE id = {PICK.format(table=table, where=where)} RETURNING id",
        )
        found = await stage.json_of(
            environ, "reconcile", "--block", str(recorded.last_block), expect=1
        )
        named = {(one["table"], one["row_id"]) for one in found["differences"]}
        assert named == {(table, str(row["id"]))}, (column, found["differences"])
        assert column in {one["column"] for one in found["differences"]}
        await postgres.execute(
            indexed_copy, f"UPDATE {table} SET {column} = {column} - 10 WHERE id = '{row['id']}'"
        )
    assert (await stage.json_of(environ, "reconcile"))["is_equal"]


async def test_one_digit_of_history_changed_by_hand_is_named_at_its_block(
    indexed_copy: str, recorded: truth.Recorded, served: str
) -> None:
    environ = stage.environment(recorded, served, indexed_copy)
    (row,) = await postgres.fetch(
        indexed_copy,
        "UPDATE position_versions SET nominal_debt = nominal_debt + 1 WHERE (id, block_number)"
        " = (SELECT id, block_number FROM vesu_position_history WHERE nominal_debt > 0"
        " AND block_number < 80 ORDER BY block_number DESC, id LIMIT 1)"
        " RETURNING id, block_number, transaction_index, event_index, nominal_debt",
    )
    block = str(row["block_number"])
    found = await stage.json_of(environ, "reconcile", "--block", block, expect=1)
    (difference,) = found["differences"]
    assert difference["table"] == "vesu_position_history"
    assert difference["row_id"] == str(row["id"])
    assert difference["column"] == "nominal_debt"
    assert difference["version"] == [
        row["block_number"],
        row["transaction_index"],
        row["event_index"],
    ]
    assert int(difference["ours"]) == int(difference["theirs"]) + 1 == row["nominal_debt"]
    assert difference["view"] == "position"
    assert (await stage.json_of(environ, "reconcile", "--block", "0"))["is_equal"]


async def test_a_deleted_row_is_missed(
    indexed_copy: str, recorded: truth.Recorded, served: str
) -> None:
    environ = stage.environment(recorded, served, indexed_copy)
    (row,) = await postgres.fetch(
        indexed_copy,
        "DELETE FROM vesu_positions WHERE id = (SELECT id FROM vesu_positions p WHERE NOT EXISTS"
        " (SELECT 1 FROM vesu_liquidations l WHERE l.position_id = p.id) AND NOT EXISTS"
        " (SELECT 1 FROM vesu_transactions t WHERE t.position_id = p.id)"
        " ORDER BY id LIMIT 1) RETURNING id",
    )
    found = await stage.json_of(environ, "reconcile", expect=1)
    assert {("vesu_positions", str(row["id"]), "missing")} == {
        (one["table"], one["row_id"], one["ours"]) for one in found["differences"]
    }


async def test_scopes(indexed_url: str, recorded: truth.Recorded, served: str) -> None:
    """A pool, a user, a seeded sample; the same seed chooses the same rows."""
    environ = stage.environment(recorded, served, indexed_url)
    rows = await postgres.fetch(
        indexed_url,
        "SELECT pool_id, user_id, count(*) AS held FROM vesu_positions WHERE kind = 'borrow'"
        " GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 1",
    )
    whole = await stage.json_of(environ, "reconcile")
    pool = await stage.json_of(environ, "reconcile", "--pool", rows[0]["pool_id"])
    user = await stage.json_of(environ, "reconcile", "--user", rows[0]["user_id"])
    print(f"compared: {whole['compared']} all, {pool['compared']} pool, {user['compared']} user")
    assert whole["compared"] > pool["compared"] > 0
    assert whole["compared"] > user["compared"] > 0
    assert user["views"]["position"]["asked"] >= rows[0]["held"]
    samples = [
        await stage.json_of(environ, "reconcile", "--sample", "5", "--seed", seed)
        for seed in ("one", "one", "two")
    ]
    asked = [{name: one["asked"] for name, one in found["views"].items()} for found in samples]
    assert asked[0] == asked[1]
    positions = asked[0].get("position", 0) + asked[0].get("balance_of", 0)
    assert positions == 5
    assert [found["scope"] for found in samples] == ["sample"] * 3
    assert samples[0]["seed"] == "one"


async def test_status_says_so_until_the_rows_are_found_equal(
    indexed_copy: str, recorded: truth.Recorded, served: str
) -> None:
    # The copy is of a database that no daemon has looked after for as long as other tests took.
    environ = stage.environment(recorded, served, indexed_copy, VESU_HEALTH_SILENCE_SECONDS="86400")
    await postgres.execute(
        indexed_copy, "UPDATE vesu_assets SET reserve = reserve + 1 WHERE total_nominal_debt > 0"
    )
    found = await stage.json_of(environ, "reconcile", expect=1)
    await stage.json_of(environ, "reconcile", "--block", "60")  # other rows: settles nothing
    status = await stage.json_of(environ, "status", expect=1)
    assert not status["is_fresh"]
    assert "not equal to the contracts' own" in status["reason"]
    assert status["standing_differences"] == len(found["differences"])
    await postgres.execute(
        indexed_copy, "UPDATE vesu_assets SET reserve = reserve - 1 WHERE total_nominal_debt > 0"
    )
    await stage.json_of(environ, "reconcile")
    status = await stage.json_of(environ, "status", expect=None)
    assert status["standing_differences"] == 0
    assert "differ" not in status["reason"]
    stored = await postgres.fetch(
        indexed_copy, "SELECT differences, block_hash FROM reconciliations ORDER BY id"
    )
    assert [row["differences"] for row in stored] == [len(found["differences"]), 0, 0]
    assert stored[0]["block_hash"] == found["block_hash"]


async def test_a_node_that_lacks_the_block_proves_nothing(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    loaded = recorded.chain
    async with server.RecordingServer(loaded, playhead.Playhead.at_block(loaded, 60)) as node:
        environ = stage.environment(recorded, node.url, indexed_url)
        line = await refusal.refused(environ, "reconcile", code=3)
    assert "does not know the block" in line


async def test_a_pool_that_no_node_can_run_stops_the_check_where_it_is_listed(
    indexed_copy: str, recorded: truth.Recorded
) -> None:
    """A stranger's oracle fails for good: all other pools are checked as before."""
    pools = [one["address"] for one in recorded.manifest["pools"].values()]
    theirs, *honest = pools
    price = hex(selector.of("price"))

    def fault(method: str, params: Any) -> options.Fault | None:
        if method != "starknet_call":
            return None
        request = params["request"] if isinstance(params, dict) else params[0]
        asked = (int(request["contract_address"], 16), request["entry_point_selector"])
        return options.Fault(result=fail) if asked == (int(theirs, 16), price) else None

    def fail() -> Any:
        raise errors.RpcError("Internal error", -32603)

    loaded = recorded.chain
    settings = options.ServerOptions(fault=fault)
    async with server.RecordingServer(loaded, options=settings) as node:
        environ = stage.environment(recorded, node.url, indexed_copy)
        assert "Internal error" in await refusal.refused(environ, "reconcile", code=3)
        listed = ", ".join(
            f"('{felt252.padded(int(pool, 16))}', NULL, 'configuration')" for pool in honest
        )
        await postgres.execute(indexed_copy, f"INSERT INTO listed_pools VALUES {listed}")
        _, out, err = await stage.command(environ, "reconcile", "--json")
        assert json.loads(out)["is_equal"]
        assert "pool_not_reconciled" in err
        await postgres.execute(
            indexed_copy, "UPDATE vesu_positions SET nominal_debt = nominal_debt + 1"
        )
        found = await stage.json_of(environ, "reconcile", expect=1)
    named = {int(one["contract"], 16) for one in found["differences"]}
    assert {int(pool, 16) for pool in honest[:2]} <= named


async def test_a_committed_block_that_is_not_stored_is_checked_as_well(
    indexed_copy: str, recorded: truth.Recorded, served: str
) -> None:
    """A rollback ends at the common ancestor, which is stored only if an event was in it."""
    await postgres.execute(
        indexed_copy,
        "SET session_replication_role = replica",
        "DELETE FROM blocks WHERE number = (SELECT block_number FROM cursor)",
    )
    environ = stage.environment(recorded, served, indexed_copy)
    found = await stage.json_of(environ, "reconcile", expect=1)
    # Here rows are valued at the block that was taken out: nobody knows its time for them.
    assert {one["view"] for one in found["differences"]} == {"valuation"}
    assert (found["block_number"], found["committed_block"]) == (recorded.last_block,) * 2
    assert found["compared"] > 3000


async def test_usage(indexed_url: str, recorded: truth.Recorded, served: str) -> None:
    environ = stage.environment(recorded, served, indexed_url)
    for arguments in (("--seed", "x"), ("--block", "126"), ("--sample", "0")):
        await refusal.refused(environ, "reconcile", *arguments, code=2)


async def test_a_sample_in_the_background_is_seen_by_health(
    recorded: truth.Recorded, served: str
) -> None:
    """`run` finds a row that was changed by hand; /health says so until a check is equal."""
    async with postgres.fresh_database(migrated=True) as url:
        environ = stage.environment(
            recorded,
            served,
            url,
            VESU_RECONCILE_EVERY_SECONDS="1",
            VESU_RECONCILE_SAMPLE="1000",
            VESU_LOG_LEVEL="error",
        )
        async with test_http.daemon(environ) as running:
            await running.health(200, committed_block=recorded.last_block)
            await postgres.execute(url, "UPDATE vesu_pools SET debt_cap_raw = debt_cap_raw + 1")
            body = await running.health(503, committed_block=recorded.last_block)
            assert "not equal to the contracts' own" in body["reason"]
            _, _, metrics = await running.ask("/metrics")
            await postgres.execute(url, "UPDATE vesu_pools SET debt_cap_raw = debt_cap_raw - 1")
            await running.health(200, committed_block=recorded.last_block)
            _, _, log = await running.stop()
        origins = await postgres.fetch(url, "SELECT DISTINCT origin, scope FROM reconciliations")
    assert [tuple(row.values()) for row in origins] == [("run", "sample")]
    assert '"event": "tables_differ"' in log
    assert '"table": "vesu_pools"' in log
    values = [line for line in metrics.splitlines() if line.startswith("vesu_reconciled_")]
    differing = next(line for line in values if "differences_total" in line)
    assert float(differing.split()[-1]) > 0, values


def refusing(recorded: truth.Recorded) -> set[int]:
    """Pools that answer none of their views at the last block: one was upgraded to a mock."""
    return {
        int(call["contract"], 16)
        for call in recorded.calls["asset_config"]
        if call["block_number"] == recorded.last_block and "result" not in call
    }


async def rows_of(connection: asyncpg.Connection, table: str, pools: set[int]) -> set[str]:
    """The ids of a table's rows of these pools."""
    found = await connection.fetch(f"SELECT id, pool_address FROM {table}")
    return {str(row["id"]) for row in found if int(row["pool_address"], 16) in pools}


@pytest.mark.parametrize("table", changed_rows.COLUMNS)
async def test_every_row_changed_by_one_is_named_and_kept(
    indexed_copy: str, recorded: truth.Recorded, served: str, table: str
) -> None:
    environ = stage.environment(recorded, served, indexed_copy)
    connection = await asyncpg.connect(indexed_copy)
    try:
        drawn = await changed_rows.change(connection, (table,))
        found = await stage.json_of(environ, "reconcile", expect=1)
        named = {(one["table"], one["row_id"], one["column"]) for one in found["differences"]}
        silent = await rows_of(connection, table, refusing(recorded))
        answerable = {one for one in drawn if one.row_id not in silent}
        assert len(answerable) > len(silent)
        assert answerable <= named, sorted(answerable - named)
        kept = await connection.fetchval("SELECT count(*) FROM reconciliation_differences")
        assert kept == len(found["differences"])
        await changed_rows.undo(connection, drawn)
        assert (await stage.json_of(environ, "reconcile"))["is_equal"]
        status = await stage.json_of(environ, "status", expect=None)
        assert status["standing_differences"] == 0
    finally:
        await connection.close()
