"""Rows by the hundred go another way to PostgreSQL than a few, and arrive as the same rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.projections import storage, tables
from indexer.store import database, statement_pipeline, turns

POOL = "0x" + "ab" * 32
COUNT = 3 * storage.STAGED_FROM


@pytest.fixture
async def connection(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database.asyncpg_url(migrated_database_url))
    yield opened
    await opened.close()


def contract(number: int, name: str | None) -> dict[str, Any]:
    """A row of `contracts` with values that need escapes, and others that are NULL."""
    row = dict.fromkeys(tables.CONTRACTS.columns)
    return row | {
        "address": f"0x{number:064x}",
        "kind": "pool_v2",
        "pool_address": POOL,
        "name": name,
        "symbol": "\\N" if number % 3 else None,
        "owner": "a\tb\nc\r\\d" if number % 2 else None,
        "is_paused": bool(number % 2),
        "is_current": True,
        "created_block": number,
        "created_at": "2026-01-01T00:00:00+00:00",
        "violations": 0,
        "last_event_block": number,
    }


async def write(connection: asyncpg.Connection, rows: list[dict[str, Any]]) -> list[Any]:
    """What the table holds after these rows were written; it is empty again then."""
    async with connection.transaction():
        async with statement_pipeline.running(connection) as pipeline:
            await storage.upsert(pipeline, tables.CONTRACTS, rows)
            changed = [row | {"name": "changed"} for row in rows[::2]]
            await storage.upsert(pipeline, tables.CONTRACTS, changed)
        found = await connection.fetch("SELECT * FROM contracts ORDER BY address")
        await connection.execute("DELETE FROM contracts")
    return [tuple(row) for row in found]


async def test_many_rows_are_those_that_few_at_a_time_would_be(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [contract(number, None if number % 5 else f"n{number}") for number in range(COUNT)]
    many = await write(connection, rows)
    monkeypatch.setattr(storage, "STAGED_FROM", 10 * COUNT)
    assert await write(connection, rows) == many
    assert len(many) == COUNT
    assert [row[1] for row in many] == ["pool_v2"] * COUNT


async def test_nothing_is_left_of_rows_that_do_not_fit(connection: asyncpg.Connection) -> None:
    rows = [contract(number, None) for number in range(COUNT)]
    rows[-1]["created_block"] = 2**63
    with pytest.raises(asyncpg.NumericValueOutOfRangeError):
        await write(connection, rows)
    assert await connection.fetchval("SELECT 1") == 1
    assert await connection.fetchval("SELECT to_regclass('pg_temp.staged_rows')") is None


async def test_rows_that_cannot_be_made_break_off_the_statement(
    connection: asyncpg.Connection,
) -> None:
    def rows() -> Any:
        yield from (contract(number, None) for number in range(COUNT))
        raise LookupError("a row that cannot be made")

    with pytest.raises(LookupError):
        async with connection.transaction(), statement_pipeline.running(connection) as pipeline:
            await storage.upsert(pipeline, tables.CONTRACTS, rows())
    assert await connection.fetchval("SELECT count(*) FROM contracts") == 0


async def test_steps_run_in_order_each_while_the_next_is_made(
    connection: asyncpg.Connection,
) -> None:
    """The rows of the second step are made while the server is busy with the first."""
    events: list[str] = []

    async def slow(connected: Any) -> None:
        events.append("first began")
        await connected.execute("SELECT pg_sleep(0.3)")
        events.append("first ended")

    async def quick(connected: Any) -> None:
        events.append("second began")
        await connected.execute("SELECT 1")

    async with statement_pipeline.running(connection) as pipeline:
        await pipeline.run(slow)
        await asyncio.sleep(0.05)
        events.append("second made")
        await pipeline.run(quick)
    assert events == ["first began", "second made", "first ended", "second began"]


async def test_a_step_that_fails_stops_those_after_it(connection: asyncpg.Connection) -> None:
    ran: list[int] = []

    async def fail(connected: Any) -> None:
        await connected.execute("SELECT 1 / 0")

    async def note(_: Any) -> None:
        ran.append(1)

    async def run_all() -> None:
        async with statement_pipeline.running(connection) as pipeline:
            for step in (fail, note, note):
                await pipeline.run(step)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await run_all()
    assert not ran
    assert await connection.fetchval("SELECT 1") == 1


async def test_a_cancelled_writer_leaves_a_connection_that_works(
    connection: asyncpg.Connection,
) -> None:
    async def sleeping() -> None:
        async with connection.transaction(), statement_pipeline.running(connection) as pipeline:
            await pipeline.run(lambda connected: connected.execute("SELECT pg_sleep(60)"))
            await pipeline.run(lambda connected: connected.execute("SELECT 1"))

    writing = asyncio.create_task(sleeping())
    await asyncio.sleep(0.2)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await connection.fetchval("SELECT 1") == 1


async def test_work_in_turns_lets_other_tasks_run_every_millisecond_or_so() -> None:
    waits: list[float] = []
    done = asyncio.Event()

    async def long_work() -> None:
        async for part in turns.of(range(300)):
            for _ in part:
                time.sleep(0.0002)
        done.set()

    async def looks() -> None:
        while not done.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0)
            waits.append(time.perf_counter() - began)

    await asyncio.gather(long_work(), looks())
    assert len(waits) > 300 * 0.0002 / turns.TURN_SECONDS / 4, "most turns took four times as long"


async def test_turns_give_every_item_once_in_order() -> None:
    for count in (0, 1, turns.FIRST_TURN, 10 * turns.FIRST_TURN + 1):
        items = [item async for part in turns.of(range(count)) for item in part]
        assert items == list(range(count))
