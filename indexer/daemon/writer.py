"""The unit of work: one transaction changes log, projections, history and cursor together."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from indexer import errors
from indexer.audit import invariants
from indexer.cairo import view_call
from indexer.chain import client, types
from indexer.daemon import history, rollback, unanswered_views
from indexer.log import (
    cursor,
    encoded_range,
    facts,
    gaps,
    observations,
    reorgs,
    verified,
    watch_list,
)
from indexer.projections import engine as engines
from indexer.projections import memory, replay, revaluation, rows, summaries, tables, valuations
from indexer.store import statement_pipeline, turns
from indexer.vesu import block_time


class Committed(NamedTuple):
    """The changes of a commit, and the check of the touched markets' sums after it."""

    summary: summaries.Summary
    sums: invariants.Watched


class Ready(NamedTuple):
    """A range that is folded and can be written."""

    part: types.Range
    prepared: engines.Prepared
    log_rows: encoded_range.EncodedRange


class Writer:
    """Commits ranges and rolls back, through one connection.

    Invariant: while nothing is being written, engine and cursor are what the database holds. After
    a failed transaction the engine is loaded again, since it had folded what was not committed.
    """

    def __init__(
        self, node: client.StarknetNode, connection: asyncpg.Connection, engine: engines.Engine
    ) -> None:
        self.connection = connection
        self._views = unanswered_views.Asker(node)
        self._engine = engine
        self._observed: list[observations.Observation] = []
        self._in_transaction = asyncio.Lock()
        self._sums = invariants.Schedule()

    async def open(self, chain_id: str, start_block: int) -> None:
        """Continue at the committed block; creates the cursor in a new database.

        Raises SchemaError where the tables were folded by another version. What was read ahead
        before is forgotten.
        """
        self._observed = []
        self.cursor = await cursor.open_for(
            self.connection, chain_id, start_block, tables.FOLD_VERSION
        )
        if reason := replay.outdated(self.cursor):
            raise errors.SchemaError(reason)
        await self._engine.load(self.connection)

    async def reload(self) -> None:
        """Drop everything that was read beyond the last commit."""
        self._observed = []
        if not self.connection.is_closed():
            await self._engine.load(self.connection)

    def addresses(self) -> frozenset[int]:
        """The contracts whose events belong to the log."""
        return self._engine.addresses()

    def event_times(self, emitted: Sequence[types.EmittedEvent]) -> dict[int, int]:
        """The times of those blocks whose own events tell them, in seconds by number.

        A block whose events contradict each other tells none.
        """
        found: dict[int, set[int]] = {}
        for event in emitted:
            seconds = block_time.of_event(event.keys, event.data)
            if seconds is not None:
                found.setdefault(event.block_number, set()).add(seconds)
        return {number: times.pop() for number, times in found.items() if len(times) == 1}

    async def discover(self, emitted: Sequence[types.EmittedEvent]) -> None:
        """Add the contracts that events name, and those that a view must name for them."""
        await self._observe(self._engine.discover(emitted), _hashes(emitted))

    async def prepare(self, part: types.Range, reading: asyncpg.Connection) -> Ready:
        """Fold a range on top of the one that was started last; writes nothing.

        While that one is being written, `reading` must be another connection than the writer's.
        """
        prepared = await self._engine.prepare(reading, facts.batch_of(part))
        while prepared.needs:
            await self._observe(prepared.needs, _hashes(prepared.batch.events))
            prepared = await self._engine.refold(prepared)
        # What belongs to contracts that were not ours yet is no part of the log.
        part = msgspec.structs.replace(part, events=prepared.batch.events)
        log_rows = await encoded_range.encode(part, prepared.batch, prepared.derived)
        return Ready(part, prepared, log_rows)

    def start(
        self, ready: Ready, *, is_at_head: bool, close_gaps: bool = False
    ) -> asyncio.Task[Committed]:
        """Begin to append a range to the log, write its fold and move the cursor: one transaction.

        At the head also what is near a liquidation is valued, and a slice of the rest. What is
        prepared from now on comes after the range; the task must be done before another is started.
        """
        memory_ = self._engine.advance(ready.prepared)
        scope: revaluation.Scope = "head" if is_at_head else "touched"
        return asyncio.create_task(self._write(ready, memory_, scope, close_gaps=close_gaps))

    async def _write(
        self, ready: Ready, memory_: memory.Memory, scope: revaluation.Scope, *, close_gaps: bool
    ) -> Committed:
        part, prepared, log_rows = ready
        async with self._transaction():
            with contextlib.ExitStack() as urgent:
                # Some ten small statements come before rows that keep PostgreSQL busy.
                urgent.enter_context(turns.first())
                advanced = await cursor.advance(self.connection, self.cursor, part.tip)
                await self._append_facts(ready, close_gaps=close_gaps)
                numbers = await encoded_range.number(self.connection, log_rows)

                async def append_events(connection: statement_pipeline.Connection) -> None:
                    urgent.close()
                    await encoded_range.append_events(connection, log_rows, numbers)

                summary = await self._engine.project(
                    self.connection, prepared, memory_, scope, append_events
                )
            sums = await self._check_sums(part.to_block, summary, scope)
            await cursor.notify(self.connection, advanced, summary.tables)
            if part.closing is not None:
                await part.closing.require_closed()
        self.cursor = advanced
        self._observed = [
            observation
            for observation in self._observed
            if observation.call.block_number > part.to_block
        ]
        return Committed(summary, sums)

    async def _append_facts(self, ready: Ready, *, close_gaps: bool) -> None:
        part, prepared, log_rows = ready
        await encoded_range.append_blocks(self.connection, log_rows)
        await observations.append(self.connection, self._to_store(part, prepared))
        await verified.add_committed(
            self.connection, part.verified, datetime.datetime.now(datetime.UTC)
        )
        if close_gaps:
            await gaps.close(self.connection, part.from_block, part.to_block)

    async def revalue(self) -> int:
        """Value rows with prices sampled since the last commit; returns how many were written."""
        committed = self.cursor
        if committed.block_hash is None or not await self._engine.has_to_revalue(self.connection):
            return 0
        block = valuations.Block(committed.block_number, committed.timestamp or 0)
        async with self._transaction():
            await cursor.keep(self.connection, committed)
            written = await self._engine.revalue(self.connection, block)
            await cursor.notify(self.connection, committed, ("vesu_assets", "vesu_positions"))
        return written

    async def _check_sums(
        self, block: int, summary: summaries.Summary, scope: revaluation.Scope
    ) -> invariants.Watched:
        # Far behind only the range's own rows are valued, at its last block, and the index that
        # tells the highest of all may be missing.
        with_valuations = scope == "head" or summary.positions <= invariants.FEW_POSITIONS
        keys = [(rows.padded(key.pool.id), rows.padded(key.asset)) for key in summary.assets]
        due = self._sums.due(keys, summary.positions)
        began = time.monotonic()
        sums = await invariants.watch(self.connection, block, due, with_valuations=with_valuations)
        self._sums.note(due, time.monotonic() - began)
        return sums

    async def roll_back(
        self, ancestor: tuple[int, str | None], head: types.BlockHeader, cause: reorgs.Cause
    ) -> rollback.RolledBack:
        """Restore the state at `ancestor` in one transaction."""
        async with self._transaction():
            done = await rollback.roll_back(
                self.connection, self._engine, self.cursor, ancestor, head, cause
            )
        self.cursor = done.cursor
        # What was read ahead is of the blocks that were taken back.
        self._observed = []
        return done

    async def read_back(self, lacking: history.Missing, head: types.BlockHeader) -> bool:
        """Remember the configured contracts; go back to before what the log lacks of them.

        False: it lacks nothing. In one transaction, so that a list that is remembered is one
        whose events are in the log or still to be read.
        """
        committed, block = self.cursor, lacking.first_block
        async with self._transaction():
            await cursor.hold(self.connection)
            if lacking.start_block < committed.start_block:
                await watch_list.lower_start(self.connection, committed, lacking.start_block)
                committed = await cursor.opened(self.connection, committed)
            if block is not None and committed.block_hash is not None:
                ancestor = await gaps.place_before(self.connection, committed, block)
                done = await rollback.roll_back(
                    self.connection, self._engine, committed, ancestor, head, "repair"
                )
                committed = done.cursor
            await watch_list.remember(self.connection, committed.start_block, lacking.contracts)
        self.cursor = committed
        self._observed = []
        return block is not None

    @contextlib.asynccontextmanager
    async def idle(self) -> AsyncIterator[None]:
        """No transaction is open while inside."""
        async with self._in_transaction:
            yield

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        try:
            async with self._in_transaction, self.connection.transaction():
                yield
        except Exception:
            await self.reload()
            raise

    async def _observe(
        self, needs: Sequence[view_call.ViewCall], hashes: Mapping[int, str]
    ) -> None:
        if needs:
            # Any contract of ours may be asked whether the node runs views.
            contract = min(self._engine.addresses(), default=0)
            self._note(await self._views.ask(needs, hashes, contract))

    def _note(self, seen: Sequence[observations.Observation]) -> None:
        self._engine.observe(seen)
        self._observed += seen

    def _to_store(
        self, part: types.Range, prepared: engines.Prepared
    ) -> list[observations.Observation]:
        """The answers that belong to this range; later ones are stored with their own range."""
        return [
            observation
            for observation in self._observed
            if observation.call.block_number <= part.to_block
            and observation.call not in prepared.needless
        ]


def _hashes(emitted: Iterable[types.EmittedEvent]) -> dict[int, str]:
    """The hashes of the blocks of these events, by number."""
    return {event.block_number: event.block_hash for event in emitted}
