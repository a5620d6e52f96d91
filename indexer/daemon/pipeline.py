"""The pipeline: while PostgreSQL writes one range, the next one is decoded and folded.

    node ──► read ahead ──► prepare N+1 ──┐
                            write N ──────┴──► committed N, write N+1 …

At most two ranges are in it, each committed whole and in order: a kill loses what is not
committed and nothing else, as it does without a pipeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import asyncpg
import structlog

from indexer import errors
from indexer.chain import types
from indexer.daemon import writer as writers

log = structlog.get_logger(__name__)

OpenConnection = Callable[[], contextlib.AbstractAsyncContextManager[asyncpg.Connection]]
"""Opens another connection to the writer's database."""

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
        self._report = report
        self._reading = reading
        self._writing: asyncio.Task[writers.Committed] | None = None
        self._began = 0.0
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
        self._writing = self._writer.start(ready, is_at_head=is_at_head, close_gaps=close_gaps)
        self._tip_hash = part.tip.hash

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
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        done = await writing
        self._report(done, time.monotonic() - self._began)

    async def stop(self) -> None:
        """Break off what is being written: the transaction is rolled back."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])


@contextlib.asynccontextmanager
async def running(
    writer: writers.Writer, report: Report, open_second: OpenConnection | None
) -> AsyncIterator[Pipeline]:
    """A pipeline; at the end, also after an error, what is being written is committed first.

    Cancelled, it rolls that back. A commit's own failure goes before the error. `open_second`
    opens the second connection; where the server has none left, nothing overlaps.
    """
    async with contextlib.AsyncExitStack() as stack:
        pipeline = Pipeline(writer, report, await _opened(stack, open_second))
        try:
            yield pipeline
        except asyncio.CancelledError:
            await pipeline.stop()
            raise
        except Exception:
            await pipeline.finish()
            raise
        await pipeline.finish()


async def _opened(
    stack: contextlib.AsyncExitStack, open_second: OpenConnection | None
) -> asyncpg.Connection | None:
    if open_second is None:
        return None
    try:
        return await stack.enter_async_context(open_second())
    except errors.DatabaseUnavailableError as error:
        log.info("no_second_connection", reason=str(error))
        return None
