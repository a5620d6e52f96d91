"""Replay: rebuilds the projections from the log, without a node.

They are built in the shadow, batch by batch, and put live in one transaction: readers see the
old tables until then, and a replay that is killed goes on where it was.
"""

from __future__ import annotations

import asyncpg
import msgspec

from indexer import errors
from indexer.log import cursor
from indexer.projections import tables
from indexer.projections.shadow import build, swap


class Done(msgspec.Struct, frozen=True):
    """The result of a replay. `resumed_at`: the block at which it continued after a kill."""

    from_block: int
    to_block: int
    events: int
    resumed_at: int | None
    rows_changed: int


def outdated(committed: cursor.Cursor) -> str | None:
    """What is to be done where another fold made the tables; None where this one did."""
    if committed.fold_version == tables.FOLD_VERSION or committed.block_hash is None:
        return None
    made = f"these tables were made by fold {committed.fold_version}, this version has fold "
    again = f"`vesu-indexer replay --from-block {committed.start_block}`"
    if committed.fold_version > tables.FOLD_VERSION:
        return f"{made}{tables.FOLD_VERSION}: upgrade the indexer, or go back with {again}"
    return (
        f"{made}{tables.FOLD_VERSION}: run {again} first (readers keep the old tables until it "
        "is done; with `--shadow` it first shows what will change)"
    )


async def require_enough(
    connection: asyncpg.Connection,
    from_block: int,
    to_block: int | None,
    pool_id: str | None = None,
) -> None:
    """QuestionError: a part of the tables would be left to another fold than the rest."""
    committed = await cursor.read(connection)
    if committed is None or outdated(committed) is None:
        return
    if from_block > committed.start_block or to_block is not None or pool_id is not None:
        raise errors.QuestionError(
            f"these tables were made by fold {committed.fold_version}, this version has fold "
            f"{tables.FOLD_VERSION}: replay all of them, --from-block {committed.start_block} "
            "without --to-block and --pool"
        )


async def replay(
    built: build.Shadow,
    from_block: int,
    to_block: int | None,
    report: build.ReportProgress = lambda _: None,
    pool_id: str | None = None,
) -> Done:
    """Refold the log from `from_block` on and put the outcome live; the caller is the writer.

    With `pool_id` only rows of that pool change: all pools are folded, since what one may do rests
    on the others, and the rest of the outcome is thrown away.

    With `to_block` no further than that block where the tables above it rest on the same state;
    where they do not, they follow from what changed and are made again too.
    """
    await require_enough(built.connection, from_block, to_block, pool_id)
    await built.open(from_block, to_block)
    swapped = await swap.swap(built, report, to_block, pool_id=pool_id)
    return Done(
        swapped.from_block,
        swapped.to_block,
        built.events,
        built.resumed_at,
        swapped.rows_changed,
    )
