"""The ingestor: follows the chain and lets the writer commit it, a range at a time.

look at the head ─► is the committed block still on the node's chain?
    abandoned ─► roll back to the common ancestor ─► look again
    undecided ─► commit nothing, say why, look again after a pause
    it is     ─► read back what configured contracts emitted unread (once), repair gaps that a
                 proof found, else read and commit what is new
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence

import asyncpg
import msgspec
import structlog

from indexer import errors, metrics
from indexer.chain import client, failures, ranges, types
from indexer.daemon import (
    commit_metrics,
    deferred_indexes,
    history,
    looks,
    pipeline,
    reorg_detector,
)
from indexer.daemon import writer as writers
from indexer.log import cursor, gaps, watch_list
from indexer.projections import engine as engines
from indexer.store import write_behind

log = structlog.get_logger(__name__)

AT_HEAD_BLOCKS = 10
"""Distance from the head within which every batch brings all valuations up to date.

Further behind, a range is prepared while the one before it is being written."""

LOOK_SECONDS = 10.0
"""How often the head is polled while catching up, so that lag and silence stay true."""


class Progress(msgspec.Struct, frozen=True):
    """The state after the last commit."""

    block: int
    head: int
    events: int
    total_events: int


class IngestorSettings(msgspec.Struct, frozen=True):
    """How the chain is followed; times in seconds."""

    poll_seconds: float
    reading: ranges.ReaderSettings = ranges.ReaderSettings()
    caution: reorg_detector.Caution = reorg_detector.Caution()
    probe_seconds: float = 60.0
    return_seconds: float = 300.0
    defer_indexes_from: int = 50_000


class Ingestor:
    """Follows the chain that `node` serves and commits it through `connection`."""

    def __init__(
        self,
        node: client.StarknetNode,
        connection: asyncpg.Connection,
        engine: engines.Engine,
        settings: IngestorSettings,
        contracts: Sequence[watch_list.Contract],
        report: Callable[[Progress], None] = lambda _: None,
        open_second: write_behind.OpenConnection | None = None,
    ) -> None:
        self._node = node
        self._contracts = contracts
        self._is_history_read = False
        self._connection = connection
        self._settings = settings
        self._writer = writers.Writer(node, connection, engine)
        self._reader = ranges.RangeReader(node, settings.reading)
        self._detector = reorg_detector.Detector(node, connection, settings.caution)
        self._looks = looks.Looks(
            node, settings.probe_seconds, settings.return_seconds, settings.caution.looks
        )
        self._report = report
        self._open_second = open_second
        self._indexes = deferred_indexes.DeferredIndexes(connection, settings.defer_indexes_from)
        self._total_events = 0
        self._progressed_at = time.monotonic()
        self._trouble: str | None = None
        self._is_pausing = False
        self.stopping = asyncio.Event()
        self.suspicion: str | None = None
        """Why the node's chain is doubted at present."""

    async def open(self, chain_id: str, start_block: int) -> None:
        """Continue at the committed block; creates the cursor in a new database.

        ConfigError: the database was filled from a contract that is configured no more.
        """
        await self._writer.open(chain_id, start_block)
        await self._indexes.open(is_new=self.position.block_hash is None)
        await watch_list.require_none_gone(self._connection, self.position, self._contracts)
        compared = await watch_list.compare(self._connection, self._contracts)
        self._is_history_read = not (compared.added or compared.unread)
        metrics.set_committed(self.position.block_number, self.position.timestamp)

    @property
    def position(self) -> cursor.Cursor:
        """The committed block."""
        return self._writer.cursor

    @property
    def alive_at(self) -> float:
        """When it last progressed, by the monotonic clock: a look, a commit, or a node's answer.

        Trouble that was logged and will be retried counts as progress, and so do the pause
        between two looks and an index that is being made: only what hangs does not.
        """
        if self._is_pausing or self._indexes.is_building:
            return time.monotonic()
        return max(self._progressed_at, self._node.answered_at)

    def describe(self) -> str:
        """The committed block, the head and the present failure, in one line for people."""
        if self.suspicion is not None:
            return f"suspect: {self.suspicion}"
        head = "an unknown head" if self._looks.head is None else self._looks.head
        trouble = f"; trouble: {self._trouble}" if self._trouble else ""
        return f"block {self.position.block_number} of {head}{trouble}"

    async def run(self, until_block: int | None = None) -> None:
        """Follow the head until `stopping` is set, or until `until_block` is committed.

        Stopping breaks off what is being read, and never what is being written.
        """
        following = asyncio.create_task(self._follow(until_block))
        stopped = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([following, stopped], return_when=asyncio.FIRST_COMPLETED)
            async with self._writer.idle():
                following.cancel()
        finally:
            following.cancel()
            stopped.cancel()
            await asyncio.wait([following, stopped])
        if not following.cancelled():
            following.result()

    async def _follow(self, until_block: int | None) -> None:
        while not self.stopping.is_set():
            self._progressed_at = time.monotonic()
            has_arrived = until_block is not None and self.position.block_number >= until_block
            if has_arrived and self._is_history_read:
                await self._indexes.build(self._total_events)
                return
            if not await self._step_or_wait(until_block):
                await self._pause()

    async def _step_or_wait(self, until_block: int | None) -> bool:
        """One step; trouble that may pass is logged. Returns whether anything was done."""
        try:
            return await self.step(until_block)
        except errors.ProjectionsReplacedError:
            log.info("projections_replaced")
            await self.open(self.position.chain_id, self.position.start_block)
            return True
        except errors.RetryableNodeError as error:
            failures.record(
                self._node.source.name, error, "wait", retry_in=self._settings.poll_seconds
            )
            # The reader may have added contracts of a range that was never committed.
            await self._writer.reload()
            self._trouble = str(error)
            return False
        except errors.FatalNodeError as error:
            # The command line ends with the error itself, in one line.
            failures.record(self._node.source.name, error, "stop", logging.DEBUG)
            raise

    async def _pause(self) -> None:
        """Wait until the next look is due; after trouble for the whole time."""
        seconds = self._settings.poll_seconds
        if self._trouble is None:
            seconds -= min(time.monotonic() - self._progressed_at, seconds / 2)
        self._is_pausing = True
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._is_pausing = False

    async def step(self, until_block: int | None = None) -> bool:
        """Look at the chain once and commit all that is new. False: there was nothing to do."""
        head = await self._look()
        verdict = await self._detector.verdict(self.position, head, self._looks.final)
        if isinstance(verdict, reorg_detector.Abandoned):
            await self._reorganise(verdict.head, verdict.ancestor)
            return True
        await self._note_suspicion(verdict)
        if verdict is not None:
            return False
        await self._lower_final()
        if await self._read_back(head) or await self.repair(head):
            return True
        last = head.number if until_block is None else min(head.number, until_block)
        if last <= self.position.block_number:
            await self.revalue()
            return False
        await self._catch_up(last, head)
        return True

    async def revalue(self) -> None:
        """Take up prices that were sampled since the last commit."""
        if rows := await self._writer.revalue():
            log.debug("revalued", block=self.position.block_number, rows=rows)

    async def _look(self) -> types.BlockHeader:
        """Ask for the head and the final block, and store what the node reported."""
        seen = await self._looks.ask(
            self.position,
            is_troubled=self._trouble is not None,
            is_suspect=self.suspicion is not None,
        )
        await self._looks.note(self._connection, self.position, seen)
        self._trouble = None
        return seen.head

    async def _look_meanwhile(self, committing: pipeline.Pipeline) -> types.BlockHeader | None:
        """The head where a look is due and answered: no range waits for the node."""
        if time.monotonic() - self._looks.noted_at > LOOK_SECONDS:
            self._looks.begin(self.position)
        seen = await self._looks.answered()
        if seen is None:
            return None
        await self._looks.note(await committing.free_connection(), self.position, seen)
        return seen.head

    async def _lower_final(self) -> None:
        """Lower the final block once the node, on the same chain, has long reported a lower one."""
        before, lowered = self._looks.final, self._looks.lowered_final()
        if lowered is not None:
            await cursor.lower_finalised(self._connection, self.position, lowered)
            log.warning("final_lowered", was=before, now=lowered)

    async def _note_suspicion(self, verdict: reorg_detector.Suspect | None) -> None:
        """Tell readers and operators that the chain is suspect, or is no longer."""
        reason = None if verdict is None else verdict.reason
        await self._looks.tell_suspicion(self._connection, self.position, reason)
        metrics.suspect.set(reason is not None)
        if reason is not None and reason != self.suspicion:
            doubt = errors.InconsistentAnswerError(reason, kind="suspect")
            failures.record(self._node.source.name, doubt, "suspect")
        elif reason is None and self.suspicion is not None:
            log.info("suspicion_over", committed_block=self.position.block_number)
        self.suspicion = reason

    # --- committing -----------------------------------------------------------------------

    async def _catch_up(self, last: int, head: types.BlockHeader) -> None:
        """Read and commit every block up to `last`, polling the head meanwhile."""
        is_far = last - self.position.block_number > AT_HEAD_BLOCKS
        open_second = self._open_second if is_far else None
        async with (
            pipeline.running(self._writer, self._committed, open_second) as committing,
            self._read_ahead(last, committing, may_close_later=not is_far) as parts,
        ):
            async for part in parts:
                is_at_head = part.to_block >= head.number - AT_HEAD_BLOCKS
                if is_at_head and self._indexes.are_missing:
                    await committing.finish()
                    await self._indexes.build(self._total_events)
                elif self._indexes.are_to_drop(self._total_events, last - part.to_block):
                    await committing.finish()
                    await self._indexes.drop()
                commit = committing.commit if is_at_head or not is_far else committing.add
                await commit(part, is_at_head=is_at_head, close_gaps=bool(self._reader.suspects))
                if self.stopping.is_set():
                    return
                head = await self._look_meanwhile(committing) or head
        await self._indexes.build(self._total_events)

    @contextlib.asynccontextmanager
    async def _read_ahead(
        self, last: int, committing: pipeline.Pipeline, *, may_close_later: bool
    ) -> AsyncIterator[AsyncIterator[types.Range]]:
        """The ranges up to `last`; what is asked ahead is broken off where they are left early."""

        async def forget() -> None:
            await committing.finish()
            await self._writer.reload()

        reading = self._reader.ranges(
            self.position.block_number + 1,
            last,
            self._writer.addresses,
            self._writer.discover,
            forget,
            self._writer.event_times,
            may_close_later=may_close_later,
        )
        try:
            async with contextlib.aclosing(reading):
                yield reading
        finally:
            await self._looks.break_off()

    def _committed(self, done: writers.Committed, seconds: float) -> None:
        """Report a commit to whoever asks for progress."""
        self._progressed_at = time.monotonic()
        self._total_events += done.summary.events
        commit_metrics.count(done, self.position, seconds)
        self._report(
            Progress(
                self.position.block_number,
                self._looks.head or self.position.block_number,
                done.summary.events,
                self._total_events,
            )
        )

    # --- rolling back ---------------------------------------------------------------------

    async def _reorganise(self, head: types.BlockHeader, ancestor: tuple[int, str]) -> None:
        """Roll back to the highest stored block that the node's chain still has."""
        old = self.position
        done = await self._writer.roll_back(ancestor, head, "chain")
        self.suspicion = None
        metrics.suspect.set(0)
        metrics.set_committed(self.position.block_number, self.position.timestamp)
        metrics.reorgs_total.inc()
        metrics.reorg_depth.observe(done.depth)
        log.warning(
            "reorganised",
            ancestor=ancestor[0],
            old_block=old.block_number,
            new_head=head.number,
            depth=done.depth,
            events=done.events_orphaned,
            rows=done.rows_restored,
            seconds=round(done.seconds, 3),
        )

    async def _read_back(self, head: types.BlockHeader) -> bool:
        """Go back to before what configured contracts emitted unread; False: nothing is.

        Before it is known, nothing is committed: tables that lack a contract's beginning are
        wrong and look fresh.
        """
        if self._is_history_read:
            return False
        lacking = await history.missing(
            self._node, self._connection, self.position, self._contracts
        )
        old = self.position
        has_moved = lacking is not None and await self._writer.read_back(lacking, head)
        self._is_history_read = True
        if has_moved:
            metrics.set_committed(self.position.block_number, self.position.timestamp)
            log.warning(
                "reading_back",
                from_block=self.position.block_number + 1,
                old_block=old.block_number,
            )
        return has_moved

    async def repair(self, head: types.BlockHeader | None = None) -> bool:
        """Roll back to before the lowest gap that a proof found in the log; False: none is open.

        The blocks after it are read again, and those with gaps are proved whatever the settings.
        """
        open_gaps = await gaps.still_open(self._connection)
        self._reader.suspects = frozenset(open_gaps.blocks)
        if not open_gaps.untouched:
            return False
        old = self.position
        ancestor = await gaps.place_before(self._connection, old, open_gaps.untouched[0])
        await self._writer.roll_back(ancestor, head or await self._look(), "repair")
        metrics.set_committed(self.position.block_number, self.position.timestamp)
        metrics.repairs_total.inc()
        log.error(
            "repairing",
            from_block=ancestor[0] + 1,
            old_block=old.block_number,
            gaps=open_gaps.untouched,
        )
        return True
