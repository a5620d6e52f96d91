"""The first block at which two databases differ, found by halving the range.

What is held up to a block never changes again, so digests that are equal at a block are equal
at every block below it, and O(log n) questions find the block.
"""

from __future__ import annotations

import asyncpg
import msgspec

from indexer import errors
from indexer.audit import digest
from indexer.log import cursor

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class FirstDifference(msgspec.Struct, frozen=True):
    """The comparison up to `compared_to`, the lower of the two committed blocks.

    `first_block` and `tables` name the first difference of the histories; `current` names tables
    whose current rows differ although they were compared at one committed block.
    """

    compared_to: int
    questions: int
    first_block: int | None
    tables: list[str]
    current: list[str]

    @property
    def is_equal(self) -> bool:
        """Nothing differs."""
        return self.first_block is None and not self.current


async def find(first: Connection, other: Connection) -> FirstDifference:
    """Compare two databases of the same chain."""
    ends = [await _extent(connection) for connection in (first, other)]
    low = min(start for start, _ in ends)
    high = min(committed for _, committed in ends)
    current = []
    if ends[0][1] == ends[1][1]:
        current = _differing(await digest.at_block(first), await digest.at_block(other))
    questions = 1
    at_end = await _tables_differing(first, other, high)
    if not at_end:
        return FirstDifference(high, questions, None, [], current)
    differing, tables = high, at_end
    while low < differing:
        middle = (low + differing) // 2
        questions += 1
        if found := await _tables_differing(first, other, middle):
            differing, tables = middle, found
        else:
            low = middle + 1
    return FirstDifference(high, questions, differing, tables, current)


async def _extent(connection: Connection) -> tuple[int, int]:
    committed = await cursor.read(connection)
    if committed is None or committed.block_hash is None:
        raise errors.NothingCommittedError(
            "one of the two databases is empty: run the indexer first"
        )
    return committed.start_block, committed.block_number


async def _tables_differing(connection: Connection, other: Connection, block: int) -> list[str]:
    return _differing(await digest.at_block(connection, block), await digest.at_block(other, block))


def _differing(expected: digest.Digest, other: digest.Digest) -> list[str]:
    return [
        table
        for table, table_digest in expected.tables.items()
        if table_digest != other.tables[table]
    ]
