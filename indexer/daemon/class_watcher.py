"""Asks the node for the classes of factories, pools, oracles, singletons and extensions.

Beside the ingestor: a class that this release does not know marks its pools, and nothing waits.
"""

from __future__ import annotations

import asyncio

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

    async def run(self, stopping: asyncio.Event) -> None:
        """Check again and again until `stopping` is set."""
        rpc.is_background.set(True)
        while not stopping.is_set():
            pause = LOOK_SECONDS
            try:
                await self.look()
            except errors.NodeError as error:
                log.warning("classes_not_checked", reason=str(error))
                pause = PAUSE_SECONDS
            try:
                await asyncio.wait_for(stopping.wait(), pause)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Ask for every class that is due; NodeError where the node cannot tell one."""
        for contract in await contract_classes.due(self._connection, MAX_AGE_SECONDS):
            found = await self._node.class_hash(int(contract.address, 16))
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
        # A commit that began before an answer was stored wrote its rows without it.
        await contract_classes.settle(self._connection)
        unknown = await contract_classes.read_unknown(self._connection)
        metrics.unknown_classes.set(len(unknown))
