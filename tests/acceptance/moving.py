"""A daemon that commits block after block while something else reads its database."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import asyncpg
import msgspec

from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import stage, truth

T = TypeVar("T")


class Moving:
    """The running daemon: `during` moves the chain on while work is done."""

    def __init__(self, environ: dict[str, str], head: playhead.Playhead) -> None:
        self.environ = environ
        self._head = head
        self._commits: asyncio.Queue[int] = asyncio.Queue()

    def heard(self, *notice: Any) -> None:
        self._commits.put_nowait(msgspec.json.decode(notice[-1])["block_number"])

    async def during(self, work: Coroutine[None, None, T], at_most: int = 25) -> tuple[T, int]:
        """Do the work while blocks are committed one by one; (its result, their number)."""
        task = asyncio.create_task(work)
        commits = 0
        while not task.done() and commits < at_most:
            self._head.release()
            commit = asyncio.create_task(self._commits.get())
            await asyncio.wait((task, commit), return_when=asyncio.FIRST_COMPLETED)
            await commit
            commits += 1
        return await task, commits

    async def reach(self, block: int) -> None:
        """Let the chain grow to a block, and wait until it is committed."""
        self._head.go_to(block)
        while await self._commits.get() < block:
            pass


@contextlib.asynccontextmanager
async def daemon(recorded: truth.Recorded, first: int) -> AsyncIterator[Moving]:
    """A daemon that has committed block `first` and follows the head; stopped afterwards."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 0)
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, head) as node,
    ):
        moving = Moving(stage.environment(recorded, node.url, url), head)
        listener = await asyncpg.connect(url)
        await listener.add_listener("vesu_blocks", moving.heard)
        process = await stage.start(moving.environ, "run", "--no-serve")
        try:
            await moving.reach(first)
            yield moving
            process.send_signal(signal.SIGTERM)
            await process.communicate()
            assert process.returncode == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
            await listener.close()
