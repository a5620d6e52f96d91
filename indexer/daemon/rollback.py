"""Rolls log, projections and cursor back to an ancestor, in the caller's transaction."""

from __future__ import annotations

import time

import asyncpg
import msgspec

from indexer.audit import invariants, reconciliations
from indexer.chain import types
from indexer.log import cursor, facts, reorgs
from indexer.projections import engine as engines
from indexer.projections import tables, valuations


class RolledBack(msgspec.Struct, frozen=True):
    """The cursor after a rollback, and how much was removed and restored."""

    cursor: cursor.Cursor
    depth: int
    events_orphaned: int
    rows_restored: int
    seconds: float


async def roll_back(
    connection: asyncpg.Connection,
    engine: engines.Engine,
    old: cursor.Cursor,
    ancestor: tuple[int, str | None],
    head: types.BlockHeader,
    cause: reorgs.Cause = "chain",
) -> RolledBack:
    """Make everything what it was at `ancestor`, and record the rollback in `reorgs`.

    An ancestor without a hash is the place before the first block. The log above it moves to
    the audit tables; `head` is the head that the node reported for the new branch. The caller
    opens the transaction, and loads the engine again if that fails.
    """
    began = time.monotonic()
    number, hash_ = ancestor
    seconds_of_block = await facts.block_time(connection, number)
    ancestor_cursor = await cursor.retreat(connection, old, number, hash_, seconds_of_block)
    reorg_id, orphaned = await reorgs.orphan(connection, old, ancestor, head, cause)
    restored = await engine.rollback(connection, valuations.Block(number, seconds_of_block or 0))
    await invariants.roll_back(connection, number)
    await reconciliations.settle_gone(connection)
    await cursor.note_suspicion(connection, ancestor_cursor, None)
    seconds = time.monotonic() - began
    await reorgs.close(connection, reorg_id, orphaned, restored, seconds)
    await cursor.notify(connection, ancestor_cursor, tables.NOTIFIED)
    return RolledBack(ancestor_cursor, old.block_number - number, orphaned, restored, seconds)
