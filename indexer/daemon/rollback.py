"""The way back to an ancestor: log, projections and cursor in the caller's transaction."""

from __future__ import annotations

import time

import asyncpg
import msgspec

from indexer.chain import types
from indexer.log import cursor, facts, reorgs
from indexer.projections import engine as engines

TABLES = (
    "vesu_pools",
    "vesu_assets",
    "vesu_positions",
    "vesu_transactions",
    "vesu_liquidations",
)


class Outcome(msgspec.Struct, frozen=True):
    """Where the tables stand now, and what it took."""

    cursor: cursor.Cursor
    depth: int
    events_orphaned: int
    rows_restored: int
    seconds: float


async def take_back(
    connection: asyncpg.Connection,
    engine: engines.Engine,
    old: cursor.Cursor,
    ancestor: tuple[int, str | None],
    head: types.BlockHeader,
    cause: reorgs.Cause = "chain",
) -> Outcome:
    """Make everything what it was at `ancestor`, and leave the row that says so.

    An ancestor without a hash is the place before the first block. The log above it moves to
    the audit tables; `head` is the new branch's as it was told. Call it inside a transaction; if
    that fails, the engine must be loaded anew.
    """
    began = time.monotonic()
    number, hash_ = ancestor
    seconds_of_block = await facts.block_time(connection, number)
    moved = await cursor.retreat(connection, old, number, hash_, seconds_of_block)
    reorg_id, orphaned = await reorgs.orphan(connection, old, ancestor, head, cause)
    restored = await engine.rollback(connection, number)
    await cursor.note_suspicion(connection, None)
    seconds = time.monotonic() - began
    await reorgs.close(connection, reorg_id, orphaned, restored, seconds)
    await cursor.notify(connection, moved, TABLES)
    return Outcome(moved, old.block_number - number, orphaned, restored, seconds)
