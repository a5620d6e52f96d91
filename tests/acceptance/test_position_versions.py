"""Positions at the newest block, shortly before it, and at any block: the same rows each way."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.query import (
    changes,
    database_state,
    filters,
    listing,
    point_in_time,
    position_pages,
    position_versions,
    states,
)
from indexer.store import database
from tests.acceptance import tables_v1

QUESTIONS = (
    (),
    (filters.Condition("status", "=", ("active",)),),
    (filters.Condition("status", "in", ("closed", "liquidated")),),
    (filters.Condition("nominal_debt", ">=", (1,)), filters.Condition("kind", "=", ("borrow",))),
)
BLOCKS = 12
"""Earlier blocks that are compared, spread over the chain."""


async def rows(
    connection: asyncpg.Connection,
    listed: listing.Listing,
    block_number: int,
    conditions: tuple[filters.Condition, ...] = (),
    limit: int = 10_000,
) -> list[dict[str, object]]:
    """All rows of a list, read page by page."""
    found: list[dict[str, object]] = []
    after = None
    while True:
        page_query = filters.PageQuery(conditions, position_pages.BY_POOL, limit, after)
        records, after = await listing.records(connection, listed, block_number, page_query)
        found += map(dict, records)
        if after is None:
            return found


def identity(row: dict[str, object]) -> dict[str, object]:
    """The columns of a position that no event changes."""
    return {name: row[name] for name in row if name not in position_versions.OF_STATE}


async def newest(connection: asyncpg.Connection) -> database_state.DatabaseState:
    standing = await database_state.read(connection)
    assert standing.newest is not None
    return standing


async def earlier_blocks(connection: asyncpg.Connection, newest_block: int) -> list[int]:
    """Stored blocks below the newest, spread over the chain, the last of them among them."""
    stored = [
        row["number"]
        for row in await connection.fetch(
            "SELECT number FROM blocks WHERE number < $1 ORDER BY number DESC", newest_block
        )
    ]
    return stored[:: max(1, len(stored) // BLOCKS)]


async def compare_newest(connection: asyncpg.Connection) -> set[object]:
    """Both readings of the newest block; returns the statuses that were met."""
    async with connection.transaction(isolation="repeatable_read"):
        standing = await newest(connection)
        moment = standing.newest
        assert moment is not None
        listed = await position_versions.of_moment(connection, moment, standing, ())
        assert listed is position_versions.CURRENT
        state = await states.States().of_moment(connection, moment, standing)
        current, versions = [
            (
                await listing.records(
                    connection,
                    listed,
                    moment.block_number,
                    filters.PageQuery((), position_pages.BY_POOL, 10_000),
                )
            )[0]
            for listed in (position_versions.CURRENT, position_versions.EVERY)
        ]
    assert [dict(row) for row in current] == [dict(row) for row in versions]
    assert position_pages.valued(state, current) == position_pages.valued(state, versions)
    return {row["status"] for row in current}


async def compare_earlier(connection: asyncpg.Connection) -> int:
    """Both readings of earlier blocks, in large and small pages; returns how many rows changed
    between a block and the newest one."""
    changed = 0
    async with connection.transaction(isolation="repeatable_read"):
        newest_block = (await newest(connection)).stored_number
        assert newest_block is not None
        current = await rows(connection, position_versions.CURRENT, newest_block)
        names = {row["id"]: identity(row) for row in current}
        for block in await earlier_blocks(connection, newest_block):
            for conditions in QUESTIONS:
                every = await rows(connection, position_versions.EVERY, block, conditions)
                recent = await rows(connection, position_versions.RECENT, block, conditions)
                assert recent == every, f"block {block}, {conditions}"
                paged = await rows(connection, position_versions.RECENT, block, conditions, 3)
                assert paged == every, f"block {block}, {conditions}, pages of three"
                assert all(names[row["id"]] == identity(row) for row in every)
                changed += sum(row not in current for row in every)
    return changed


async def test_rows_of_the_newest_block(indexed: asyncpg.Connection) -> None:
    assert await compare_newest(indexed) >= {"active", "closed"}


async def test_rows_of_earlier_blocks(indexed: asyncpg.Connection) -> None:
    assert await compare_earlier(indexed) > 0


async def test_the_same_of_earlier_generations(indexed_v1: tables_v1.Indexed) -> None:
    async with database.session(indexed_v1.url) as connection:
        assert "active" in await compare_newest(connection)
        assert await compare_earlier(connection) > 0


ACTIVE = filters.Condition("status", "=", ("active",))
ENDED = filters.Condition("status", "in", ("closed", "liquidated"))
LARGE = filters.Condition("collateral_shares", ">=", (10**30,))
OF_USER = filters.Condition("user_id", "=", (f"0x{1:064x}",))
OF_POOL = filters.Condition("pool_id", "=", (f"0x{1:064x}",))


async def test_the_conditions_and_the_number_of_changes_decide(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed since is looked up where it is little, for filters that may leave few rows."""

    async def chosen(most: int, *conditions: filters.Condition) -> listing.Listing:
        monkeypatch.setattr(changes, "MOST", most)
        return await position_versions.of_moment(indexed, moment, standing, conditions)

    async with indexed.transaction(isolation="repeatable_read"):
        standing = await newest(indexed)
        moment = await point_in_time.moment(indexed, 90)
        count = await indexed.fetchval(
            "SELECT count(*) FROM position_versions WHERE block_number > 90"
        )
        assert count > 0
        for conditions in ((ENDED,), (LARGE,), (LARGE, ACTIVE, OF_POOL)):
            assert await chosen(count, *conditions) is position_versions.RECENT
        assert await chosen(count - 1, LARGE) is position_versions.EVERY
        for conditions in (
            (),
            (ACTIVE,),
            (OF_POOL,),
            (position_versions.OWES, ACTIVE),
            (OF_USER, ENDED),
        ):
            assert await chosen(count, *conditions) is position_versions.EVERY


BORROWED = filters.Condition("kind", "=", ("borrow",))


def changed(operator: filters.Operator, *blocks: int) -> filters.Condition:
    return filters.Condition("block_number", operator, blocks)


async def test_what_changed_since_a_block(indexed: asyncpg.Connection) -> None:
    """Out of the versions since: what all positions give, at the newest block and before it."""
    found = 0
    async with indexed.transaction(isolation="repeatable_read"):
        standing = await newest(indexed)
        assert standing.stored_number is not None
        blocks = await earlier_blocks(indexed, standing.stored_number)
        for block in (standing.stored_number, *blocks[::3]):
            moment = await point_in_time.moment(indexed, block)
            for since in blocks:
                for conditions in (
                    (changed(">=", since),),
                    (changed("=", since),),
                    (changed("in", since, since + 1, since + 5), ACTIVE),
                    (changed(">=", since), changed("<=", since + 9), BORROWED),
                    (changed("<=", since), changed(">=", since - 9), ACTIVE),
                ):
                    listed = await position_versions.of_moment(
                        indexed, moment, standing, conditions
                    )
                    assert listed.statements == ("changed_positions",)
                    every = await rows(indexed, position_versions.EVERY, block, conditions)
                    assert await rows(indexed, listed, block, conditions) == every
                    assert await rows(indexed, listed, block, conditions, 2) == every
                    found += len(every)
    assert found > 100


async def test_what_changed_since_long_ago_or_of_a_user_is_read_otherwise(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with indexed.transaction(isolation="repeatable_read"):
        standing = await newest(indexed)
        moment = standing.newest
        assert moment is not None

        async def chosen(*conditions: filters.Condition) -> listing.Listing:
            return await position_versions.of_moment(indexed, moment, standing, conditions)

        assert await chosen(changed("<=", 90)) is position_versions.CURRENT
        assert await chosen(changed(">=", 90), OF_USER) is position_versions.CURRENT
        count = await indexed.fetchval(
            "SELECT count(*) FROM position_versions WHERE block_number >= 90"
        )
        monkeypatch.setattr(changes, "MOST", count)
        assert (await chosen(changed(">=", 90))).statements == ("changed_positions",)
        monkeypatch.setattr(changes, "MOST", count - 1)
        assert await chosen(changed(">=", 90)) is position_versions.CURRENT


async def test_ended_positions_of_long_ago(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are closed or liquidated at a block, out of all that ever were."""
    monkeypatch.setattr(changes, "MOST", 0)
    found = 0
    async with indexed.transaction(isolation="repeatable_read"):
        standing = await newest(indexed)
        assert standing.stored_number is not None
        for block in await earlier_blocks(indexed, standing.stored_number):
            for statuses in (("closed",), ("liquidated",), ("closed", "liquidated")):
                ended = (filters.Condition("status", "in", statuses),)
                moment = await point_in_time.moment(indexed, block)
                listed = await position_versions.of_moment(indexed, moment, standing, ended)
                every = await rows(indexed, position_versions.EVERY, block, ended)
                assert await rows(indexed, listed, block, ended) == every
                assert await rows(indexed, listed, block, ended, 2) == every
                found += len(every) * (listed.statements == ("positions_ever_of_status",))
            either = (filters.Condition("status", "in", ("active", "closed")),)
            listed = await position_versions.of_moment(indexed, moment, standing, either)
            assert listed in (position_versions.EVERY, position_versions.RECENT)
    assert found > 0
