"""Rollbacks: what the log held above a block moves to the audit tables, with a row each.

Their cause is the chain, which left the branch, or a repair: the log was not what the chain has.
"""

from __future__ import annotations

from typing import Literal

import asyncpg

from indexer.chain import types
from indexer.log import cursor, facts, gaps, verified
from indexer.store import sqlfile

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Cause = Literal["chain", "repair"]


async def ladder(connection: Connection, from_block: int, most: int) -> list[tuple[int, str]]:
    """Number and canonical hash of up to `most` stored blocks from a height down."""
    rows = await connection.fetch(sqlfile.load("facts")["ladder"], from_block, most)
    return [(row["number"], facts.minimal(row["hash"])) for row in rows]


async def next_rung(connection: Connection, above: int) -> tuple[int, str] | None:
    """Number and canonical hash of the lowest stored block above a height."""
    row = await connection.fetchrow(sqlfile.load("facts")["next_rung"], above)
    return None if row is None else (row["number"], facts.minimal(row["hash"]))


async def orphan(
    connection: Connection,
    old: cursor.Cursor,
    ancestor: tuple[int, str | None],
    head: types.BlockHeader,
    cause: Cause = "chain",
) -> tuple[int, int]:
    """Move the log above `ancestor` to the audit tables; returns (reorg id, events moved).

    An ancestor without a hash is the place before the first block.
    """
    number, hash_ = ancestor
    reorg_id: int = await connection.fetchval(
        sqlfile.load("reorgs")["open"],
        number,
        None if hash_ is None else facts.padded(hash_),
        old.block_number,
        facts.padded(old.block_hash or "0x0"),
        head.number,
        facts.padded(head.hash),
        old.block_number - number,
        cause,
    )
    await verified.drop_above(connection, number)
    await gaps.roll_back(connection, reorg_id, number)
    if cause == "chain":  # A repair reads the same chain again: what is final stays it.
        await connection.execute(sqlfile.load("cursor")["lower_final"], number)
    statements = sqlfile.load("facts")
    moved = await connection.execute(statements["orphan_events"], reorg_id, number)
    await connection.execute(sqlfile.load("observations")["orphan"], reorg_id, number)
    await connection.execute(statements["drop_receipts"], number)
    await connection.execute(statements["drop_blocks"], number)
    return reorg_id, int(moved.split()[-1])


async def close(
    connection: Connection, reorg_id: int, events: int, restored: int, seconds: float
) -> None:
    """Complete the row of a reorganisation with what it took."""
    await connection.execute(sqlfile.load("reorgs")["close"], reorg_id, events, restored, seconds)
