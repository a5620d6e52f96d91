"""Stored valuations: a changed one is found by every proof; a rollback leaves none above it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.projections import memory, revaluation, valuations
from indexer.recording import playhead, server
from indexer.store import database, sqlfile
from tests import postgres
from tests.acceptance import stage, truth

SPOIL = (
    "UPDATE vesu_positions SET health_factor = 99, debt_raw = 1"
    " WHERE status = 'active' AND nominal_debt > 0 RETURNING id"
)
ABOVE = (
    "SELECT count(*) FROM vesu_positions WHERE valued_at_block > (SELECT block_number FROM cursor)"
)


@pytest.fixture(scope="module")
async def served(recorded: truth.Recorded) -> AsyncIterator[str]:
    async with server.RecordingServer(recorded.chain) as node:
        yield node.url


async def test_changed_valuations_are_found_by_every_proof(
    indexed_copy: str, recorded: truth.Recorded, served: str
) -> None:
    """And a replay puts them right."""
    environ = stage.environment(recorded, served, indexed_copy)
    state = await stage.json_of(environ, "digest")
    before = await stage.json_of(environ, "digest", "--valuations")
    changed = {str(row["id"]) for row in await postgres.fetch(indexed_copy, SPOIL)}
    assert changed

    assert await stage.json_of(environ, "digest") == state
    assert await stage.json_of(environ, "digest", "--valuations") != before

    found = await stage.json_of(environ, "reconcile", expect=1)
    named = {(one["row_id"], one["column"]) for one in found["differences"]}
    assert named == {(id_, column) for id_ in changed for column in ("health_factor", "debt_raw")}
    assert {one["view"] for one in found["differences"]} == {"valuation"}

    compared = await stage.json_of(environ, "replay", "--from-block", "0", "--shadow", expect=1)
    positions = compared["difference"]["tables"]["vesu_positions"]
    assert positions["differing"] == len(changed)
    assert positions["columns"] == {"debt_raw": len(changed), "health_factor": len(changed)}

    audit = await stage.json_of(environ, "audit", "--views", "off", expect=1)
    failed = [one["name"] for one in audit["checks"] if not one["is_good"]]
    assert "stored valuations" in failed

    await stage.command(environ, "replay", "--from-block", "0")
    assert await stage.json_of(environ, "digest", "--valuations") == before
    assert (await stage.json_of(environ, "reconcile"))["is_equal"]
    status = await stage.json_of(environ, "status", expect=None)
    assert status["standing_differences"] == 0


@pytest.mark.parametrize("column", ["collateral_raw", "collateral_value_usd", "valued_at"])
async def test_one_changed_value_is_named(
    indexed_copy: str, recorded: truth.Recorded, served: str, column: str
) -> None:
    environ = stage.environment(recorded, served, indexed_copy)
    step = "interval '1 s'" if column == "valued_at" else "1"
    (row,) = await postgres.fetch(
        indexed_copy,
        f"UPDATE vesu_positions SET {column} = {column} + {step} WHERE id = (SELECT id FROM"
        " vesu_positions WHERE status = 'active' AND collateral_value_usd > 0 ORDER BY id LIMIT 1)"
        " RETURNING id",
    )
    found = await stage.json_of(environ, "reconcile", expect=1)
    (difference,) = found["differences"]
    assert (difference["row_id"], difference["column"]) == (str(row["id"]), column)


async def test_a_rollback_leaves_nothing_valued_above_it(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """What the abandoned branch was worth is not what the ancestor's state is worth."""
    loaded = recorded.chain
    fork = loaded.forks[0]
    head = playhead.Playhead.at_block(loaded, fork.common, story=True)
    async with server.RecordingServer(loaded, head) as node:
        environ = stage.environment(recorded, node.url, migrated_database_url)
        head.go_to(fork.last, branch=1)
        await stage.command(environ, "run", "--until-block", str(fork.last), "--no-serve")
        await stage.command(environ, "reorg", "--to-block", str(fork.common), "--yes")
        assert await _value(migrated_database_url, ABOVE) == 0
        head.go_to(recorded.last_block)
        await stage.command(environ, "run", "--until-block", str(fork.common + 1), "--no-serve")
        audit = await stage.json_of(environ, "audit", "--views", "off", expect=None)
    valued: Any = next(one for one in audit["checks"] if one["name"] == "stored valuations")
    assert valued["is_good"], valued
    assert valued["compared"] > 0


async def test_a_row_valued_above_the_committed_block_breaks_an_invariant(
    indexed_copy: str, recorded: truth.Recorded, served: str
) -> None:
    environ = stage.environment(recorded, served, indexed_copy)
    await postgres.execute(
        indexed_copy,
        "UPDATE vesu_positions SET valued_at_block = valued_at_block + 1 WHERE id ="
        " (SELECT id FROM vesu_positions WHERE status = 'active' ORDER BY id LIMIT 1)",
    )
    audit = await stage.json_of(environ, "audit", "--views", "off", expect=1)
    failed = {one["name"] for one in audit["checks"] if not one["is_good"]}
    assert "sum of valued above" in failed, failed


async def _value(url: str, query: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


class Disturbed:
    """A connection beside which another session moves all positions before the first write."""

    def __init__(self, connection: asyncpg.Connection, other: asyncpg.Connection) -> None:
        self._connection, self._other = connection, other
        self.moved = 0

    def cursor(self, statement: str, *args: object) -> Any:
        return self._connection.cursor(statement, *args)

    async def fetchval(self, statement: str, *args: object) -> Any:
        return await self._connection.fetchval(statement, *args)

    async def execute(self, statement: str, *args: object) -> str:
        if not self.moved and "UPDATE" in statement:
            done = await self._other.execute("UPDATE vesu_positions SET status = status")
            self.moved = int(done.split()[1])
        return str(await self._connection.execute(statement, *args))


async def test_rows_that_another_session_moves_meanwhile_are_valued(indexed_copy: str) -> None:
    connection, other = [await database.connect(indexed_copy) for _ in range(2)]
    memory_ = memory.Memory({})
    await memory_.load(connection)
    head = await connection.fetchrow(
        "SELECT max(valued_at_block) + 1 AS block, max(valued_at) AS time FROM vesu_positions"
    )
    block = valuations.Block(head["block"], int(head["time"].timestamp()) + 2)
    disturbed = Disturbed(connection, other)
    async with connection.transaction():
        written = await revaluation.Revaluation(3_600).run(
            disturbed,  # type: ignore[arg-type]
            memory_,
            block,
            "head",
        )
    left = await connection.fetchval(
        "SELECT count(*) FROM vesu_positions WHERE status = 'active' AND valued_at_block < $1",
        block.number,
    )
    assert disturbed.moved >= written > 50
    assert left == 0
    await connection.close()
    await other.close()


CLONE = """
INSERT INTO vesu_positions
SELECT (jsonb_populate_record(NULL::vesu_positions, to_jsonb(p) || jsonb_build_object(
    'id', gen_random_uuid(), 'user_id', '0x' || lpad(to_hex(n), 64, '0')))).*
FROM (SELECT * FROM vesu_positions WHERE kind = 'earn' AND status = 'active' LIMIT 1) AS p,
    generate_series(1, $1) AS n
"""


async def test_a_slice_is_small_however_old_the_valuations_are(indexed_copy: str) -> None:
    """The oldest come first, and all of them within a few blocks."""
    connection = await database.connect(indexed_copy)
    await connection.execute(CLONE, 1_000)
    memory_ = memory.Memory({})
    await memory_.load(connection)
    head = await connection.fetchrow(
        "SELECT max(valued_at_block) AS block, max(valued_at) AS time FROM vesu_positions"
    )
    slices = revaluation.Revaluation(60)
    valued = []
    for step in range(1, 6):
        block = valuations.Block(
            head["block"] + step, int(head["time"].timestamp()) + 86_400 * step
        )
        async with connection.transaction():
            valued.append(await slices.run(connection, memory_, block, "head"))
    oldest = await connection.fetchval(
        "SELECT min(valued_at_block) FROM vesu_positions WHERE status = 'active'"
    )
    assert all(500 <= count < 700 for count in valued)
    assert oldest > head["block"]
    await connection.close()


async def _valued_at(
    connection: asyncpg.Connection, slices: revaluation.Revaluation, block: valuations.Block
) -> int:
    memory_ = memory.Memory({})
    await memory_.load(connection)
    async with connection.transaction():
        return await slices.run(connection, memory_, block, "head")


async def test_positions_are_counted_anew_now_and_then(indexed_copy: str) -> None:
    """A table that was small when the indexer started does not stay small for its slices."""
    connection = await database.connect(indexed_copy)
    head = await connection.fetchrow(
        "SELECT max(valued_at_block) AS block, max(valued_at) AS time FROM vesu_positions"
    )
    number, seconds = head["block"], int(head["time"].timestamp())
    slices = revaluation.Revaluation(86_400)
    await _valued_at(connection, slices, valuations.Block(number + 1, seconds + 2))
    assert slices.active < revaluation.SMALL_TABLE
    await connection.execute(CLONE, 12_000)
    await connection.execute("ANALYZE vesu_positions")
    later = valuations.Block(number + 2, seconds + 2 + revaluation.COUNT_SECONDS)
    valued = await _valued_at(connection, slices, later)
    assert 12_000 <= slices.active < 12_200
    assert valued < 1_000
    await connection.close()


async def test_the_check_of_each_commit_counts_only_where_there_is_something(
    indexed_copy: str,
) -> None:
    """A count is planned for a third of the table, with parallel workers where that is large."""
    statement = sqlfile.load("indexer.audit", "invariants")["valued_above"]
    connection = await database.connect(indexed_copy)

    async def executed() -> bool:
        plan = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}")
        return not any("Aggregate (never executed)" in row[0] for row in plan)

    assert not await executed()
    await connection.execute("UPDATE vesu_positions SET valued_at_block = valued_at_block + 1000")
    row = await connection.fetchrow(statement)
    assert await executed()
    assert row["found"] == await connection.fetchval(
        "SELECT count(*) FROM vesu_positions WHERE status = 'active'"
    )
    await connection.close()


async def test_plans_are_as_before_after_a_block_at_the_head(indexed_copy: str) -> None:
    connection = await database.connect(indexed_copy)
    head = await connection.fetchrow(
        "SELECT max(valued_at_block) AS block, max(valued_at) AS time FROM vesu_positions"
    )
    block = valuations.Block(head["block"] + 1, int(head["time"].timestamp()) + 2)
    memory_ = memory.Memory({})
    await memory_.load(connection)
    async with connection.transaction():
        await revaluation.Revaluation(86_400).run(connection, memory_, block, "head")
        assert await connection.fetchval("SHOW enable_bitmapscan") == "on"
    await connection.close()
