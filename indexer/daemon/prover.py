"""Proves completeness in the background: a few blocks a minute, the newest first.

Works through a connection of its own, once the tables follow the head. First come the blocks with
stored events whose receipts the fast fill left out (`sampled` ranges say how far that reached),
then every other unproved block. Each look also asks some of the views again that the log keeps the
answers of. What is missing, and what is answered otherwise, is stored as a gap; the ingestor, the
one writer, repairs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Collection, Iterator, Sequence

import asyncpg
import msgspec
import structlog

from indexer import errors, metrics
from indexer.audit import log_verification, proof_batches
from indexer.chain import block_proof, client, rpc, types
from indexer.daemon import observation_check
from indexer.log import cursor, facts, gaps, observations, verified
from indexer.query import completeness

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""The shortest time between two looks; smaller budgets make it longer."""

NEAR_HEAD_BLOCKS = 10
"""Further behind the head, catching up needs the node more."""


UNANSWERED_SECONDS = 3_600.0
"""How long views are left alone that the node has no state for, or that fail on their own: another
node may follow it."""

AGAIN_FIRST_SECONDS = 600.0
AGAIN_LAST_SECONDS = 86_400.0
"""How often views that no endpoint could answer are asked again, at first and at last."""

LARGEST_SPAN = 10_000
"""How many blocks without events one look may pass over: their sample is part of its budget."""


class ProverSettings(msgspec.Struct, frozen=True):
    """How much is proved: 0 blocks a minute only counts what is proved.

    As many stored observations as blocks are asked again in a minute.
    Of the blocks without stored events a seeded share (`sample_rate`, 0 to 1) is proved together
    with those that have some.
    """

    blocks_per_minute: int
    sample_rate: float = 0.0
    sample_seed: int = 0


class _Work(msgspec.Struct, frozen=True):
    """Blocks to prove next; `sampled` is the range that counts as sampled once they are."""

    batches: Iterator[Sequence[int]]
    sampled: types.Verified | None = None


class _PutOff:
    """What is not worth asking for a while.

    Views of old blocks: most nodes keep the newest states only. And views of contracts and V1
    pools that fail alone: they would be the newest unconfirmed ones for ever.
    """

    def __init__(self) -> None:
        self._first = 0
        self._until = 0.0
        self._subjects: dict[observations.Subject, float] = {}

    def first_block(self) -> int:
        """The first block whose views are worth asking."""
        if time.monotonic() >= self._until:
            self._first = 0
        return self._first

    def subjects(self) -> Collection[observations.Subject]:
        """Whose views are not worth asking."""
        now = time.monotonic()
        self._subjects = {
            subject: until for subject, until in self._subjects.items() if until > now
        }
        return self._subjects

    def note(self, checked: observation_check.Checked) -> None:
        """Leave out what a check could not settle."""
        until = time.monotonic() + UNANSWERED_SECONDS
        if checked.unanswered_block >= 0:
            self._first, self._until = checked.unanswered_block + 1, until
        self._subjects |= dict.fromkeys(checked.unsettled, until)


class Prover:
    """Proves blocks of the log against the node. `addresses` are watched from the start."""

    def __init__(
        self,
        node: client.StarknetNode,
        connection: asyncpg.Connection,
        addresses: Collection[int],
        settings: ProverSettings,
    ) -> None:
        self._node = node
        self._connection = connection
        self._addresses = addresses
        self._settings = settings
        budget = settings.blocks_per_minute
        self._most = math.ceil(budget * LOOK_SECONDS / 60)
        self._put_off = _PutOff()
        self._pause = 60 * self._most / budget if self._most else LOOK_SECONDS
        self._again = AGAIN_FIRST_SECONDS
        self._asked_at = time.monotonic()

    async def run(self, stopping: asyncio.Event) -> None:
        """Repeat `look` until `stopping` is set."""
        rpc.is_background.set(True)
        while not stopping.is_set():
            try:
                await self.look()
            except errors.LogMovedError as error:
                log.info("verification_put_off", reason=str(error))
            except errors.NodeError as error:
                # An error that does not pass ends the indexing itself.
                log.warning("verification_put_off", reason=str(error))
            try:
                await asyncio.wait_for(stopping.wait(), self._pause)
            except TimeoutError:
                continue

    async def look(self) -> list[gaps.Gap]:
        """Prove the next blocks if the tables follow the head; returns what the log lacks."""
        found: list[gaps.Gap] = []
        committed = await cursor.read(self._connection)
        if self._most and committed is not None and await self._is_time(committed):
            work = await self._next(committed)
            sweep = log_verification.sweep(
                self._node,
                self._connection,
                self._addresses,
                committed,
                work.batches,
                note_ranges=work.sampled is None,
            )
            async with contextlib.aclosing(sweep) as outcomes:
                async for outcome in outcomes:
                    found += outcome.gaps
            if work.sampled is not None and not found:
                await log_verification.note_range(self._connection, committed, work.sampled)
            await log_verification.note_gaps(self._connection, committed, found)
            if not found:
                await self._ask_again(committed)
        if committed is not None and time.monotonic() - self._asked_at > self._again:
            await self._ask_unanswered(committed)
        note(await completeness.read(self._connection))
        return found

    async def _ask_again(self, committed: cursor.Cursor) -> None:
        """Ask the newest observations that nobody confirmed yet once more; note what differs."""
        check = observation_check.Check(
            self._node, self._connection, committed, min(self._addresses)
        )
        checked = await check.run(
            self._put_off.first_block(),
            committed.block_number,
            with_confirmed=False,
            most=self._most,
            without=self._put_off.subjects(),
        )
        self._put_off.note(checked)
        await log_verification.note_gaps(self._connection, committed, (), checked.differing)

    async def _ask_unanswered(self, committed: cursor.Cursor) -> None:
        """Ask again what no endpoint could answer: each time that fails, after twice the time."""
        if not await self._is_time(committed):
            return
        checked = await observation_check.ask_unanswered(
            self._node, self._connection, committed.start_block, committed.block_number
        )
        await log_verification.note_gaps(self._connection, committed, (), checked.differing)
        is_left = checked.unanswered > 0
        self._again = min(2 * self._again, AGAIN_LAST_SECONDS) if is_left else AGAIN_FIRST_SECONDS
        self._asked_at = time.monotonic()

    async def _is_time(self, committed: cursor.Cursor) -> bool:
        """Whether the tables follow the head, and no gap waits for its repair."""
        head = await cursor.head(self._connection)
        if (
            committed.block_hash is None
            or head is None
            or head - committed.block_number > NEAR_HEAD_BLOCKS
        ):
            return False
        return not (await gaps.still_open(self._connection)).blocks

    async def _next(self, committed: cursor.Cursor) -> _Work:
        """Unverified blocks with events, else the newest unproved blocks."""
        unread = await verified.lacking(
            self._connection,
            committed.start_block,
            committed.block_number,
            list(verified.STRENGTH),
            most=1,
        )
        if unread:
            return await self._with_events(unread[0])
        spans = await verified.lacking(
            self._connection, committed.start_block, committed.block_number, most=self._most
        )
        return _Work(proof_batches.of_spans(_highest(spans, self._most)))

    async def _with_events(self, span: verified.Span) -> _Work:
        """The top of a range: its newest blocks with events, and the sample of the others."""
        lowest = max(span.first_block, span.last_block - LARGEST_SPAN + 1)
        newest = await facts.newest_blocks_with_events(
            self._connection, lowest, span.last_block, self._most
        )
        first = newest[-1] if len(newest) == self._most else lowest
        numbers = {*newest, *self._sampled(first, span.last_block)}
        sampled = types.Verified(first, span.last_block, "sampled")
        return _Work(proof_batches.of_blocks(sorted(numbers)), sampled)

    def _sampled(self, first: int, last: int) -> Iterator[int]:
        rate, seed = self._settings.sample_rate, self._settings.sample_seed
        if rate > 0:
            for number in range(first, last + 1):
                if block_proof.is_sampled(number, rate, seed):
                    yield number


def _highest(spans: Sequence[verified.Span], most: int) -> Iterator[verified.Span]:
    """The `most` highest blocks of these ranges, which descend.

    From the top of each, so that what is proved is kept in few ranges.
    """
    for span in spans:
        first = max(span.first_block, span.last_block - most + 1)
        yield verified.Span(first, span.last_block)
        most -= span.last_block - first + 1
        if not most:
            return


def note(completeness: completeness.Completeness) -> None:
    """Set the metrics of completeness."""
    for method in (*verified.STRENGTH, "hole"):
        metrics.verified_blocks.labels(method).set(completeness.blocks.get(method, 0))
    metrics.unproved_blocks.set(completeness.unproved_blocks)
    metrics.completeness_gaps.labels("open").set(completeness.gaps_open)
    metrics.completeness_gaps.labels("repaired").set(completeness.gaps_repaired)
