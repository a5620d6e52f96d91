"""At the newest block positions are read as they stand: the rows that the history has there."""

from __future__ import annotations

import asyncpg

from indexer.query import database_state, filters, listing, position_pages, states
from indexer.store import database
from tests.acceptance import tables_v1

EVERY = filters.PageQuery((), position_pages.BY_POOL, 10_000)


async def compare(connection: asyncpg.Connection) -> set[str]:
    """Both readings of the newest block; returns the statuses that were met."""
    async with connection.transaction(isolation="repeatable_read"):
        standing = await database_state.read(connection)
        assert standing.newest is not None
        state = await states.States().of_moment(connection, standing.newest, standing)
        assert position_pages.versions(state, standing) is position_pages.CURRENT
        block = standing.newest.block_number
        current, versions = [
            (await listing.records(connection, listed, block, EVERY))[0]
            for listed in (position_pages.CURRENT, position_pages.VERSIONS)
        ]
        earlier = await connection.fetchval(
            "SELECT max(number) FROM blocks WHERE number < $1", block
        )
    assert [dict(row) for row in current] == [dict(row) for row in versions]
    assert position_pages.valued(state, current) == position_pages.valued(state, versions)
    assert earlier is not None
    return {row["status"] for row in current}


async def test_rows_of_the_newest_block(indexed: asyncpg.Connection) -> None:
    assert await compare(indexed) >= {"active", "closed"}


async def test_the_same_of_earlier_generations(indexed_v1: tables_v1.Indexed) -> None:
    async with database.session(indexed_v1.url) as connection:
        assert "active" in await compare(connection)


async def test_an_earlier_block_is_read_from_the_history(indexed: asyncpg.Connection) -> None:
    async with indexed.transaction(isolation="repeatable_read"):
        standing = await database_state.read(indexed)
        question = database_state.MomentQuery(at_block=90)
        moment = await database_state.moment(indexed, standing, question)
        state = await states.States().of_moment(indexed, moment, standing)
    assert position_pages.versions(state, standing) is position_pages.VERSIONS
