"""Rollbacks: what the log held above a block moves to the audit tables, with a row each.

Their cause is the chain, which left the branch, or a repair: the log was not what the chain has.
"""

from __future__ import annotations

from typing import Literal

import asyncpg

from indexer.chain import types
from indexer.log import cursor, facts, gaps, price_samples, verified, watches
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "reorgs")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Cause = Literal["chain", "repair"]


async def ladder(connection: Connection, from_block: int, most: int) -> list[tuple[int, str]]:
    """Number and canonical hash of up to `most` stored blocks from a height down."""
    rows = await connection.fetch(_SQL["ladder"], from_block, most)
    return [(row["number"], facts.minimal(row["hash"])) for row in rows]


async def next_rung(connection: Connection, above: int) -> tuple[int, str] | None:
    """Number and canonical hash of the lowest stored block above a height."""
    row = await connection.fetchrow(_SQL["next_rung"], above)
    return None if row is None else (row["number"], facts.minimal(row["hash"]))


async def extent(connection: Connection, number: int) -> tuple[int, int]:
    """How many stored blocks and events a rollback to a block takes back."""
    row = await connection.fetchrow(_SQL["extent"], number)
    assert row is not None  # aggregates have one row
    return row["blocks"], row["events"]


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
        _SQL["open"],
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
    await watches.take_back(connection, number)
    await price_samples.roll_back(connection, number, is_same_chain=cause == "repair")
    await gaps.roll_back(connection, reorg_id, number)
    if cause == "chain":  # A repair reads the same chain again: what is final stays it.
        await cursor.lower_finalised(connection, old, number)
    status = await connection.execute(_SQL["orphan_events"], reorg_id, number)
    await connection.execute(_SQL["orphan_observations"], reorg_id, number)
    await connection.execute(_SQL["drop_receipts"], number)
    await connection.execute(_SQL["drop_blocks"], number)
    return reorg_id, int(status.split()[-1])


async def close(
    connection: Connection, reorg_id: int, events: int, restored: int, seconds: float
) -> None:
    """Complete the row of a reorganisation with what it took."""
    await connection.execute(_SQL["close"], reorg_id, events, restored, seconds)
