"""The shadow: all projections built again beside the live ones, while the daemon goes on.

The same engine writes them: on a connection whose search path begins with the schema
`vesu_shadow`, the tables of the projections are found there and the log where it always is.
The shadow has a cursor of its own, so a killed build goes on where it was, and a
reorganisation of the chain is followed. Swapping applies the differences to the live tables in
one transaction: no table is renamed, so readers, their rights and their views notice nothing
but the new rows.
"""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import msgspec

from indexer import errors
from indexer.log import cursor, facts
from indexer.projections import engine as engines
from indexer.projections import replay
from indexer.store import sqlfile

SCHEMA = "vesu_shadow"

TABLES: dict[str, tuple[str, ...]] = {
    "contracts": ("address", "kind"),
    "contract_history": ("address", "kind", "block_number", "transaction_index", "event_index"),
    "vesu_pools": ("pool_id", "id"),
    "vesu_assets": ("pool_id", "id"),
    "vesu_positions": ("pool_id", "id"),
    "vesu_pool_history": ("pool_id", "id", "block_number", "transaction_index", "event_index"),
    "vesu_asset_history": ("pool_id", "id", "block_number", "transaction_index", "event_index"),
    "vesu_position_history": ("pool_id", "id", "block_number", "transaction_index", "event_index"),
    "vesu_transactions": ("pool_id", "id"),
    "vesu_liquidations": ("pool_id", "id"),
    "accrual_mismatches": ("pool_id", "id"),
}
"""The projections with their primary keys, parents before children."""

SWAP_ATTEMPTS = 20

Report = Callable[[replay.Progress], None]


class Position(msgspec.Struct, frozen=True):
    """How far the shadow is, and the block that the live tables stand at."""

    block: int
    committed: int


class Shadow:
    """One shadow build. `connection` is the shadow's own; nobody else may use it."""

    def __init__(self, connection: asyncpg.Connection, engine: engines.Engine) -> None:
        self._connection = connection
        self._engine = engine
        self._statements = sqlfile.load("shadow")
        self.live = ""

    async def open(self, from_block: int) -> None:
        """Take up a shadow that a kill left, or begin one from the live rows below `from_block`."""
        self.live = await self._connection.fetchval("SELECT current_schema()")
        stands = await cursor.read(self._connection)
        if stands is None or stands.block_hash is None:
            raise errors.ConfigError("there is nothing to replay: the log is empty")
        if not await self._is_usable():
            await self._create(max(from_block, stands.start_block))
        await self._connection.execute(f'SET search_path = {SCHEMA}, "{self.live}"')
        await self._engine.load(self._connection)

    async def _is_usable(self) -> bool:
        if not await self._connection.fetchval(self._statements["exists"]):
            return False
        row = await self._connection.fetchrow(self._statements["progress"])
        return row is not None and row["fold_version"] == engines.FOLD_VERSION

    async def _create(self, from_block: int) -> None:
        """The shadow's tables hold the live rows, rolled back to the block before."""
        async with self._connection.transaction(isolation="repeatable_read"):
            await self._connection.execute(self._statements["drop"])
            await self._connection.execute(self._statements["create_schema"])
            await self._connection.execute(self._statements["create_progress"])
            for table in TABLES:
                live = f'"{self.live}".{table}'
                await self._connection.execute(
                    f"CREATE TABLE {SCHEMA}.{table} (LIKE {live} INCLUDING ALL)"
                )
                await self._connection.execute(
                    f"INSERT INTO {SCHEMA}.{table} SELECT * FROM {live}"  # noqa: S608
                )
            await self._connection.execute(f'SET LOCAL search_path = {SCHEMA}, "{self.live}"')
            await self._engine.rollback(self._connection, from_block - 1)
            await self._connection.execute(
                self._statements["begin_progress"], from_block - 1, engines.FOLD_VERSION
            )

    async def catch_up(self, report: Report) -> Position:
        """Fold the log up to the committed block; one transaction a batch."""
        await self._follow_reorgs()
        stands = await cursor.read(self._connection)
        row = await self._connection.fetchrow(self._statements["progress"])
        assert stands is not None and row is not None, "open() made sure of both"
        first, last, events = row["block_number"] + 1, stands.block_number, 0
        async for batch in facts.read_batches(self._connection, first, last, replay.BATCH_EVENTS):
            await self._fold(batch, revalue=batch.to_block == last)
            events += len(batch.events)
            report(replay.Progress(first, batch.to_block, last, events))
        return Position(max(last, row["block_number"]), last)

    async def _follow_reorgs(self) -> None:
        row = await self._connection.fetchrow(self._statements["progress"])
        if row is None or row["ancestor_number"] is None:
            return
        async with self._connection.transaction():
            if row["ancestor_number"] < row["block_number"]:
                await self._engine.rollback(self._connection, row["ancestor_number"])
            await self._connection.execute(
                self._statements["take_back"], row["ancestor_number"], row["newest_reorg"]
            )

    async def _fold(self, batch: facts.Batch, revalue: bool) -> None:
        prepared = await self._engine.prepare_logged(self._connection, batch)
        async with self._connection.transaction():
            await self._engine.project(self._connection, prepared, revalue=revalue)
            await self._connection.execute(self._statements["move"], batch.to_block)

    async def swap(self, report: Report) -> int:
        """Put the shadow live in one transaction; returns the number of rows that changed.

        The writer waits meanwhile; readers do not. Refuses where the writer is always ahead.
        """
        for _ in range(SWAP_ATTEMPTS):
            await self.catch_up(report)
            async with self._connection.transaction():
                committed = await self._connection.fetchval(self._statements["lock_cursor"])
                row = await self._connection.fetchrow(self._statements["progress"])
                assert row is not None  # catch_up has just written it
                if row["block_number"] == committed and row["ancestor_number"] is None:
                    changed = await self._apply()
                    await self._connection.execute(
                        self._statements["replaced"], engines.FOLD_VERSION
                    )
                    await self._connection.execute(self._statements["drop"])
                    return changed
        raise errors.WriterConflictError(
            "the daemon commits faster than the shadow catches up: not swapped, try again"
        )

    async def _apply(self) -> int:
        """Make the live tables what the shadow holds, touching only rows that differ."""
        changed = 0
        for table in reversed(TABLES):
            changed += _count(await self._connection.execute(self._delete(table)))
        for table in TABLES:
            columns = [
                row["attname"]
                for row in await self._connection.fetch(
                    self._statements["columns"], f'"{self.live}".{table}'
                )
            ]
            changed += _count(await self._connection.execute(self._upsert(table, columns)))
        return changed

    def _delete(self, table: str) -> str:
        live, key = f'"{self.live}".{table}', ", ".join(TABLES[table])
        return (
            f"DELETE FROM {live} WHERE ({key}) IN "  # noqa: S608
            f"(SELECT {key} FROM {live} EXCEPT SELECT {key} FROM {SCHEMA}.{table})"
        )

    def _upsert(self, table: str, columns: list[str]) -> str:
        live, key = f'"{self.live}".{table}', ", ".join(TABLES[table])
        names = ", ".join(columns)
        excluded = ", ".join(f"excluded.{column}" for column in columns)
        return (
            f"INSERT INTO {live} ({names}) "  # noqa: S608
            f"SELECT {names} FROM {SCHEMA}.{table} EXCEPT SELECT {names} FROM {live} "
            f"ON CONFLICT ({key}) DO UPDATE SET ({names}) = ROW({excluded})"
        )

    async def drop(self) -> None:
        """Remove the shadow."""
        await self._connection.execute(self._statements["drop"])


def _count(status: str) -> int:
    return int(status.split()[-1])
