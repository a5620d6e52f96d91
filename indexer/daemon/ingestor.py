"""The ingestor: follows the chain and commits it, one transaction a range.

Where the room's doors meet: the chain room reads, the log keeps, the projections fold, the
cursor moves, all in one transaction. What it believes is decided here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import time
from collections.abc import Callable, Sequence

import asyncpg
import msgspec
import structlog

from indexer import errors, metrics
from indexer.audit import invariants
from indexer.chain import client, failures, ranges, types
from indexer.daemon import price_sampler, reorg_detector, rollback
from indexer.log import cursor, facts, gaps, observations, reorgs, verified
from indexer.projections import engine as engines
from indexer.projections import replay, rows
from indexer.vesu import selectors

log = structlog.get_logger(__name__)

AT_HEAD_BLOCKS = 10
"""Within so many blocks of the head every batch brings all valuations up to date."""

REFUSED = "refused"
"""What the log keeps where a contract refuses a view."""

LOOK_SECONDS = 10.0
"""So often is the head asked for while catching up, so that lag and silence stay true."""


class Progress(msgspec.Struct, frozen=True):
    """What the last commit reached."""

    block: int
    head: int
    events: int
    total_events: int


class Ingestor:
    """One writer: reads `node`, writes through `connection`.

    Invariant: between two calls, engine and cursor are what the database holds.
    """

    def __init__(
        self,
        node: client.StarknetNode,
        connection: asyncpg.Connection,
        engine: engines.Engine,
        poll_seconds: float,
        reading: ranges.ReaderSettings | None = None,
        report: Callable[[Progress], None] = lambda _: None,
        sample_seconds: int = 0,
        *,
        caution: reorg_detector.Caution | None = None,
        probe_seconds: float = 60.0,
        return_seconds: float = 300.0,
    ) -> None:
        self._node = node
        self._connection = connection
        self._engine = engine
        self._poll_seconds = poll_seconds
        self._probe_seconds = probe_seconds
        self._return_seconds = return_seconds
        self._reader = ranges.RangeReader(node, reading)
        self._judge = reorg_detector.Judge(node, connection, caution or reorg_detector.Caution())
        self._report = report
        self._seen: list[observations.Observation] = []
        self._sample_seconds = sample_seconds
        self._total_events = 0
        self._looked = 0.0
        self._moved_at = time.monotonic()
        self._trouble: str | None = None
        self._is_pausing = False
        self._head: int | None = None
        self._final: int | None = None
        self._writing = asyncio.Lock()
        self.stopping = asyncio.Event()
        self.suspicion: str | None = None
        """Why the chain is doubted now."""

    async def open(self, chain_id: str, start_block: int) -> None:
        """Take up where the database stands; makes the cursor of a new one."""
        self._cursor = await cursor.open_for(
            self._connection, chain_id, start_block, engines.FOLD_VERSION
        )
        if reason := replay.outdated(self._cursor):
            raise errors.SchemaError(reason)
        await self._engine.load(self._connection)

    @property
    def position(self) -> cursor.Cursor:
        """Where the tables stand."""
        return self._cursor

    @property
    def alive_at(self) -> float:
        """When it last got on, by the monotonic clock: a look, a commit, or an answer of the node.

        Trouble that was told and will be tried again counts, and so does the pause between two
        looks: only what hangs does not.
        """
        if self._is_pausing:
            return time.monotonic()
        return max(self._moved_at, self._node.answered_at)

    def describe(self) -> str:
        """Where it is, in a line for people."""
        if self.suspicion is not None:
            return f"suspect: {self.suspicion}"
        head = "a head not yet told" if self._head is None else self._head
        trouble = f"; trouble: {self._trouble}" if self._trouble else ""
        return f"block {self._cursor.block_number} of {head}{trouble}"

    async def run(self, until_block: int | None = None) -> None:
        """Follow the head until `stopping` is set, or until `until_block` is committed.

        Stopping breaks off what is being read, and never what is being written.
        """
        following = asyncio.create_task(self._follow(until_block))
        stopped = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([following, stopped], return_when=asyncio.FIRST_COMPLETED)
            async with self._writing:
                following.cancel()
        finally:
            following.cancel()
            stopped.cancel()
            await asyncio.wait([following, stopped])
        if not following.cancelled():
            following.result()

    async def _follow(self, until_block: int | None) -> None:
        while not self.stopping.is_set():
            self._moved_at = time.monotonic()
            if until_block is not None and self._cursor.block_number >= until_block:
                return
            try:
                moved = await self.step(until_block)
            except errors.ProjectionsReplacedError:
                log.info("projections_replaced")
                await self.open(self._cursor.chain_id, self._cursor.start_block)
                moved = True
            except errors.RetryableNodeError as error:
                failures.record(self._node.source.name, error, "wait", retry_in=self._poll_seconds)
                # The reader may have taken up contracts of a range that was never committed.
                await self._forget()
                self._trouble = str(error)
                moved = False
            except errors.FatalNodeError as error:
                # The command line ends with the error itself, in one line.
                failures.record(self._node.source.name, error, "stop", logging.DEBUG)
                raise
            if not moved:
                await self._pause()

    async def _pause(self) -> None:
        self._is_pausing = True
        try:
            await asyncio.wait_for(self.stopping.wait(), self._poll_seconds)
        except TimeoutError:
            return
        finally:
            self._is_pausing = False

    async def step(self, until_block: int | None = None) -> bool:
        """One look at the chain; commits all that is new. False: there was nothing to do."""
        head = await self._look()
        verdict = await self._judge.verdict(self._cursor, head, self._final)
        if isinstance(verdict, reorg_detector.Abandoned):
            await self._reorganise(verdict.head, verdict.ancestor)
            return True
        await self._doubt(verdict)
        if verdict is not None:
            return False
        if await self.repair(head):
            return True
        last = head.number if until_block is None else min(head.number, until_block)
        if last <= self._cursor.block_number:
            return False
        await self._catch_up(last, head)
        return True

    async def _look(self) -> types.BlockHeader:
        """Ask for the head, and remember that the node told it."""
        # What comes back after trouble may be another node.
        await self._node.probe_again(0.0 if self._trouble else self._probe_seconds)
        stands = self._cursor
        if stands.block_hash is not None and self.suspicion is None:
            # A doubt is about the endpoint in use.
            await self._node.return_to_preferred(
                (stands.block_number, stands.block_hash), self._return_seconds
            )
        head = await self._node.head()
        self._final = await cursor.note_head(self._connection, head, await self._node.finalised())
        self._head, self._trouble = head.number, None
        metrics.head_block.set(head.number)
        self._looked = time.monotonic()
        return head

    # --- following ------------------------------------------------------------------------

    async def _doubt(self, verdict: reorg_detector.Suspect | None) -> None:
        """Tell readers that the chain is doubted, or no more."""
        reason = None if verdict is None else verdict.reason
        await cursor.note_suspicion(self._connection, reason)
        metrics.suspect.set(reason is not None)
        if reason is not None and reason != self.suspicion:
            doubt = errors.InconsistentAnswerError(reason, kind="suspect")
            failures.record(self._node.source.name, doubt, "suspect")
        elif reason is None and self.suspicion is not None:
            log.info("suspicion_over", committed_block=self._cursor.block_number)
        self.suspicion = reason

    async def _catch_up(self, last: int, head: types.BlockHeader) -> None:
        reading = self._reader.ranges(
            self._cursor.block_number + 1,
            last,
            self._engine.addresses,
            self._discover,
            self._forget,
        )
        # Closed at once, also where it is left early: it reads ahead.
        async with contextlib.aclosing(reading) as parts:
            async for part in parts:
                self._require_continuity(part)
                await self._commit(part, head)
                if self.stopping.is_set():
                    return
                if time.monotonic() - self._looked > LOOK_SECONDS:
                    head = await self._look()

    def _require_continuity(self, part: types.Range) -> None:
        """A range must stand on the committed block by what its own endpoint said."""
        stands = self._cursor
        if stands.block_hash not in (None, part.parent_hash):
            raise errors.InconsistentAnswerError(
                f"block {part.from_block} stands on {part.parent_hash}, not on the committed "
                f"block {stands.block_number} ({stands.block_hash}): the chain changed",
                kind="fork",
            )

    # --- committing -----------------------------------------------------------------------

    async def _commit(self, part: types.Range, head: types.BlockHeader) -> None:
        began = time.monotonic()
        batch = facts.batch_of(part)
        is_at_head = part.to_block >= head.number - AT_HEAD_BLOCKS
        if is_at_head:
            self._seen += await self._observe(await self._due_prices(part.tip))
        prepared = await self._engine.prepare(self._connection, batch)
        while prepared.needs:
            self._seen += await self._observe(prepared.needs)
            prepared = self._engine.refold(prepared)
        seen = [
            one
            for one in self._seen
            if one.asked.block_number <= part.to_block and one.asked not in prepared.needless
        ]
        try:
            async with self._writing, self._connection.transaction():
                moved = await cursor.advance(self._connection, self._cursor, part.tip)
                await facts.append(self._connection, part, batch, prepared.derived)
                await observations.append(self._connection, seen)
                await self._note_verified(part)
                summary = await self._engine.project(self._connection, prepared, revalue=is_at_head)
                sums = await invariants.watch(
                    self._connection,
                    part.to_block,
                    [rows.padded(key.pool.id) for key in summary.assets],
                    [rows.padded(key.asset) for key in summary.assets],
                )
                await cursor.notify(self._connection, moved, summary.tables)
        except BaseException:
            # The engine has folded what was not committed: only a fresh one may go on.
            await self._forget()
            raise
        self._cursor = moved
        self._seen = [one for one in self._seen if one.asked.block_number > part.to_block]
        metrics.invariant_breaks_standing.set(sums.standing)
        for one in sums.new:
            metrics.invariant_breaks_total.inc()
            log.error("sum_broken", what=one.what, found=one.found, expected=one.expected)
        self._committed(summary, head, time.monotonic() - began)

    async def _discover(self, emitted: Sequence[types.EmittedEvent]) -> None:
        """Take up the contracts that events name, and those that a view must name for them."""
        self._seen += await self._observe(self._engine.discover(emitted))

    async def _note_verified(self, part: types.Range) -> None:
        await verified.add(self._connection, part.verified, datetime.datetime.now(datetime.UTC))
        if self._reader.suspects:
            await gaps.close(self._connection, part.from_block, part.to_block)

    async def _forget(self) -> None:
        self._seen = []
        if not self._connection.is_closed():
            await self._engine.load(self._connection)

    async def _due_prices(self, tip: types.BlockHeader) -> list[observations.View]:
        return await price_sampler.due_prices(
            self._connection, self._engine, tip, self._sample_seconds
        )

    async def _observe(self, needs: list[observations.View]) -> list[observations.Observation]:
        """Ask the node for views, each at its block's hash, and let the engine know."""
        answers = await self._node.calls(
            [
                client.ViewCall(
                    int(view.contract, 16),
                    selectors.VIEWS[view.view],
                    tuple(int(felt, 16) for felt in view.calldata),
                    view.block_hash,
                )
                for view in needs
            ]
        )
        seen = [_observation(view, answer) for view, answer in zip(needs, answers, strict=True)]
        self._engine.observe(seen)
        return seen

    def _committed(self, summary: engines.Summary, head: types.BlockHeader, seconds: float) -> None:
        stands = self._cursor
        self._moved_at = time.monotonic()
        self._total_events += summary.events
        metrics.committed_block.set(stands.block_number)
        metrics.committed_timestamp.set(stands.timestamp or 0)
        metrics.events_total.inc(summary.events)
        metrics.count_undecoded(summary.undecoded)
        metrics.accruals_checked.inc(summary.accruals_checked)
        metrics.accruals_wrong.inc(summary.accruals_wrong)
        metrics.commit_seconds.observe(seconds)
        log.debug("committed", block=stands.block_number, events=summary.events)
        self._report(Progress(stands.block_number, head.number, summary.events, self._total_events))

    # --- reorganising ---------------------------------------------------------------------

    async def _reorganise(self, head: types.BlockHeader, ancestor: tuple[int, str]) -> None:
        """Take everything back to the highest stored block that the node's chain still has."""
        old = self._cursor
        done = await self._go_back(ancestor, head, "chain")
        self.suspicion = None
        metrics.suspect.set(0)
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

    async def repair(self, head: types.BlockHeader | None = None) -> bool:
        """Go back to before the lowest gap that somebody found in the log; False: there is none.

        What follows is read again, and its blocks with gaps are proved whatever the settings.
        """
        found = await gaps.still_open(self._connection)
        self._reader.suspects = frozenset(found.blocks)
        if not found.untouched:
            return False
        old = self._cursor
        place = await gaps.place_before(self._connection, old, found.untouched[0])
        await self._go_back(place, head or await self._look(), "repair")
        metrics.repairs_total.inc()
        log.error(
            "repairing", from_block=place[0] + 1, old_block=old.block_number, gaps=found.untouched
        )
        return True

    async def _go_back(
        self, ancestor: tuple[int, str | None], head: types.BlockHeader, cause: reorgs.Cause
    ) -> rollback.Outcome:
        try:
            async with self._writing, self._connection.transaction():
                done = await rollback.take_back(
                    self._connection, self._engine, self._cursor, ancestor, head, cause
                )
        except BaseException:
            await self._forget()
            raise
        self._cursor = done.cursor
        return done


def _observation(
    view: observations.View, answer: list[int] | errors.RpcError
) -> observations.Observation:
    if isinstance(answer, errors.RpcError):
        # Nodes word it differently, and name themselves: the log must be the same from each.
        log.info("view_refused", view=view.view, contract=view.contract, reason=str(answer))
        return observations.Observation(view, None, REFUSED)
    return observations.Observation(view, tuple(hex(felt) for felt in answer))
