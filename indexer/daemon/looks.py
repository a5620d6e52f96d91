"""Looks at the chain: the node is asked for its head and final block, and readers are told."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import asyncpg

from indexer import metrics
from indexer.chain import client, types
from indexer.daemon import finality
from indexer.log import cursor


class Seen(NamedTuple):
    """What the node answered: its head, and the highest block that it counts as final."""

    head: types.BlockHeader
    final: int | None


class Looks:
    """Asks the node for its head and final block, and notes what it answered.

    `probe_seconds`: after how many seconds the endpoint in use is probed again.
    `return_seconds`: after how many seconds a preferred endpoint is tried again.
    `lower_looks`: a lower final block is believed once the node has reported one in more looks
    in a row than this.
    """

    def __init__(
        self,
        node: client.StarknetNode,
        probe_seconds: float,
        return_seconds: float,
        lower_looks: int,
    ) -> None:
        self._node = node
        self._probe_seconds = probe_seconds
        self._return_seconds = return_seconds
        self._finality = finality.Finality(lower_looks)
        self.head: int | None = None
        """The number of the node's head at the last look."""
        self.final: int | None = None
        """The highest final block that is believed."""
        self.noted_at = 0.0
        """When the last look was noted, by the monotonic clock."""
        self._asking: asyncio.Task[Seen] | None = None
        self._reported: tuple[str | None, int] | None = None
        """Why the chain is doubted as readers were told last, and after how many rollbacks."""

    async def ask(self, committed: cursor.Cursor, *, is_troubled: bool, is_suspect: bool) -> Seen:
        """Ask the node, once it is known to be the configured chain's, for its head."""
        # An endpoint that answers again after trouble may be another node.
        await self._node.probe_again(0.0 if is_troubled else self._probe_seconds)
        if committed.block_hash is not None and not is_suspect:
            # A suspicion concerns the endpoint in use: it is kept until decided.
            await self._node.return_to_preferred(
                (committed.block_number, committed.block_hash), self._return_seconds
            )
        return Seen(*await self._node.head_and_finalised())

    def begin(self, committed: cursor.Cursor) -> None:
        """Ask in the background while ranges are committed, unless that was begun already."""
        if self._asking is None:
            asking = self.ask(committed, is_troubled=False, is_suspect=False)
            self._asking = asyncio.create_task(asking)

    async def answered(self) -> Seen | None:
        """What the node answered to the look that `begin` started; None: nothing yet.

        Each answer is returned once. Raises the error with which that look failed.
        """
        if self._asking is None or not self._asking.done():
            return None
        asking, self._asking = self._asking, None
        return await asking

    async def break_off(self) -> None:
        """Forget what `begin` asked."""
        if self._asking is not None:
            asking, self._asking = self._asking, None
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def note(
        self, connection: asyncpg.Connection, committed: cursor.Cursor, seen: Seen
    ) -> None:
        """Store what the node answered."""
        final = self._finality.believed(seen.final, seen.head.number)
        self.final = await cursor.note_head(connection, committed, seen.head, final)
        self.head = seen.head.number
        metrics.set_head(seen.head.number)
        metrics.set_endpoint(self._node.source.name)
        self.noted_at = time.monotonic()

    async def tell_suspicion(
        self, connection: asyncpg.Connection, committed: cursor.Cursor, reason: str | None
    ) -> None:
        """Tell readers why the chain is doubted, None that it is not, unless they know."""
        reported = (reason, committed.fork_counter)
        if reported != self._reported:
            await cursor.note_suspicion(connection, committed, reason)
            self._reported = reported

    def lowered_final(self) -> int | None:
        """What to believe from now on, once the node has long reported a lower final block.

        Asked after a look that found the committed block on the node's chain; None: as before.
        """
        lowered = self._finality.lowered(self.final)
        if lowered is not None:
            self.final = lowered
        return lowered
