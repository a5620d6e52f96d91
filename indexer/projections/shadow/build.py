"""The shadow: projections rebuilt in a schema of their own while readers and the daemon go on.

The same engine writes them: on a connection whose search path begins with the schema
`vesu_shadow`, the tables of the projections are found there and the log where it always is.
Current rows begin as they were before the first block; histories and effects hold what came
since. The shadow has a cursor of its own, moved with each batch, so a killed build goes on
where it was, and a reorganisation of the chain is followed. While PostgreSQL writes a batch, the
next one is decoded and folded, and the one after it read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import asyncpg
import msgspec
import structlog

from indexer import errors
from indexer.log import cursor, facts
from indexer.projections import (
    contract_classes,
    listed_pools,
    memory,
    statements,
    stored_valuations,
    tables,
)
from indexer.projections import engine as engines
from indexer.projections.shadow import derived, fold_code, log_reader, seed
from indexer.store import locks, sqlfile, write_behind

_SQL = sqlfile.load(__package__, "build")

log = structlog.get_logger(__name__)

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

SCHEMA = "vesu_shadow"

LOCK_KEY = 0x5645_5348
"""The advisory lock of whoever builds the shadow: the letters VESH."""

LOCK_WAIT = "5s"
"""A killed build lets go of its lock once the server has noticed that it is gone."""

BATCH_EVENTS = 5_000


class Progress(msgspec.Struct, frozen=True):
    """The progress of a replay: the last block folded, the number of blocks, the events so far."""

    from_block: int
    block: int
    to_block: int
    events: int


class Span(msgspec.Struct, frozen=True):
    """The blocks that a shadow holds; `is_whole`: up to the committed one, so that its current
    rows can be held against the live ones."""

    from_block: int
    to_block: int
    is_whole: bool


ReportProgress = Callable[[Progress], None]


class Shadow:
    """One shadow build. `connection` is the shadow's own; nobody else may use it. `open_second`
    opens the connection that batches are read through while others are written.

    `resumed_at` is the block up to which an earlier build, killed, had come; None: begun anew.
    `events` were folded by this one. `valuations` are what the last comparison found of the live
    rows' stored valuations.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        engine: engines.Engine,
        batch_events: int = BATCH_EVENTS,
        open_second: write_behind.OpenConnection | None = None,
    ) -> None:
        self.connection = connection
        self._engine = engine
        self._open_second = open_second
        self._batch_events = batch_events
        engine.leave_unvalued()
        self._made_by = f"{fold_code.version()}:{engine.knowledge}"
        self.live = ""
        self.resumed_at: int | None = None
        self.events = 0
        self.valuations = stored_valuations.Checked()

    async def open(self, from_block: int, to_block: int | None = None) -> int:
        """Take up the build of `from_block` that a kill left, or begin it; the first block.

        NothingCommittedError: there is nothing to replay. WriterConflictError: another process
        builds.
        """
        await self._lock()
        name = await self.connection.fetchval("SELECT quote_ident(current_schema())")
        self.live = str(name)
        committed = await _committed(self.connection, from_block, to_block)
        first = max(from_block, committed.start_block)
        self.resumed_at = await self._left_behind(first, to_block)
        if self.resumed_at is None:
            await self._begin(first, committed.start_block)
        else:
            log.info("shadow_goes_on", from_block=first, after_block=self.resumed_at)
        await self.connection.execute(f"SET search_path = {SCHEMA}, {self.live}")
        await self._engine.load(self.connection)
        return first

    async def _lock(self) -> None:
        await self.connection.execute("SET statement_timeout = 0")
        await self.connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
        try:
            await self.connection.execute(_SQL["lock"], LOCK_KEY)
        except asyncpg.LockNotAvailableError as error:
            holder = await locks.holder_process(self.connection, LOCK_KEY)
            raise errors.WriterConflictError(
                f"another replay builds the shadow: server process {holder}; wait until it is "
                "done, or stop it"
            ) from error
        await self.connection.execute("SET lock_timeout = 0")

    async def _left_behind(self, first: int, to_block: int | None) -> int | None:
        """The block of a shadow that can be continued."""
        if not await self.connection.fetchval(_SQL["exists"]):
            return None
        row = await self.connection.fetchrow(_SQL["progress"])
        fits = (
            row is not None
            and (row["from_block"], row["made_by"]) == (first, self._made_by)
            and (to_block is None or row["block_number"] <= to_block)
        )
        made = (*tables.PROJECTIONS, tables.ASSET_SETTINGS)
        names = {name for table in made for name in (table.name, table.stored_name)}
        for name in sorted(names) if fits else ():
            fits = fits and await self.connection.fetchval(
                _SQL["is_alike"], f"{self.live}.{name}", f"{SCHEMA}.{name}"
            )
        return int(row["block_number"]) if row and fits else None

    async def _begin(self, first: int, start_block: int) -> None:
        """The current rows as they were at the block before, and nothing above it."""
        connection, live = self.connection, self.live
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(_SQL["drop"])
            await create(connection, live)
            if first > start_block:
                await seed.seed(connection, self._engine, live, first)
            await connection.execute(_SQL["begin_progress"], first, self._made_by)

    async def catch_up(self, report: ReportProgress, to_block: int | None = None) -> Span:
        """Fold the log up to `to_block` or the committed block; one transaction a batch."""
        while True:
            await self._follow_reorgs()
            await self._follow_list()
            committed = await cursor.read(self.connection)
            row = await self.connection.fetchrow(_SQL["progress"])
            assert committed is not None and row is not None, "open() made sure of both"
            last = committed.block_number
            last = last if to_block is None else min(to_block, last)
            if await self._build(row["block_number"] + 1, last, report):
                return Span(row["from_block"], last, last == committed.block_number)

    async def _build(self, first: int, last: int, report: ReportProgress) -> bool:
        """Fold the log from block to block; False: the chain was reorganised meanwhile."""
        events = 0

        def note(batch: facts.Batch) -> None:
            nonlocal events
            events += len(batch.events)
            self.events += len(batch.events)
            report(Progress(first, batch.to_block, last, events))

        writing = write_behind.WriteBehind(note)
        async with self.second() as second, write_behind.finishing(writing):
            reading = second or self.connection
            reader = log_reader.LogReader(reading, first, last, self._batch_events)
            # Where one connection is all there is, it first writes.
            ahead = reader.read_ahead if second is not None else None
            try:
                while logged := await reader.next():
                    prepared = await self._engine.prepare_logged(
                        reading, logged.batch, logged.seen, ahead
                    )
                    await writing.finish()
                    memory_ = self._engine.advance(prepared)
                    write = self._write(logged.batch, prepared, memory_)
                    writing.start(asyncio.create_task(write))
                    if second is None:
                        await writing.finish()
            finally:
                await reader.stop()
        return not reader.is_reorganised

    @contextlib.asynccontextmanager
    async def second(self) -> AsyncIterator[asyncpg.Connection | None]:
        """Another connection that finds the shadow's tables; None where none can be had."""
        async with write_behind.second_connection(self._open_second) as opened:
            if opened is not None:
                await opened.execute("SET statement_timeout = 0")
                await opened.execute(f"SET search_path = {SCHEMA}, {self.live}")
            yield opened

    async def _follow_list(self) -> None:
        """The rows say of their pools what the live list and the kept classes say now."""
        await self._engine.read_list(self.connection)
        await listed_pools.settle(self.connection, is_live=False)
        await contract_classes.settle(self.connection)

    async def _follow_reorgs(self) -> None:
        row = await self.connection.fetchrow(_SQL["progress"])
        if row is None or row["ancestor_number"] is None:
            return
        ancestor = row["ancestor_number"]
        if ancestor < row["from_block"] - 1:
            log.info("shadow_begins_anew", reason="reorganisation", ancestor=ancestor)
            await self._begin(ancestor + 1, (await _committed(self.connection, 0)).start_block)
            await self._engine.load(self.connection)
            return
        async with self.connection.transaction(isolation="repeatable_read"):
            if ancestor < row["block_number"]:
                await seed.take_back(
                    self.connection, self._engine, self.live, row["from_block"], ancestor
                )
            await self.connection.execute(_SQL["take_back"], ancestor, row["newest_reorg"])

    async def _write(
        self, batch: facts.Batch, prepared: engines.Prepared, memory_: memory.Memory
    ) -> facts.Batch:
        async with self.connection.transaction():
            await derived.note(self.connection, batch, prepared.decoded)
            await self._engine.project(self.connection, prepared, memory_)
            await self.connection.execute(_SQL["move"], batch.to_block)
        return batch

    async def value(self, found: Sequence[asyncpg.Record]) -> None:
        """Value some of its positions at the block that the shadow stands at."""
        row = await self.connection.fetchrow(_SQL["progress"])
        assert row is not None, "the shadow is there until it is dropped"
        block = await seed.block_at(self.connection, row["block_number"])
        await self._engine.value(self.connection, block, found)

    async def analyze(self) -> None:
        """Give the planner statistics of what was built, and of live tables that have none or old
        ones, as those of a database that was just filled."""
        for table in tables.PROJECTIONS:
            live_table = f"{self.live}.{table.stored_name}"
            if await self.connection.fetchval(_SQL["is_out_of_date"], live_table):
                await self.connection.execute(f"ANALYZE {live_table}")
        await self.connection.execute(_SQL["small_samples"])
        for table in tables.PROJECTIONS:
            await self.connection.execute(statements.fill(_SQL["analyze"], table, self.live))
        await self.connection.execute(_SQL["usual_samples"])

    async def discard(self) -> bool:
        """Remove a shadow that a kill left or somebody kept; False: there was none."""
        await self._lock()
        was_there = bool(await self.connection.fetchval(_SQL["exists"]))
        await self.drop()
        return was_there

    @contextlib.asynccontextmanager
    async def temporary(self, from_block: int, to_block: int | None) -> AsyncIterator[None]:
        """A build that leaves nothing behind, neither tables nor settings of the connection."""
        await self.open(from_block, to_block)
        try:
            yield
        finally:
            if not self.connection.is_closed():
                await self.drop()
                await self.connection.execute("RESET ALL")
                await self.connection.execute(_SQL["unlock"], LOCK_KEY)

    async def drop(self) -> None:
        """Remove the shadow."""
        await self.connection.execute(_SQL["drop"])


async def create(connection: Connection, live: str) -> None:
    """Make the shadow's empty tables and its views; the caller's transaction, in which the search
    path begins with the shadow afterwards."""
    for name in ("create_schema", "create_progress"):
        await connection.execute(_SQL[name])
    await derived.create(connection)
    await connection.execute(statements.fill(_SQL["create_table"], tables.ASSET_SETTINGS, live))
    for table in tables.PROJECTIONS:
        names = ["create_table"]
        if table.is_appended:
            names.append("create_block_index")
        elif table.versions:
            names.append("create_version_index")
        for name in names:
            await connection.execute(statements.fill(_SQL[name], table, live))
    # Read while the live schema is the one in the search path, a definition names tables without
    # their schema; made in the shadow, the view then reads the shadow's tables.
    selects = {
        table.name: await connection.fetchval(_SQL["view_definition"], f"{live}.{table.name}")
        for table in tables.HISTORIES
        if table.stored
    }
    await connection.execute(f"SET LOCAL search_path = {SCHEMA}, {live}")
    for name, select in selects.items():
        await connection.execute(f"CREATE VIEW {SCHEMA}.{name} AS {select}")


async def _committed(
    connection: asyncpg.Connection, from_block: int, to_block: int | None = None
) -> cursor.Cursor:
    """The cursor; refuses blocks that the log does not hold."""
    committed = await cursor.read(connection)
    if committed is None or committed.block_hash is None:
        raise errors.NothingCommittedError(
            "there is nothing to replay: the log is empty, run the indexer"
        )
    for flag, block in (("--from-block", from_block), ("--to-block", to_block)):
        if block is not None and block > committed.block_number:
            raise errors.QuestionError(
                f"{flag} {block} is above the last committed block {committed.block_number}"
            )
    if to_block is not None and to_block < max(from_block, committed.start_block):
        raise errors.QuestionError(
            f"--to-block {to_block} is below the first block to replay, "
            f"{max(from_block, committed.start_block)}"
        )
    return committed


async def left_at(connection: asyncpg.Connection) -> int | None:
    """The block at which a shadow stands that is built, was killed or is kept; None: none."""
    if not await exists(connection):
        return None
    block: int | None = await connection.fetchval(_SQL["left_at"])
    return block


async def exists(connection: Connection) -> bool:
    """Whether a shadow exists, finished or left by a kill."""
    return bool(await connection.fetchval(_SQL["exists"]))


async def schema_exists(connection: Connection) -> bool:
    """Whether the shadow's schema exists, whichever role created it."""
    return bool(await connection.fetchval(_SQL["schema_exists"]))


async def may_create(connection: Connection) -> bool:
    """Whether the role may make the shadow's schema."""
    return bool(await connection.fetchval(_SQL["may_create"]))


async def drop(connection: Connection) -> None:
    """Remove a shadow, whoever built it."""
    await connection.execute(_SQL["drop"])
