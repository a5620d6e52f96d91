"""Refolding as a proof: parts of the log, or all of it, folded again and held against the tables.

A part begins from the rows as the histories give them before its first block, and is compared
through the histories and effects of its blocks; the whole log also by the current rows.
"""

from __future__ import annotations

import random
from typing import Literal

import asyncpg
import msgspec

from indexer import errors
from indexer.audit import shadow_diff
from indexer.log import cursor, facts
from indexer.projections import engine as engines
from indexer.projections import replay
from indexer.projections.shadow import build

SAMPLES = 5
SAMPLE_EVENTS = 1_000
"""A sample is so many parts of about so many events; a log with no more is refolded whole."""

Scope = Literal["sample", "all", "off"]


class Refolding(msgspec.Struct):
    """How much is refolded, by which engine; parts are chosen by `seed`."""

    engine: engines.Engine
    scope: Scope
    seed: int
    batch_events: int = build.BATCH_EVENTS


class Refolded(msgspec.Struct, frozen=True):
    """What was refolded: whole or in parts, how many events and rows, and the parts that differ."""

    is_whole: bool
    blocks: list[tuple[int, int]]
    events: int
    rows: int
    differing: list[shadow_diff.Difference]


async def obstacle(connection: asyncpg.Connection) -> str | None:
    """Why a shadow cannot be built here; None where it can."""
    if await connection.fetchval("SHOW transaction_read_only") == "on":
        return "the database is read-only, as a standby is"
    if not await build.may_create(connection):
        return "the role may not create a schema"
    committed = await cursor.read(connection)
    if committed is not None and replay.outdated(committed):
        return "another version's fold made these tables"
    if await build.schema_exists(connection):
        return "a shadow of a replay is there: finish it, or `vesu-indexer replay --discard`"
    return None


async def refold(connection: asyncpg.Connection, refolding: Refolding) -> Refolded:
    """Refold the parts that `refolding` names, in a temporary shadow.

    WriterConflictError: another replay builds a shadow, or the daemon is always ahead.
    """
    committed = await cursor.read(connection)
    if committed is None or committed.block_hash is None:
        raise errors.NothingCommittedError("there is nothing to refold: no block is committed yet")
    parts = await _parts(connection, refolding, committed)
    whole: list[tuple[int, int | None]] = [(committed.start_block, None)]
    found = []
    events = 0
    for first, last in parts or whole:
        built = build.Shadow(connection, refolding.engine, refolding.batch_events)
        async with built.temporary(first, last):
            found.append(await shadow_diff.level(built, last))
            events += built.events
    return Refolded(
        not parts,
        [(part.from_block, part.block_number) for part in found],
        events,
        sum(table.shadow_rows for part in found for table in part.tables.values()),
        [part for part in found if not part.is_equal],
    )


async def _parts(
    connection: asyncpg.Connection, refolding: Refolding, committed: cursor.Cursor
) -> list[tuple[int, int | None]]:
    """First and last block of each part, ascending; none: the whole log."""
    last = committed.block_number
    events = await facts.count_events(connection, committed.start_block, last)
    if refolding.scope == "all" or events <= SAMPLES * SAMPLE_EVENTS:
        return []
    dice = random.Random(refolding.seed)  # noqa: S311 - a sample to repeat, not a secret
    parts: list[tuple[int, int | None]] = []
    end = committed.start_block - 1
    for offset in sorted(dice.sample(range(events), SAMPLES)):
        first = await facts.batch_end(connection, committed.start_block, last, offset)
        if first is not None and first > end:
            found = await facts.batch_end(connection, first, last, SAMPLE_EVENTS)
            end = last if found is None else found
            parts.append((first, end))
    return parts
