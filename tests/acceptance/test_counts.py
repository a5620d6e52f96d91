"""Counts that are kept and moved from block to block: those of a look at every row."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from indexer.query import counts, database_state
from indexer.store import database
from tests import postgres
from tests.acceptance import tables_v1
from tests.acceptance.api_client import serving

HELD = """
SELECT c.protocol, c.is_listed, h.status, h.nominal_debt, c.kind, c.user_id
FROM vesu_positions c
JOIN LATERAL (
    SELECT * FROM vesu_position_history v WHERE v.id = c.id AND v.block_number <= $1
    ORDER BY block_number DESC, transaction_index DESC, event_index DESC LIMIT 1
) h ON true
"""
EFFECTS = """
SELECT t.type, t.user_id, a.is_listed
FROM vesu_transactions t
JOIN (SELECT DISTINCT pool_id, is_listed FROM vesu_assets) a USING (pool_id)
WHERE t.block_number <= $1
"""


async def looked_at(connection: asyncpg.Connection, block: int) -> counts.Counted:
    """The counts out of every row, in Python."""
    positions = await connection.fetch(HELD, block)
    by_class = {}
    for key in {(row["protocol"], row["is_listed"]) for row in positions}:
        active = [
            row
            for row in positions
            if (row["protocol"], row["is_listed"]) == key and row["status"] == "active"
        ]
        people = [row for row in active if row["kind"] != "system"]
        owing = [row for row in active if row["nominal_debt"] > 0]
        users = {row["user_id"] for row in people}
        if people or owing:
            by_class[key] = counts.Positions(len(users), len(people), len(owing))
    rows = await connection.fetch(EFFECTS, block)
    effects = {}
    for type_ in {row["type"] for row in rows}:
        listed = [row for row in rows if row["type"] == type_ and row["is_listed"]]
        others = [row for row in rows if row["type"] == type_ and not row["is_listed"]]
        users = {row["user_id"] for row in listed}
        effects[type_] = counts.Effects(len(listed), len(users), len(others))
    sizes = {
        name: await connection.fetchval(
            f"SELECT count(*) FROM {table} WHERE block_number <= $1",
            block,
        )
        for name, table in (
            ("events", "events"),
            ("transactions", "vesu_transactions"),
            ("liquidations", "vesu_liquidations"),
        )
    }
    return counts.Counted(block, by_class, effects, sizes | {"positions": len(positions)})


async def check(connection: asyncpg.Connection, every: int) -> int:
    numbers = await connection.fetch("SELECT number FROM blocks ORDER BY number")
    blocks = [row["number"] for row in numbers][::every]
    standing = await database_state.read(connection)
    kept, met = counts.Counts(), 0
    for block in blocks:
        async with connection.transaction():
            back = await kept.counts_at(connection, standing, block)
            wanted = await looked_at(connection, block)
            assert back == wanted, f"counted back to {block}"
            later = blocks[-1]
            forward = await counts._counts_beyond(connection, back, later)
            assert forward == await looked_at(connection, later), f"on from {block} to {later}"
            met += len(wanted.effects)
    return met


async def test_v2(indexed: asyncpg.Connection) -> None:
    assert await check(indexed, 6) > 50


async def test_with_pools_that_are_not_listed(indexed_copy: str) -> None:
    """One pool listed, the others not."""
    await postgres.execute(
        indexed_copy,
        *(
            f"UPDATE {table} SET is_listed = pool_id = (SELECT min(pool_id) FROM vesu_pools)"
            for table in ("vesu_positions", "vesu_assets")
        ),
    )
    async with database.session(indexed_copy) as connection:
        found = await counts.counted(
            connection, await database_state.committed_block(connection) or 0
        )
        assert {is_listed for _, is_listed in found.positions} == {True, False}
        assert await check(connection, 15) > 10


async def test_v1(indexed_v1: tables_v1.Indexed) -> None:
    async with database.session(indexed_v1.url) as connection:
        assert await check(connection, 12) > 5


async def test_what_a_rollback_takes_back_is_counted_anew(indexed_copy: str) -> None:
    """What is kept of a block holds for as long as the block does, and so does its fold."""
    async with database.session(indexed_copy) as connection:
        kept = counts.Counts()

        async def told() -> tuple[Any, int]:
            standing = await database_state.read(connection)
            async with connection.transaction():
                found = await kept.counts_at(connection, standing, standing.block_number)
            return found.rows["liquidations"], standing.block_number

        before, head = await told()
        assert before > 0
        await connection.execute("DELETE FROM vesu_liquidations")
        assert await told() == (before, head), "nothing said that the block changed"
        await connection.execute(
            "INSERT INTO reorgs (ancestor_number, old_number, old_hash, new_number, new_hash, "
            "depth, events_orphaned, rows_restored, seconds) "
            "VALUES ($1::bigint, $1::bigint + 1, '0x1', $1::bigint + 1, '0x2', 1, 0, 0, 0)",
            head - 1,
        )
        await connection.execute("UPDATE cursor SET fork_counter = fork_counter + 1")
        assert await told() == (0, head)


async def test_what_is_being_counted_keeps_status_waiting_for_a_second_at_most(
    indexed_copy: str,
) -> None:
    """A server that was just started counts; who asks meanwhile is told the rest, or to come again.

    A lock on a table that only the count reads stands for one that takes long to count.
    """
    async with database.session(indexed_copy) as connection:
        lock = connection.transaction()
        await lock.start()
        await connection.execute("LOCK TABLE vesu_liquidations IN ACCESS EXCLUSIVE MODE")
        async with serving(indexed_copy) as api:
            rows = (await api.get("/v1/status"))["data"]["rows"]
            assert rows["pools"] > 0 < rows["assets"]
            large = ("events", "positions", "transactions", "liquidations")
            assert [rows[name] for name in large] == [None] * 4
            refused = await api.ask("/v1/stats")
            assert refused.status == 503
            assert int(refused.headers["retry-after"]) > 0
            assert "being counted" in refused.body["detail"]
            await lock.rollback()
            async with asyncio.timeout(60):
                while (rows := (await api.get("/v1/status"))["data"]["rows"])["events"] is None:
                    await asyncio.sleep(0.1)
            wanted = await connection.fetchrow(
                "SELECT (SELECT count(*) FROM events) AS events, "
                "(SELECT count(*) FROM vesu_positions) AS positions, "
                "(SELECT count(*) FROM vesu_transactions) AS transactions, "
                "(SELECT count(*) FROM vesu_liquidations) AS liquidations"
            )
            assert {name: rows[name] for name in large} == dict(wanted or {})
            assert (await api.ask("/v1/stats")).status == 200


async def test_who_asks_at_once_makes_one_count(
    indexed_copy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    async def counting(connection: asyncpg.Connection, block: int) -> counts.Counted:
        nonlocal made
        made += 1
        return await counts_of(connection, block)

    counts_of = counts.counted
    monkeypatch.setattr(counts, "counted", counting)
    async with serving(indexed_copy) as api:
        found = await asyncio.gather(*(api.get("/v1/stats") for _ in range(8)))
    assert all(answer["data"] == found[0]["data"] for answer in found)
    assert made == 1
