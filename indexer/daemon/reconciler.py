"""Compares a sample of the committed rows with the contracts' own views while the daemon runs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import asyncpg
import structlog

from indexer import errors, metrics
from indexer.audit import held, reconcile, reconciliations
from indexer.chain import client, rpc
from indexer.vesu import views

log = structlog.get_logger(__name__)

Connect = Callable[[], contextlib.AbstractAsyncContextManager[asyncpg.Connection]]


class Reconciler:
    """Compares `rows` rows at the committed block with the contracts every `every_seconds`."""

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
        rpc.is_background.set(True)
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
