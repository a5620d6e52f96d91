"""What the daemon does beside following the chain: sample prices, check rows by sample."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import asyncpg
import structlog

from indexer import errors
from indexer.api import metrics
from indexer.audit import held, reconcile, reconciliations
from indexer.chain import client, rpc, types
from indexer.log import observations
from indexer.projections import engine as engines
from indexer.vesu import views

log = structlog.get_logger(__name__)

Connect = Callable[[], contextlib.AbstractAsyncContextManager[asyncpg.Connection]]


async def due_prices(
    connection: asyncpg.Connection,
    engine: engines.Engine,
    tip: types.BlockHeader,
    sample_seconds: int,
) -> list[observations.View]:
    """The prices to read at the state after `tip`; none before `sample_seconds` are over.

    The chain's own time decides, so that a restart neither samples twice nor skips.
    0 seconds: never.
    """
    if not sample_seconds:
        return []
    last = await observations.last_time(connection, views.PRICE.name)
    if last is not None and tip.timestamp - last < sample_seconds:
        return []
    return engine.sampled(tip.number, tip.hash)


class Watch:
    """Every so often, a sample of the rows at the committed block against the contracts."""

    def __init__(
        self,
        node: client.StarknetNode,
        connect: Connect,
        extensions: views.Extensions,
        every_seconds: float,
        rows: int,
    ) -> None:
        self._node = node
        self._connect = connect
        self._extensions = extensions
        self._every_seconds = every_seconds
        self._rows = rows

    async def run(self, stopping: asyncio.Event) -> None:
        """Check until `stopping` is set; what the node cannot answer is left to the next time."""
        rpc.is_beside.set(True)
        while not stopping.is_set():
            try:
                await asyncio.wait_for(stopping.wait(), self._every_seconds)
            except TimeoutError:
                await self._look()

    async def _look(self) -> None:
        scope = held.Scope(sample=self._rows, seed=secrets.token_hex(8))
        try:
            async with self._connect() as connection:
                found, equal = await reconcile.check(
                    connection, self._node, None, scope, self._extensions
                )
                metrics.reconciled_values.inc(found.compared)
                metrics.reconciled_differences.inc(len(found.differences))
                await reconciliations.store(connection, found, equal, origin="run")
                metrics.reconciled_standing.set(await reconciliations.standing(connection))
        except (errors.IndexerError, asyncpg.PostgresError) as error:
            # A reorganisation, a lagging node, no block yet, a busy database: nothing is known
            # by it, and what matters of it stops the indexing itself.
            metrics.reconciliations_failed.inc()
            log.warning("reconcile_not_done", reason=str(error))
            return
        if found.differences:
            first = found.differences[0]
            log.error(
                "tables_differ",
                block=found.block_number,
                differences=len(found.differences),
                table=first.table,
                row=first.row_id,
                column=first.column,
                ours=first.ours,
                theirs=first.theirs,
            )
