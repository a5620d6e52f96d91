"""Asks the node for the classes of factories, pools, oracles, singletons and extensions.

Beside the ingestor: a class that this release does not know marks its pools, and nothing waits.
"""

from __future__ import annotations

import asyncio
import time

import asyncpg
import structlog

from indexer import errors, metrics
from indexer.chain import client, rpc
from indexer.projections import contract_classes

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""How often it is looked whether a contract is new or was upgraded."""

MAX_AGE_SECONDS = 86_400.0
"""How old an answer may be: a class may be replaced without an event."""

PAUSE_SECONDS = 60.0
"""How long a node that could not tell is left alone."""


class ClassWatcher:
    """Keeps contract_classes as the node has them at the head."""

    def __init__(self, node: client.StarknetNode, connection: asyncpg.Connection) -> None:
        self._node = node
        self._connection = connection
        self._failed: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Check again and again until `stopping` is set."""
        rpc.is_background.set(True)
        ask_at = time.monotonic()
        while not stopping.is_set():
            await self.mark()
            if time.monotonic() >= ask_at:
                try:
                    await self.ask()
                except errors.NodeError as error:
                    log.warning("classes_not_checked", reason=str(error))
                    ask_at = time.monotonic() + PAUSE_SECONDS
            try:
                await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    async def mark(self) -> None:
        """Mark pools by the stored answers.

        A commit that began before an answer was stored wrote its rows without it.
        """
        await contract_classes.settle(self._connection)
        unknown = await contract_classes.read_unknown(self._connection)
        metrics.unknown_classes.set(len(unknown))

    async def ask(self) -> None:
        """Ask for every class that is due; NodeError where the node cannot tell one.

        Contracts that it could not tell before come last: one of them keeps no other from its turn.
        """
        due = await contract_classes.due(self._connection, MAX_AGE_SECONDS)
        for contract in sorted(due, key=lambda contract: contract.address in self._failed):
            try:
                found = await self._node.class_hash(int(contract.address, 16))
            except errors.NodeError:
                self._failed.add(contract.address)
                raise
            self._failed.discard(contract.address)
            if found is None:
                continue  # named a moment ago, and this node does not hold that block yet
            name = await contract_classes.note(self._connection, contract, found)
            if name is None:
                log.warning(
                    "unknown_class",
                    contract=contract.address,
                    kind=contract.kind,
                    class_hash=hex(found),
                )
