"""Completeness while the daemon runs: a few unproved blocks a minute, and what is told of it.

Proves the newest unproved blocks first, through a connection of its own, once the tables
follow the head. What it finds missing it notes; the ingestor, the one writer, repairs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Collection

import asyncpg
import structlog

from indexer import errors, metrics
from indexer.audit import completeness as audit
from indexer.chain import client, rpc
from indexer.log import cursor, gaps, verified
from indexer.query import completeness

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""The shortest time between two looks; slower budgets make it longer."""

NEAR_HEAD_BLOCKS = 10
"""Further behind, catching up needs the node more."""


class Prover:
    """Proves at most `blocks_per_minute` blocks; 0: it only counts what is proved.

    `book` holds the contracts that are ours from the start. `connection` is its own.
    """

    def __init__(
        self,
        node: client.StarknetNode,
        connection: asyncpg.Connection,
        book: Collection[int],
        blocks_per_minute: int,
    ) -> None:
        self._node = node
        self._connection = connection
        self._book = book
        self._most = math.ceil(blocks_per_minute * LOOK_SECONDS / 60)
        self._pause = 60 * self._most / blocks_per_minute if self._most else LOOK_SECONDS

    async def run(self, stopping: asyncio.Event) -> None:
        """Look again and again until `stopping` is set."""
        rpc.is_background.set(True)
        while not stopping.is_set():
            try:
                await self.look()
            except errors.LogMovedError as error:
                log.info("verification_put_off", reason=str(error))
            except errors.NodeError as error:
                # What matters of it, a refusal too, stops the indexing itself.
                log.warning("verification_put_off", reason=str(error))
            try:
                await asyncio.wait_for(stopping.wait(), self._pause)
            except TimeoutError:
                continue

    async def look(self) -> list[gaps.Gap]:
        """Prove the next blocks if the tables follow the head; returns what the log lacks."""
        found: list[gaps.Gap] = []
        at = await cursor.read(self._connection)
        if self._most and at is not None and await self._is_time(at):
            sweep = audit.sweep(self._node, self._connection, self._book, at, await self._next(at))
            async with contextlib.aclosing(sweep) as outcomes:
                async for outcome in outcomes:
                    found += outcome.gaps
            await audit.note_gaps(self._connection, at, found)
        note(await completeness.read(self._connection))
        return found

    async def _is_time(self, at: cursor.Cursor) -> bool:
        """Whether the tables follow the head, and nothing waits for its repair."""
        head = await cursor.head(self._connection)
        if at.block_hash is None or head is None or head - at.block_number > NEAR_HEAD_BLOCKS:
            return False
        return not (await gaps.still_open(self._connection)).blocks

    async def _next(self, at: cursor.Cursor) -> list[verified.Span]:
        """The top of the newest unproved blocks: what is proved stays in few ranges."""
        spans = await verified.lacking(self._connection, at.start_block, at.block_number, most=1)
        return [
            verified.Span(max(span.first_block, span.last_block - self._most + 1), span.last_block)
            for span in spans
        ]


def note(found: completeness.Completeness) -> None:
    """Tell the metrics."""
    for method in (*verified.STRENGTH, "hole"):
        metrics.verified_blocks.labels(method).set(found.blocks.get(method, 0))
    metrics.unproved_blocks.set(found.unproved_blocks)
    metrics.completeness_gaps.labels("open").set(found.gaps_open)
    metrics.completeness_gaps.labels("repaired").set(found.gaps_repaired)
