"""At the head a block is published before what it did not touch is valued, and all is valued soon.

Another session holds a row, so that the valuation waits, and the block does not.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from indexer import errors
from indexer.daemon import writer as writers
from indexer.store import database
from tests import postgres
from tests.hostile import chain
from tests.hostile.test_head_cost import CAROL, lent

LOAN = len(chain.HONEST) + 1
"""The block in which Carol borrows, close to her limit; the one after it is another user's."""

BLOCKS = [
    *chain.HONEST,
    lent(chain.OURS, LOAN, CAROL),
    [chain.modify(chain.THEIRS, chain.BOB, 10**15)],
]

VALUED = "SELECT valued_at_block FROM vesu_positions WHERE user_id = $1"
HOLD = "SELECT id FROM vesu_positions WHERE user_id = $1 FOR UPDATE"
BELOW = "SELECT count(*) FROM vesu_positions WHERE status = 'active' AND valued_at_block < $1"
USER = f"0x{CAROL:064x}"


async def committed(url: str, block: int) -> None:
    """Wait until a block is committed."""
    async with asyncio.timeout(30):
        while (await postgres.fetch(url, "SELECT block_number FROM cursor"))[0][0] < block:
            await asyncio.sleep(0.01)


async def valued_at(url: str) -> Any:
    """The block at which Carol's position is valued."""
    return (await postgres.fetch(url, VALUED, USER))[0][0]


async def begun(writer: writers.Writer) -> asyncio.Task[writers.Committed]:
    """The commit of the last block, begun."""
    part = await chain.read(writer, len(BLOCKS), BLOCKS[-1:])
    return writer.start(await writer.prepare(part, writer.connection), is_at_head=True)


async def test_a_block_waits_for_no_valuation_of_what_it_did_not_touch() -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, BLOCKS[:-1])
        async with chain.writing(url) as writer, database.session(url) as other:
            async with other.transaction():
                await other.fetch(HOLD, USER)
                writing = await begun(writer)
                await committed(url, len(BLOCKS))
                assert await valued_at(url) == LOAN
                assert not writing.done()
            await writing
        assert await valued_at(url) == len(BLOCKS)


async def test_what_a_kill_left_unvalued_is_valued_at_the_head() -> None:
    """With the worth that an undisturbed writer gives it."""
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, BLOCKS)
        expected = await chain.rows(url)
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, BLOCKS[:-1])
        async with database.session(url) as other, other.transaction():
            await other.fetch(HOLD, USER)
            async with chain.writing(url) as writer:
                writing = await begun(writer)
                await committed(url, len(BLOCKS))
                writer.connection.terminate()
                with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresError, OSError)):
                    await writing
        async with chain.writing(url) as writer:
            assert await writer.revalue(is_at_head=False) == 0
            assert await valued_at(url) == LOAN
            assert await writer.revalue(is_at_head=True) > 0
            assert await postgres.fetch(url, BELOW, len(BLOCKS)) == [(0,)]
            assert await writer.revalue(is_at_head=True) == 0
        assert await chain.rows(url) == expected


async def test_a_writer_that_was_taken_over_values_nothing() -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, BLOCKS[:-1])
        async with chain.writing(url) as first, chain.writing(url) as second:
            before = await chain.rows(url)
            with pytest.raises(errors.WriterConflictError):
                await first.revalue(is_at_head=True)
            assert await chain.rows(url) == before
            await second.revalue(is_at_head=True)
