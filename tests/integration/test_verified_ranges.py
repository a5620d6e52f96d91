"""Verified ranges stay few, however blocks that are proved and blocks that are not take turns."""

from __future__ import annotations

import datetime

import asyncpg
import pytest

from indexer.chain import types
from indexer.log import verified
from indexer.store import database

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
MOST = 6


async def commit(connection: asyncpg.Connection, number: int, method: types.Method) -> None:
    """One block, as the writer notes it."""
    async with connection.transaction():
        await verified.add_committed(connection, [types.Verified(number, number, method)], NOW)


async def ranges(connection: asyncpg.Connection) -> list[tuple[int, int, str]]:
    rows = await connection.fetch(
        "SELECT first_block, last_block, method FROM verified_ranges ORDER BY first_block"
    )
    return [tuple(row) for row in rows]


async def test_blocks_in_turn_make_so_many_ranges_and_no_more(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "MOST_RANGES", MOST)
    methods: tuple[types.Method, ...] = ("commitment", "sampled")
    async with database.session(migrated_database_url) as connection:
        for number in range(100):
            await commit(connection, number, methods[number % 2])
            assert len(await ranges(connection)) <= MOST
        found = await ranges(connection)
        assert found[:2] == [(0, 0, "commitment"), (1, 1, "sampled")]
        assert found[-1] == (MOST - 1, 99, "sampled")
        # The background proves the others, the newest first, however many ranges there are.
        while spans := await verified.lacking(connection, 0, 99, most=1):
            last = spans[0].last_block
            first = max(spans[0].first_block, last - 4)
            async with connection.transaction():
                await verified.add(connection, [types.Verified(first, last, "commitment")], NOW)
            assert len(await ranges(connection)) <= MOST + 1
        assert await ranges(connection) == [(0, 99, "commitment")]
        # There is room again.
        await commit(connection, 100, "sampled")
        await commit(connection, 101, "commitment")
        assert (await ranges(connection))[1:] == [(100, 100, "sampled"), (101, 101, "commitment")]


async def test_where_every_block_is_proved_that_is_what_is_said(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "MOST_RANGES", 1)
    async with database.session(migrated_database_url) as connection:
        for number in range(20):
            await commit(connection, number, "commitment")
        assert await ranges(connection) == [(0, 19, "commitment")]


async def test_many_ranges_at_once_say_the_same_as_one_after_the_other(
    migrated_database_url: str,
) -> None:
    told = types.runs({number: "sampled" if number % 3 else "commitment" for number in range(90)})
    async with database.session(migrated_database_url) as connection:
        async with connection.transaction():
            await verified.add_committed(connection, told, NOW)
        at_once = await ranges(connection)
        await connection.execute("DELETE FROM verified_ranges")
        for one in told:
            async with connection.transaction():
                await verified.add(connection, [one], NOW)
        assert at_once == await ranges(connection)
        assert len(at_once) == len(told) == 60
