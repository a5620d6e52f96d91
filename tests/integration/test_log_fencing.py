"""A writer that was taken over from writes nothing more, wherever the cursor has come to stand."""

from __future__ import annotations

import random

import asyncpg
import pytest

from indexer import errors
from indexer.chain import types
from indexer.log import cursor

SEED = 20266
CHAIN = "0x1"


def header(number: int, branch: int = 0) -> types.BlockHeader:
    return types.BlockHeader(number, hex(number * 16 + branch + 1), "0x0", number, "", "")


@pytest.mark.parametrize("variant", range(8))
async def test_a_resumed_writer_moves_nothing(migrated_database_url: str, variant: int) -> None:
    """A falls asleep at a block; B moves on, rolls back to that very block; A wakes up."""
    chance = random.Random(f"{SEED}-{variant}")
    at = chance.randint(1, 5)
    above = chance.randint(1, 5)
    print(f"seed {SEED}: asleep at {at}, taken over for {above} blocks")
    connection = await asyncpg.connect(migrated_database_url)
    first = await cursor.open_for(connection, CHAIN, 0, 1)
    for number in range(at + 1):
        first = await cursor.advance(connection, first, header(number))
    second = await cursor.open_for(connection, CHAIN, 0, 1)
    for number in range(at + 1, at + above + 1):
        second = await cursor.advance(connection, second, header(number, 1))
    second = await cursor.retreat(connection, second, at, header(at).hash, at)
    assert (second.block_number, second.block_hash) == (first.block_number, first.block_hash)
    await cursor.note_head(connection, second, header(at + above, 2), at)
    with pytest.raises(errors.WriterConflictError):
        await cursor.advance(connection, first, header(at + 1))
    with pytest.raises(errors.WriterConflictError):
        await cursor.retreat(connection, first, at - 1, header(at - 1).hash, at - 1)
    with pytest.raises(errors.WriterConflictError):
        await cursor.note_head(connection, first, header(100), 100)
    await cursor.lower_finalised(connection, first, 0)
    assert await cursor.finalised(connection) == at
    await cursor.note_suspicion(connection, first, "the endpoints disagree")
    assert await connection.fetchval("SELECT suspect_reason FROM chain_head") is None
    assert await cursor.head(connection) == at + above
    assert await cursor.read(connection) == second
    await cursor.advance(connection, second, header(at + 1))
    await connection.close()
