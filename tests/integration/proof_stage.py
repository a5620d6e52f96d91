"""A filled database and its node, to prove the stored blocks against the chain again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from indexer.audit import log_verification, proof_batches
from indexer.chain import client
from indexer.log import verified
from tests.integration import chain_stage, daemon_stage


@contextlib.asynccontextmanager
async def filled(last: int) -> AsyncIterator[tuple[client.StarknetNode, asyncpg.Connection]]:
    """The node, at block `last`, and a connection to a database that was filled up to it."""
    head = daemon_stage.Playhead.at_block(daemon_stage.recording(), last)
    async with (
        daemon_stage.filled(head, last) as url,
        daemon_stage.serving(head) as node,
        chain_stage.connected(node.url) as connected,
    ):
        connection = await asyncpg.connect(url)
        try:
            yield connected, connection
        finally:
            await connection.close()


async def sweep(
    node: client.StarknetNode, connection: asyncpg.Connection, last: int
) -> list[log_verification.VerifiedBatch]:
    """Prove every block up to `last`."""
    factory = daemon_stage.recording().manifest["contracts"]["pool_factory"]["address"]
    proving = log_verification.sweep(
        node,
        connection,
        [int(factory, 16)],
        await log_verification.committed(connection),
        proof_batches.of_spans([verified.Span(0, last)]),
    )
    return [outcome async for outcome in proving]
