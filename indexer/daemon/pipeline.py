"""The pipeline: while PostgreSQL writes one range, the next one is decoded and folded.

    node ──► read ahead ──► prepare N+1 ──┐
                            write N ──────┴──► committed N, write N+1 …

At most two ranges are in it, each committed whole and in order: a kill loses what is not
committed and nothing else, as it does without a pipeline.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable

import asyncpg

from indexer import errors
from indexer.chain import types
from indexer.daemon import writer as writers
from indexer.store import write_behind

Report = Callable[[writers.Committed, float], None]
"""Is told of each commit, and how many seconds the writing of it took."""


class Pipeline:
    """Commits ranges in order.

    `reading` is the connection that preparing reads through meanwhile; None: a range is prepared
    once the one before it is committed.
    """

    def __init__(
        self, writer: writers.Writer, report: Report, reading: asyncpg.Connection | None
    ) -> None:
        self._writer = writer
        self._reading = reading
        self._began = 0.0
        self.writing = write_behind.WriteBehind[writers.Committed](
            lambda done: report(done, time.monotonic() - self._began)
        )
        self._tip_hash = writer.cursor.block_hash

    async def add(self, part: types.Range, *, is_at_head: bool, close_gaps: bool) -> None:
        """Prepare a range and begin to write it, once the one before it is committed.

        InconsistentAnswerError: it does not continue that one.
        """
        self._require_continuity(part)
        if self._reading is None:
            await self.finish()
        ready = await self._writer.prepare(part, self._reading or self._writer.connection)
        await self.finish()
        self._began = time.monotonic()
        self.writing.start(self._writer.start(ready, is_at_head=is_at_head, close_gaps=close_gaps))
        self._tip_hash = part.tip.hash

    async def commit(self, part: types.Range, *, is_at_head: bool, close_gaps: bool) -> bool:
        """As `add`, and wait until the range is committed.

        False: its closing refused that, which was still awaited; the reader delivers it again.
        """
        try:
            await self.add(part, is_at_head=is_at_head, close_gaps=close_gaps)
            await self.finish()
        except errors.NodeError:
            if part.closing is None or part.closing.refusal is None:
                raise
            return False
        return True

    async def free_connection(self) -> asyncpg.Connection:
        """A connection that is in no transaction now; it is until the next range is added."""
        if self._reading is not None:
            return self._reading
        await self.finish()
        return self._writer.connection

    def _require_continuity(self, part: types.Range) -> None:
        """A range must continue the block before it, by what its own endpoint reported."""
        if self._tip_hash not in (None, part.parent_hash):
            raise errors.InconsistentAnswerError(
                f"the parent of block {part.from_block} is {part.parent_hash}, not "
                f"{self._tip_hash}, which was read before it: the chain changed",
                kind="fork",
            )

    async def finish(self) -> None:
        """Wait until nothing is being written; raises what a commit failed with."""
        try:
            await self.writing.finish()
        except BaseException:
            self._tip_hash = self._writer.cursor.block_hash
            raise


@contextlib.asynccontextmanager
async def running(
    writer: writers.Writer, report: Report, open_second: write_behind.OpenConnection | None
) -> AsyncIterator[Pipeline]:
    """A pipeline; at the end, also after an error, what is being written is committed first.

    Cancelled, it rolls that back. A commit's own failure goes before the error. `open_second`
    opens the second connection; where the server has none left, nothing overlaps.
    """
    async with write_behind.second_connection(open_second) as reading:
        pipeline = Pipeline(writer, report, reading)
        async with write_behind.finishing(pipeline.writing):
            yield pipeline
