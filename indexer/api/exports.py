"""/v1/export/{table}: whole tables as CSV or NDJSON, out of one snapshot.

The rows go into a temporary file first, inside the snapshot, and to the reader from there: a slow
reader holds no connection of the database.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import IO, Any

import asyncpg
import litestar
from litestar import response

from indexer import errors
from indexer.api import answering, queries
from indexer.query import export, kinds

TABLES = (
    *("blocks", "events", "receipts", "observations", "reorgs", "orphaned_events"),
    *("vesu_pools", "vesu_assets", "vesu_positions", "vesu_transactions", "vesu_liquidations"),
    *("vesu_pool_history", "vesu_asset_history", "vesu_position_history"),
)
"""The tables that can be exported: chain data and what is derived from it."""

TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
AT_ONCE = 2
PIECE = 65_536
MOST_BYTES = 512 * 1024 * 1024

PARAMETERS = (
    queries.Parameter("format", "text", "How rows are written.", "ndjson", values=tuple(TYPES)),
    queries.Parameter("pool", "felt", "Only this pool's rows.", "0x1"),
    queries.Parameter("from_block", "block", "Rows from this block on.", "1"),
    queries.Parameter("to_block", "block", "Rows up to this block.", "90"),
    queries.Parameter("at_block", "block", "A state table as it was at this block.", "90"),
)
TABLE = queries.Parameter("table", "text", "Table.", "vesu_transactions", values=TABLES)


class Exporter:
    """Exports tables, a few at once."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._in_hand = 0

    async def answer(self, request: litestar.Request[Any, Any, Any]) -> response.Stream:
        """The file; QuestionError for what cannot be exported, BusyError when busy."""
        query_values = queries.split(request.scope["query_string"].decode("latin-1"))
        queries.check_known(query_values, [parameter.name for parameter in PARAMETERS])
        parameters = {
            parameter.name: parameter.parse(query_values[parameter.name])
            for parameter in PARAMETERS
            if parameter.name in query_values
        }
        table = request.path_params["table"]
        if table not in TABLES:
            raise errors.NotFoundError(
                f"there is no table {table[:80]!r} to export; there are {', '.join(TABLES)}",
                parameter="table",
            )
        if self._in_hand >= AT_ONCE:
            raise errors.BusyError("too many exports are in hand already")
        self._in_hand += 1
        try:
            form = parameters.pop("format", "ndjson")
            file, snapshot = await self._written(table, form, export.Filters(**parameters))
        finally:
            self._in_hand -= 1
        return response.Stream(
            _pieces(file),
            media_type=TYPES[form],
            headers={
                "x-vesu-block": str(snapshot.block_number),
                "x-vesu-block-hash": kinds.felt(snapshot.block_hash, "block_hash"),
                "cache-control": "no-cache",
                "content-disposition": f'attachment; filename="{table}.{form}"',
            },
        )

    async def _written(
        self, table: str, form: Any, filters: export.Filters
    ) -> tuple[IO[bytes], export.Snapshot]:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is sent
        written = 0

        def write(data: bytes) -> None:
            nonlocal written
            written += len(data)
            if written > MOST_BYTES:
                raise errors.QuestionError(
                    f"the export is larger than {MOST_BYTES} bytes: take fewer blocks, or use "
                    "`vesu-indexer export`",
                    parameter="to_block",
                )
            file.write(data)

        try:
            async with (
                self._pool.acquire(timeout=answering.ACQUIRE_SECONDS) as connection,
                export.selection(connection, table, filters) as selected,
            ):
                await export.copy(connection, selected, form, write)
                file.seek(0)
                return file, selected.snapshot
        except BaseException:
            file.close()
            raise


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
