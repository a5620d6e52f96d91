"""Replay: the projections made again from the log, without a node.

One transaction: readers see the old tables until it commits, and a killed replay changes
nothing. The log itself stays as it is, but for the derived columns of its events.
"""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import msgspec

from indexer import errors
from indexer.log import cursor, facts
from indexer.projections import engine as engines

BATCH_EVENTS = 5_000

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Progress(msgspec.Struct, frozen=True):
    """How far a replay is: the last block folded, of how many, and the events so far."""

    from_block: int
    block: int
    to_block: int
    events: int


async def replay(
    connection: Connection,
    engine: engines.Engine,
    from_block: int,
    report: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Roll the projections back to `from_block` - 1 and fold the log from there to its end."""
    stands = await cursor.read(connection)
    if stands is None or stands.block_hash is None:
        raise errors.ConfigError("there is nothing to replay: the log is empty, run the indexer")
    first = max(from_block, stands.start_block)
    if first > stands.block_number:
        raise errors.ConfigError(
            f"--from-block {from_block} is above the last committed block {stands.block_number}"
        )
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        # Without statistics the check of each deleted position reads all rows of its pool.
        await connection.execute("ANALYZE vesu_transactions, vesu_liquidations")
        await engine.load(connection)
        await engine.rollback(connection, first - 1)
        done = await _fold(connection, engine, first, stands.block_number, report)
        await cursor.note_fold_version(connection, engines.FOLD_VERSION)
    return done


async def _fold(
    connection: Connection,
    engine: engines.Engine,
    first: int,
    last: int,
    report: Callable[[Progress], None],
) -> Progress:
    progress = Progress(first, first - 1, last, 0)
    async for batch in facts.read_batches(connection, first, last, BATCH_EVENTS):
        prepared = await engine.prepare_logged(connection, batch)
        await facts.rewrite_derived(connection, batch.events, prepared.derived)
        await engine.project(connection, prepared, revalue=batch.to_block == last)
        progress = Progress(first, batch.to_block, last, progress.events + len(batch.events))
        report(progress)
    return progress
