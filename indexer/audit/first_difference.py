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
from indexer.projections import tables as projected

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

SAMPLED = ("vesu_sampled_prices", "price_samplings")
"""The tables that prices are sampled into."""


def may_differ() -> dict[str, list[str]]:
    """What is not compared, since it rests on when each machine sampled prices.

    Columns by table; a table without columns is left out whole.
    """
    valued = {table.name: list(table.valuation) for table in projected.CURRENT if table.valuation}
    return {**{table: [] for table in SAMPLED}, **valued}


class FirstDifference(msgspec.Struct, frozen=True):
    """The comparison up to `compared_to`, the lower of the two committed blocks.

    `first_block` and `tables` name the first difference of the histories; `current` names tables
    whose current rows differ although they were compared at one committed block. None of these
    may differ. `not_compared` is what may, as `may_differ` gives it.
    """

    compared_to: int
    questions: int
    first_block: int | None
    tables: list[str]
    current: list[str]
    not_compared: dict[str, list[str]] = msgspec.field(default_factory=may_differ)

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return self.first_block is None and not self.current


async def find(first: Connection, other: Connection) -> FirstDifference:
    """Compare two databases.

    QuestionError: they hold two chains. SchemaError: two folds made their tables.
    """
    stands = [await _stands(connection) for connection in (first, other)]
    _require_one_chain_and_fold(*stands)
    low = min(each.start_block for each in stands)
    high = min(each.block_number for each in stands)
    current = []
    if stands[0].block_number == stands[1].block_number:
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


async def _stands(connection: Connection) -> cursor.Cursor:
    committed = await cursor.read(connection)
    if committed is None or committed.block_hash is None:
        raise errors.NothingCommittedError(
            "one of the two databases is empty: run the indexer first"
        )
    return committed


def _require_one_chain_and_fold(first: cursor.Cursor, other: cursor.Cursor) -> None:
    if first.chain_id != other.chain_id:
        raise errors.QuestionError(
            f"the databases hold two chains, {first.chain_id} here and {other.chain_id} in the "
            "other: compare two of one chain",
            parameter="compare",
        )
    if first.fold_version != other.fold_version:
        where, behind = min(
            [("here", first), ("in the other", other)], key=lambda each: each[1].fold_version
        )
        raise errors.SchemaError(
            f"two versions of the indexer made the tables (fold {first.fold_version} here, "
            f"{other.fold_version} in the other), which says nothing about the chain: run "
            f"`vesu-indexer replay --from-block {behind.start_block}` {where}, with the newer "
            "version, then compare"
        )


async def _tables_differing(connection: Connection, other: Connection, block: int) -> list[str]:
    return _differing(await digest.at_block(connection, block), await digest.at_block(other, block))


def _differing(expected: digest.Digest, other: digest.Digest) -> list[str]:
    return [
        table
        for table, table_digest in expected.tables.items()
        if table_digest != other.tables[table]
    ]
