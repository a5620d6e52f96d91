"""Rows of the projections' tables in PostgreSQL: written, read, and taken back to a block."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from indexer.projections import rows, statements, tables
from indexer.store import copying, sqlfile, statement_pipeline

_SQL = sqlfile.load(__package__, "storage")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Key = tuple[Any, ...]
"""The key of a current row, in the order of its description."""

STAGED = "staged_rows"

STAGED_FROM = 200
"""Rows from which a table for them is worth its creation: JSON takes the server four times as long
a row."""

ROWS_AT_ONCE = 5_000
"""The most rows that are in memory at once."""


async def upsert(
    pipeline: statement_pipeline.StatementPipeline,
    table: tables.Table,
    records: Iterable[dict[str, Any]],
) -> None:
    """Write current rows."""
    records = iter(records)
    while some := list(itertools.islice(records, ROWS_AT_ONCE)):
        if len(some) < STAGED_FROM:
            await _run_with_document(pipeline, "upsert", table, some)
        else:
            lines = "".join(copying.line(record.values()) for record in some).encode()
            await upsert_encoded(pipeline, table, tuple(some[0]), [lines])


async def upsert_encoded(
    pipeline: statement_pipeline.StatementPipeline,
    table: tables.Table,
    columns: tuple[str, ...],
    parts: Sequence[bytes],
) -> None:
    """The same of many rows that are lines of COPY already, with these columns."""
    await pipeline.run(functools.partial(_upsert_staged, table=table, columns=columns, parts=parts))


async def _upsert_staged(
    connection: Connection, table: tables.Table, columns: tuple[str, ...], parts: Sequence[bytes]
) -> None:
    await connection.execute(statements.fill(_SQL["stage"], table))
    await copying.copy(connection, STAGED, columns, parts, schema="pg_temp")
    await connection.execute(statements.fill(_SQL["upsert_staged"], table))
    await connection.execute(_SQL["drop_staged"])


async def add(
    pipeline: statement_pipeline.StatementPipeline,
    table: tables.Table,
    records: Sequence[Mapping[str, Any]],
) -> None:
    """Write rows whose keys are made of their values; one that is there stays."""
    if records:
        await _run_with_document(pipeline, "add", table, records)


async def _run_with_document(
    pipeline: statement_pipeline.StatementPipeline,
    name: str,
    table: tables.Table,
    records: Sequence[Mapping[str, Any]],
) -> None:
    statement, document = statements.fill(_SQL[name], table), rows.encode(records).decode()
    await pipeline.run(lambda connection: connection.execute(statement, document))


async def append(
    pipeline: statement_pipeline.StatementPipeline,
    table: tables.Table,
    records: Sequence[dict[str, Any]],
) -> None:
    """Add rows, all with the stored columns or fewer, to a table that only grows."""
    if records:
        lines = "".join(copying.line(record.values()) for record in records).encode()
        columns = tuple(records[0])
        await pipeline.run(lambda connection: append_encoded(connection, table, columns, [lines]))


async def append_encoded(
    connection: Connection, table: tables.Table, columns: tuple[str, ...], parts: Sequence[bytes]
) -> None:
    """The same of rows that are lines of COPY already, with these columns."""
    # COPY takes the server a third of the time that rows in JSON take it.
    if parts:
        await copying.copy(connection, table.stored_name, columns, parts)


async def load(connection: Connection, table: tables.Table) -> list[asyncpg.Record]:
    """All current rows, with the state columns of their history."""
    return list(await connection.fetch(statements.fill(_SQL["load"], table)))


async def load_rows(
    connection: Connection, table: tables.Table, keys: Collection[Key]
) -> list[asyncpg.Record]:
    """The current rows of these keys, with the state columns of their history."""
    return await _of_keys(connection, "load_rows", table, keys)


async def versions(
    connection: Connection, table: tables.Table, keys: Collection[Key], block: int
) -> list[asyncpg.Record]:
    """The newest version of each of these rows up to a block."""
    return await _of_keys(connection, "versions", table, keys, block)


async def versions_of_pools(
    connection: Connection, table: tables.Table, block: int, pool_ids: Collection[str] | None
) -> list[asyncpg.Record]:
    """The newest version up to a block of each row of these pools; None: of all pools."""
    statement = statements.fill(_SQL["versions_of_pools"], table)
    ids = None if pool_ids is None else list(pool_ids)
    return list(await connection.fetch(statement, block, ids))


async def versions_of_all(
    connection: Connection, table: tables.Table, block: int
) -> list[asyncpg.Record]:
    """The newest version up to a block of every row, also where no current row is left."""
    return list(await connection.fetch(statements.fill(_SQL["versions_of_all"], table), block))


async def versions_without_row(connection: Connection, table: tables.Table) -> list[str]:
    """The ids of versions whose current row is gone, of a table whose history is a view."""
    rows = await connection.fetch(statements.fill(_SQL["versions_without_row"], table))
    return [str(row["id"]) for row in rows]


async def drop_versions(connection: Connection, table: tables.Table, block: int) -> set[Key]:
    """Delete the versions above a block; returns the keys of the rows that they belonged to."""
    rows = await connection.fetch(statements.fill(_SQL["drop_versions"], table), block)
    return {tuple(row.values()) for row in rows}


async def delete_rows(connection: Connection, table: tables.Table, keys: Collection[Key]) -> None:
    """Delete the current rows of these keys."""
    if keys:
        await _of_keys(connection, "delete_rows", table, keys)


async def drop_appended(connection: Connection, table: tables.Table, block: int) -> None:
    """Delete what one event each did above a block."""
    await connection.execute(statements.fill(_SQL["drop_appended"], table), block)


async def _of_keys(
    connection: Connection, name: str, table: tables.Table, keys: Collection[Key], *args: object
) -> list[asyncpg.Record]:
    if not keys:
        return []
    arrays = [list(column) for column in zip(*keys, strict=True)]
    return list(await connection.fetch(statements.fill(_SQL[name], table), *arrays, *args))


async def first_position(connection: Connection, holder: int) -> int | None:
    """The first block in which an address holds a position; None: it never did."""
    block: int | None = await connection.fetchval(_SQL["first_position"], rows.padded(holder))
    return block
