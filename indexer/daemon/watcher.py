"""Asks the node what became of watched transactions while the daemon runs.

A reverted transaction emits no event, and one that is not yet in a block is in no table: only the
node can say. Runs beside the ingestor on a connection of its own, so no commit waits for it.
"""

from __future__ import annotations

import asyncio
import datetime
import math
from collections.abc import Sequence

import asyncpg
import structlog

from indexer import errors, metrics
from indexer.chain import ancestry, client, rpc, source, transactions, types
from indexer.log import watches

log = structlog.get_logger(__name__)

AT_ONCE = 20
"""The transactions that one look asks about, however many are watched: at most two requests each,
and one for each block that holds one."""


class Watcher:
    """Follows the watched transactions; `connection` is its own.

    One that no node knows is dropped after `drop_after_seconds`.
    """

    def __init__(
        self,
        node: client.StarknetNode,
        connection: asyncpg.Connection,
        pause_seconds: float,
        drop_after_seconds: float,
    ) -> None:
        self._node = node
        self._connection = connection
        self._pause_seconds = pause_seconds
        self._drop_after_seconds = drop_after_seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Repeat `look` until `stopping` is set."""
        rpc.is_background.set(True)
        while not stopping.is_set():
            try:
                await self.look()
            except errors.NodeError as error:
                # What matters of it stops the indexing itself.
                log.warning("watches_put_off", reason=str(error))
            try:
                await asyncio.wait_for(stopping.wait(), self._pause_seconds)
            except TimeoutError:
                continue

    async def finish(self) -> None:
        """Settle the watches that committed blocks decide, before the daemon ends at a block."""
        rpc.is_background.set(True)
        await watches.make_due(self._connection)
        looks = math.ceil(await watches.pending(self._connection) / AT_ONCE)
        try:
            for _ in range(looks):
                await self.look()
        except errors.NodeError as error:
            log.warning("watches_put_off", reason=str(error))

    async def look(self) -> None:
        """Ask about the transactions whose turn it is, and note the answers."""
        await watches.take_back_missed(self._connection)
        metrics.watches_pending.set(await watches.pending(self._connection))
        hashes = await watches.due(self._connection, AT_ONCE)
        if not hashes:
            return
        # Before the node is asked: what it says later is held against this.
        committed = await watches.committed(self._connection)
        node_source = self._node.source
        states = await transactions.states(node_source, hashes)
        times = {} if committed is None else await _held_blocks(node_source, states, committed)
        unknown = [state.transaction_hash for state in states if state.status is None]
        await watches.note_unknown(self._connection, unknown, self._drop_after_seconds)
        decided = [state for state in states if state.block_hash in times]
        known = [state for state in states if state.status and state.block_hash not in times]
        await watches.note_known(self._connection, known)
        for state in decided:
            assert committed is not None and state.block_hash is not None, "its block is held"
            await watches.settle(
                self._connection, state, times[state.block_hash], committed.reorg_id
            )


async def _held_blocks(
    node_source: source.Source,
    states: Sequence[types.TransactionState],
    committed: watches.Committed,
) -> dict[str, datetime.datetime]:
    """The times of those blocks of `states`, by hash, that the tables hold.

    They hold a block at or below the committed one if the node that has it is on their chain: if
    it has the committed block, too.
    """
    cursor_ = committed.cursor
    hash_by_number = {
        state.block_number: state.block_hash
        for state in states
        if state.block_number is not None and state.block_number <= cursor_.block_number
    }
    if not hash_by_number or cursor_.block_hash is None:
        return {}
    headers = {number: await node_source.header(number) for number in hash_by_number}
    # Asked last: a reorganisation before it is seen by it, one after it by the rollback.
    if not await ancestry.has_block(node_source, cursor_.block_number, cursor_.block_hash):
        return {}
    return {
        header.hash: datetime.datetime.fromtimestamp(header.timestamp, datetime.UTC)
        for number, header in headers.items()
        if header is not None and header.hash == hash_by_number[number]
    }
