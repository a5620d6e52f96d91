"""One write at a time, while what comes after it is read and prepared.

    prepare A ──► prepare B ──► prepare C ──► …
                  write A ────► write B ────► …

Whoever prepares reads through a second connection: the first one is in the write's transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

import asyncpg
import structlog

from indexer import errors

log = structlog.get_logger(__name__)

Done = TypeVar("Done")

OpenConnection = Callable[[], contextlib.AbstractAsyncContextManager[asyncpg.Connection]]
"""Opens another connection to the same database."""


class WriteBehind(Generic[Done]):
    """Holds the write that is going on, and tells `report` what it returned once it is done."""

    def __init__(self, report: Callable[[Done], None]) -> None:
        self._report = report
        self._writing: asyncio.Task[Done] | None = None

    def start(self, write: asyncio.Task[Done]) -> None:
        """From now on `write` is what is being written; the one before it is finished."""
        assert self._writing is None, "two transactions at a time"
        self._writing = write

    async def finish(self) -> None:
        """Wait until nothing is being written; raises what the write failed with."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        self._report(await writing)

    async def stop(self) -> None:
        """Break off the write: its transaction is rolled back."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])


@contextlib.asynccontextmanager
async def finishing(writing: WriteBehind[Done]) -> AsyncIterator[None]:
    """At the end, also after an error, what is being written is finished first.

    Cancelled, it is rolled back. A write's own failure goes before the error.
    """
    try:
        yield
    except asyncio.CancelledError:
        await writing.stop()
        raise
    except Exception:
        await writing.finish()
        raise
    await writing.finish()


@contextlib.asynccontextmanager
async def second_connection(
    open_second: OpenConnection | None,
) -> AsyncIterator[asyncpg.Connection | None]:
    """The connection to read through; None where there is no way to one, or the server has none
    left: then nothing overlaps."""
    async with contextlib.AsyncExitStack() as stack:
        opened = None
        if open_second is not None:
            try:
                opened = await stack.enter_async_context(open_second())
            except errors.DatabaseUnavailableError as error:
                log.info("no_second_connection", reason=str(error))
        yield opened
