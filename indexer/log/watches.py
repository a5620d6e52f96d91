"""Watches: transactions that are followed by their hash from before they are on chain.

A watch is pending until a block that the tables hold has the transaction: then it is confirmed, or
failed where it was reverted. It is dropped once no node has known the transaction for a time, and
is pending again when it appears after all, or when a reorganisation takes its block away.
Watches are begun by `start_watch` in SQL (`query.watches.start`).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import asyncpg
import msgspec

from indexer.chain import types
from indexer.log import cursor, facts
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "watches")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Committed(msgspec.Struct, frozen=True):
    """Where the tables stand, and the newest rollback that this takes into account."""

    cursor: cursor.Cursor
    reorg_id: int


async def committed(connection: Connection) -> Committed | None:
    """Where the tables stand now, of one snapshot; None before the first commit."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        standing = await cursor.read(connection)
        reorg_id: int = await connection.fetchval(_SQL["newest_reorg"])
    return (
        None if standing is None or standing.block_hash is None else Committed(standing, reorg_id)
    )


async def due(connection: Connection, most: int) -> list[str]:
    """Canonical hashes that the node is to be asked about now, at most so many; pending first."""
    rows = await connection.fetch(_SQL["due"], most)
    return [facts.minimal(row["transaction_hash"]) for row in rows]


async def make_due(connection: Connection) -> None:
    """Let the node be asked about every pending one at once."""
    await connection.execute(_SQL["make_due"])


async def note_unknown(
    connection: Connection, hashes: Sequence[str], drop_after_seconds: float
) -> None:
    """Note that the node does not know these, and drop those that it has not known for so long."""
    await connection.execute(
        _SQL["note_unknown"], [facts.padded(hash_) for hash_ in hashes], drop_after_seconds
    )


async def note_known(connection: Connection, states: Sequence[types.TransactionState]) -> None:
    """Note what the node knows of transactions that no block of the tables holds yet."""
    await connection.executemany(
        _SQL["note_known"],
        [
            (
                facts.padded(state.transaction_hash),
                state.status,
                state.block_number,
                facts.padded(state.block_hash) if state.block_hash else None,
                state.actual_fee,
                state.fee_unit,
                state.reason,
            )
            for state in states
        ],
    )


async def settle(
    connection: Connection,
    state: types.TransactionState,
    block_time: datetime.datetime,
    reorg_id: int,
) -> None:
    """Note what became of a transaction, in a block that the tables hold.

    `reorg_id` is that of the `Committed` by which the block was found to be held.
    """
    assert state.block_hash is not None, "only a transaction in a block is settled"
    await connection.execute(
        _SQL["settle"],
        facts.padded(state.transaction_hash),
        state.status,
        "failed" if state.is_reverted else "confirmed",
        state.block_number,
        facts.padded(state.block_hash),
        block_time,
        state.actual_fee,
        state.fee_unit,
        state.reason if state.is_reverted else None,
        reorg_id,
    )


async def take_back(connection: Connection, above: int) -> None:
    """Make the watches that blocks above a height decided pending again, with a rollback."""
    await connection.execute(_SQL["take_back"], above)


async def take_back_missed(connection: Connection) -> None:
    """The same for those that were decided while a rollback was being committed."""
    await connection.execute(_SQL["take_back_missed"])


async def pending(connection: Connection) -> int:
    """How many are pending."""
    return int(await connection.fetchval(_SQL["pending"]))
