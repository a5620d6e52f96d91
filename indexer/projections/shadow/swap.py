"""The keys of all rows in which shadow and live tables differ, and the swap that puts them live.

The keys are found in one snapshot, while the daemon goes on; the swap looks again only at rows
written since, so the transaction that the daemon waits for is short. It applies differences:
no table is renamed, so readers, their rights and their views notice nothing but new rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence

import asyncpg
import msgspec
import structlog

from indexer import errors, values
from indexer.log import cursor
from indexer.projections import statements, storage, stored_valuations, tables
from indexer.projections.shadow import build, compared_versions, derived
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "swap")
_SHADOW_SQL = sqlfile.load(__package__, "build")

log = structlog.get_logger(__name__)

ROWS_AT_ONCE = 5_000

MEMORY_OF_A_JOIN = "32MB"
"""What one comparison may take of the server's memory, where its setting is less."""

ATTEMPTS = 20
"""How often a swap is tried until the shadow stands at the committed block."""


class Swapped(msgspec.Struct, frozen=True):
    """What a swap did: the blocks that were refolded, and how many live rows it changed."""

    from_block: int
    to_block: int
    rows_changed: int


def compared_tables(span: build.Span) -> tuple[tables.Table, ...]:
    """The tables to compare; current rows only if the shadow is at the committed block."""
    return tuple(
        table
        for table in (*tables.PROJECTIONS, tables.DECODED_EVENTS)
        if span.is_whole or table not in tables.CURRENT
    )


async def mark(built: build.Shadow, span: build.Span) -> None:
    """Find the keys of all rows that differ; the caller's repeatable-read transaction."""
    connection, live = built.connection, built.live
    await connection.execute(_SQL["large_joins"], MEMORY_OF_A_JOIN)
    for table in (*tables.PROJECTIONS, tables.DECODED_EVENTS):
        for name in ("drop", "create", "create_key"):
            await connection.execute(statements.fill(_SQL[name], table, live))
    await connection.execute(statements.fill(_SQL["late_fees"], tables.TRANSACTIONS, live))
    if span.is_whole:
        await _compare(built, span)
        await _value(built, span.to_block)
    else:
        await _mark(built, span, span.from_block, "mark_current")
    await connection.execute(_SQL["marked"])


async def _value(built: build.Shadow, valued_since: int) -> None:
    """Value what is marked and active; what was valued in or after a block already stays."""
    statement = statements.fill(_SQL["marked_active"], tables.POSITIONS, built.live)
    after: tuple[object, ...] = ("", uuid.UUID(int=0))
    # Not through a cursor: one that is open keeps the transaction from dropping the shadow.
    while part := await built.connection.fetch(statement, valued_since, *after, ROWS_AT_ONCE):
        await built.value(part)
        after = (part[-1]["pool_id"], part[-1]["id"])


async def _compare(built: build.Shadow, span: build.Span) -> None:
    """Mark all rows that differ, and live ones that are not worth what they say at their own
    blocks: that is computed while PostgreSQL compares, where there is a second connection."""
    marked = asyncio.Event()
    mark_keys = statements.fill(_SQL["mark_keys"], tables.POSITIONS, built.live)

    async def note_wrong(keys: Sequence[storage.Key]) -> None:
        # The connection compares until then.
        await marked.wait()
        await built.connection.execute(mark_keys, *map(list, zip(*keys, strict=True)))

    async with built.second() as second:
        if second is None:
            await _mark(built, span, span.from_block, "mark_current")
            marked.set()
            built.valuations = await _checked_valuations(built.connection, built.live, note_wrong)
            await built.connection.execute(f"SET LOCAL search_path = {build.SCHEMA}, {built.live}")
            return
        snapshot = await built.connection.fetchval(_SQL["export_snapshot"])
        checking = asyncio.create_task(
            _checked_valuations(second, built.live, note_wrong, snapshot)
        )
        try:
            await _mark(built, span, span.from_block, "mark_current")
            marked.set()
            built.valuations = await checking
        finally:
            checking.cancel()
            await asyncio.wait([checking])


async def _checked_valuations(
    connection: asyncpg.Connection,
    live: str,
    note_wrong: stored_valuations.NoteWrong,
    snapshot: str | None = None,
) -> stored_valuations.Checked:
    """Check the live rows in the caller's transaction, or in a new one that sees `snapshot`."""
    async with contextlib.AsyncExitStack() as stack:
        if snapshot is not None:
            await stack.enter_async_context(
                connection.transaction(isolation="repeatable_read", readonly=True)
            )
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        await connection.execute(f"SET LOCAL search_path = {live}")
        return await stored_valuations.check(connection, live, note_wrong=note_wrong)


async def differing(built: build.Shadow) -> int:
    """The number of rows that differ in state."""
    count = 0
    for table in (*tables.PROJECTIONS, tables.DECODED_EVENTS):
        row = await built.connection.fetchrow(statements.fill(_SQL["count"], table, built.live))
        count += row["differing"] if row else 0
    return count


async def is_level(built: build.Shadow, span: build.Span) -> bool:
    """Whether the shadow is at the daemon's block, on the same branch of the chain."""
    row = await built.connection.fetchrow(_SHADOW_SQL["progress"])
    committed = await cursor.read(built.connection)
    assert row is not None and committed is not None, "a shadow is built of a filled log"
    at_end = not span.is_whole or committed.block_number == span.to_block
    return row["ancestor_number"] is None and row["from_block"] == span.from_block and at_end


async def _rests_on_same_state(built: build.Shadow, span: build.Span) -> bool:
    """Whether the live rows above the shadow follow from the state that the shadow has."""
    async with built.connection.transaction(isolation="repeatable_read", readonly=True):
        for history in tables.HISTORIES:
            if await built.connection.fetchval(
                statements.fill(_SQL["last_versions_differ"], history, built.live),
                span.from_block,
                span.to_block,
            ):
                return False
    return True


async def swap(
    built: build.Shadow,
    report: build.ReportProgress,
    to_block: int | None = None,
    allowed: int | None = None,
    pool_id: str | None = None,
) -> Swapped:
    """Put the shadow live in one transaction. The daemon waits meanwhile; readers do not.

    `pool_id`: rows of that pool alone change; every other row and the decoded log stay.

    With `to_block` nothing above it changes, if that rests on the same state; where it does not,
    the shadow is built to the committed block. DifferencesError: more rows differ in state than
    `allowed` (None: any number). WriterConflictError: the daemon is always ahead.
    """
    for _ in range(ATTEMPTS):
        span = await built.catch_up(report, to_block)
        if not span.is_whole and not await _rests_on_same_state(built, span):
            log.warning("state_differs", at_block=span.to_block, going_on="to committed block")
            to_block = None
            continue
        if not await _is_marked(built, span):
            continue
        async with built.connection.transaction():
            await cursor.hold(built.connection)
            if await is_level(built, span):
                changed = await _put_live(built, span, allowed, pool_id)
                return Swapped(span.from_block, span.to_block, changed)
    raise errors.WriterConflictError(
        "the daemon commits faster than the shadow catches up: not swapped, try again"
    )


async def _is_marked(built: build.Shadow, span: build.Span) -> bool:
    """Compare everything, if that was not done yet or of another branch; False: not level."""
    row = await built.connection.fetchrow(_SHADOW_SQL["progress"])
    if row is not None and row["compared_reorg"] == row["last_reorg"]:
        return True
    await built.analyze()
    async with built.connection.transaction(isolation="repeatable_read"):
        if not await is_level(built, span):
            return False
        await mark(built, span)
    return True


async def _put_live(
    built: build.Shadow, span: build.Span, allowed: int | None, pool_id: str | None
) -> int:
    compared_block = await _mark_recent(built, span)
    if span.is_whole:
        await _value(built, compared_block)
    if pool_id is not None:
        await _keep_pool(built, pool_id)
    found = await differing(built)
    if allowed is not None and found > allowed:
        raise errors.DifferencesError(
            f"not swapped: {values.counted(found, 'row differs', 'rows differ')}, "
            f"{allowed:,} allowed; look at them, then say "
            f"--allow-differences {found}"
        )
    late_fees = statements.fill(_SQL["late_fees_of_marked"], tables.TRANSACTIONS, built.live)
    await built.connection.execute(late_fees)
    changed = await _apply(built, span)
    await built.connection.execute(_SQL["replaced"], tables.FOLD_VERSION)
    await _tell(built, [table for table, rows in changed.items() if rows])
    await built.drop()
    return sum(changed.values())


async def _keep_pool(built: build.Shadow, pool_id: str) -> None:
    """Keep only the marks on rows of one pool."""
    for table in tables.PROJECTIONS:
        is_of_contracts = table in (tables.CONTRACTS, tables.CONTRACTS.past)
        name = "keep_contracts" if is_of_contracts else "keep_pool"
        await built.connection.execute(statements.fill(_SQL[name], table, built.live), pool_id)
    await derived.drop_above(built.connection, -1)


async def _tell(built: build.Shadow, tables: list[str]) -> None:
    """Notify listeners that the tables changed at the same block."""
    committed = await cursor.read(built.connection)
    assert committed is not None, "a shadow is built of a filled log"
    await cursor.notify(built.connection, committed, tables)


async def _mark_recent(built: build.Shadow, span: build.Span) -> int:
    """Add what was written on either side since all rows were compared, at the returned block."""
    row = await built.connection.fetchrow(_SHADOW_SQL["progress"])
    assert row is not None, "the shadow is there until it is dropped"
    compared_block: int = row["compared_block"]
    await _mark(built, span, compared_block + 1, "mark_recent")
    return compared_block


async def _mark(built: build.Shadow, span: build.Span, appended_from: int, current: str) -> None:
    """Mark rows: appended ones by block, current ones by the statement `current`."""
    values: tuple[int, ...]
    versioned = {}
    if span.is_whole and current == "mark_current":
        # All current rows are compared here, so their marks say of which versions to look further.
        versioned = {table.past.name: table for table in tables.CURRENT if table.versions}
    for table in compared_tables(span):
        if table.name in versioned:
            await compared_versions.mark(
                built.connection, built.live, versioned[table.name], appended_from, span.to_block
            )
            continue
        if table is tables.DECODED_EVENTS:
            name, values = "mark_events", (span.to_block,)
        elif table.is_appended:
            name, values = "mark_appended", (appended_from, span.to_block)
        else:
            name, values = current, ()
        await built.connection.execute(statements.fill(_SQL[name], table, built.live), *values)
    if span.is_whole:
        revalued = statements.fill(_SQL["mark_revalued"], tables.POSITIONS, built.live)
        await built.connection.execute(revalued)


async def _apply(built: build.Shadow, span: build.Span) -> dict[str, int]:
    """Make the live tables what the shadow holds, touching only rows that differ.

    Returns how many rows changed by table.
    """
    connection, live = built.connection, built.live
    marked = [table for table in compared_tables(span) if table is not tables.DECODED_EVENTS]
    changed = dict.fromkeys((table.name for table in compared_tables(span)), 0)
    await connection.execute(statements.fill(_SQL["put_settings"], tables.ASSET_SETTINGS, live))
    for table in marked:
        statement = statements.fill(_SQL["put_rows"], table, live)
        changed[table.name] += _count(await connection.execute(statement))
    # Only now does no row refer to one that goes: it may have referred to another position.
    for table in reversed(marked):
        statement = statements.fill(_SQL["delete_gone"], table, live)
        changed[table.name] += _count(await connection.execute(statement))
    for name in ("add_emitters", "add_layouts"):
        statement = statements.fill(_SQL[name], tables.DECODED_EVENTS, live)
        await connection.execute(statement, span.to_block)
    derived = statements.fill(_SQL["put_derived"], tables.DECODED_EVENTS, live)
    changed["events"] += _count(await connection.execute(derived, span.to_block))
    return changed


def _count(status: str) -> int:
    return int(status.split()[-1])
