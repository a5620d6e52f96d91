"""Compares a sample of the committed rows with the contracts' own views while the daemon runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable

import asyncpg
import structlog

from indexer import errors, metrics
from indexer.audit import reconcile, reconciliations, stored_state
from indexer.chain import client, rpc
from indexer.vesu import views

log = structlog.get_logger(__name__)

NAME = "reconcile"
"""The check's name in check_failures."""

ORIGIN = "run"
"""What its checks have in reconciliations.origin."""

PASSING = (
    errors.RetryableNodeError,
    errors.NothingCommittedError,
    errors.DatabaseUnavailableError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""Errors that pass by themselves: a lagging node, a reorganisation, no block yet, a lost or busy
connection. Any other one makes the health bad at once."""

Connect = Callable[[], contextlib.AbstractAsyncContextManager[asyncpg.Connection]]


class Reconciler:
    """Compares `rows` rows at the committed block with the contracts every `every_seconds`.

    So also where sessions and processes are shorter than that: the last check is in the database,
    and `began` is when the daemon began, by the monotonic clock.
    """

    def __init__(
        self,
        node: client.StarknetNode,
        connect: Connect,
        extensions: views.Extensions,
        every_seconds: float,
        rows: int,
        began: float,
    ) -> None:
        self._node = node
        self._connect = connect
        self._extensions = extensions
        self._every_seconds = every_seconds
        self._rows = rows
        self._began = began

    async def run(self, stopping: asyncio.Event) -> None:
        """Check until `stopping` is set; what the node cannot answer is left to the next time."""
        rpc.is_background.set(True)
        left = await self._left()
        while not stopping.is_set():
            try:
                await asyncio.wait_for(stopping.wait(), left)
            except TimeoutError:
                await self._look()
            left = self._every_seconds

    async def _left(self) -> float:
        """Seconds until the first check of this session is due."""
        async with self._connect() as connection:
            age = await reconciliations.age(connection, ORIGIN)
        if age is None:
            age = time.monotonic() - self._began
        return max(self._every_seconds - age, 0.0)

    async def _look(self) -> None:
        scope = stored_state.Scope(sample=self._rows, seed=secrets.token_hex(8))
        try:
            async with self._connect() as connection:
                reconciliation, equal = await reconcile.check(
                    connection, self._node, None, scope, self._extensions
                )
                metrics.reconciled_values.inc(reconciliation.compared)
                metrics.reconciled_differences.inc(len(reconciliation.differences))
                await reconciliations.store(connection, reconciliation, equal, ORIGIN)
                await reconciliations.note_done(connection, NAME)
                metrics.reconciled_standing.set(await reconciliations.standing(connection))
        except (errors.IndexerError, asyncpg.PostgresError) as error:
            await self._note_failure(error)
            return
        if reconciliation.differences:
            first = reconciliation.differences[0]
            log.error(
                "tables_differ",
                block=reconciliation.block_number,
                differences=len(reconciliation.differences),
                table=first.table,
                row=first.row_id,
                column=first.column,
                ours=first.ours,
                theirs=first.theirs,
            )

    async def _note_failure(self, error: Exception) -> None:
        """Remember that the check could not be done, where the database takes it."""
        may_pass = isinstance(error, PASSING)
        metrics.reconciliations_failed.inc()
        log.log(
            logging.WARNING if may_pass else logging.ERROR, "reconcile_not_done", reason=str(error)
        )
        try:
            async with self._connect() as connection:
                await reconciliations.note_failure(
                    connection, NAME, f"{type(error).__name__}: {error}", may_pass=may_pass
                )
        except (errors.IndexerError, asyncpg.PostgresError) as second:
            # The writer has the same database: if this does not pass, the indexing stops.
            log.warning("reconcile_failure_not_stored", reason=str(second))
