"""Statements of one connection in order, each while the rows of the next one are made.

    rows of A ──► rows of B ──► rows of C ──► …
        A runs ───────► B runs ─────► C runs

PostgreSQL and this process work at the same time, within one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Step = Callable[[Connection], Awaitable[object]]
"""One statement, or several that follow each other at once."""


class StatementPipeline:
    """Runs steps in order; at most one waits, and nothing else may use the connection meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._steps: list[asyncio.Task[None]] = []

    async def run(self, step: Step) -> None:
        """Let a step run as soon as those before it are done; raises what they failed with."""
        while len(self._steps) > 1:
            await self._steps[0]
            del self._steps[0]
        before = self._steps[0] if self._steps else None
        self._steps.append(asyncio.create_task(self._after(before, step)))

    async def _after(self, before: asyncio.Task[None] | None, step: Step) -> None:
        if before is not None:
            await asyncio.shield(before)
        await step(self._connection)

    async def finish(self) -> None:
        """Wait until all steps are done; raises what the first one failed with."""
        for step in self._steps:
            await step
        self._steps.clear()

    async def stop(self) -> None:
        """Break off the steps that are not done."""
        for step in self._steps:
            step.cancel()
        # What they failed with, if anything, is raised already.
        await asyncio.gather(*self._steps, return_exceptions=True)
        self._steps.clear()


@contextlib.asynccontextmanager
async def running(connection: Connection) -> AsyncIterator[StatementPipeline]:
    """A pipeline; at its end all steps are done, or after an error broken off."""
    pipeline = StatementPipeline(connection)
    try:
        yield pipeline
        await pipeline.finish()
    finally:
        await pipeline.stop()
