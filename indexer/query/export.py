"""Exports the rows of a table as CSV, NDJSON or record batches, from one snapshot.

The rows are made in PostgreSQL, which writes every number exactly; nothing passes through float.
They come in a fixed order (by event where rows have one, else by primary key), so that equal
tables give equal files.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

import asyncpg
import msgspec

from indexer import errors
from indexer.projections import tables
from indexer.store import database, sqlfile

_SQL = sqlfile.load(__package__, "export")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

HISTORIES = {table.name: table.past.name for table in tables.CURRENT}
"""Tables whose history holds their state at any past block."""

KEYS = {table.name: table.key for table in (*tables.PROJECTIONS, tables.EVENT_PRICES)}
"""What tells the rows of a table or view apart; a view has no primary key that says so."""


UNUSED_QUOTE, UNUSED_DELIMITER = "\x01", "\x02"
"""JSON text never holds these bytes, so COPY in CSV form writes it as it is."""


class Filters(msgspec.Struct, frozen=True):
    """Which rows. Blocks are inclusive; `pool` is a pool id or address, 0x and 64 hex digits.

    `at_block`: the state at that block, from the history of a state table.
    """

    pool: str | None = None
    from_block: int | None = None
    to_block: int | None = None
    at_block: int | None = None


class Column(msgspec.Struct, frozen=True):
    """A column: its PostgreSQL type as declared, and that type's category."""

    name: str
    type: str
    category: str
    is_collated: bool


class Snapshot(msgspec.Struct, frozen=True):
    """The block that the exported rows are true for, and where the database stood."""

    chain_id: str
    block_number: int
    block_hash: str
    block_timestamp: datetime.datetime
    committed_block: int
    fork_counter: int
    fold_version: int


class Selection(msgspec.Struct, frozen=True):
    """What to read: `source` is SQL that yields the filtered rows, `args` its parameters."""

    table: str
    columns: tuple[Column, ...]
    source: str
    order: str
    args: tuple[object, ...]
    rows: int
    snapshot: Snapshot


@contextlib.asynccontextmanager
async def selection(
    connection: Connection, table: str, filters: Filters
) -> AsyncIterator[Selection]:
    """The rows to export, held in one snapshot while inside.

    QuestionError: no such table, a filter that the table has no column for, or a block that is not
    committed.
    """
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    try:
        # What COPY writes depends on these; a role or database may have set them otherwise.
        for setting in ("timezone = 'UTC'", "datestyle = 'ISO'", "extra_float_digits = 1"):
            await connection.execute(f"SET LOCAL {setting}")
        await _require_table(connection, table)
        snapshot = await _snapshot(connection, filters)
        yield await _select(connection, table, filters, snapshot)
    except BaseException:
        # A COPY that is broken off is cancelled, which may close the connection. The error to raise
        # is what broke it off, and not that a closed connection takes no ROLLBACK.
        with contextlib.suppress(*database.CONNECTION_ERRORS):
            await transaction.rollback()
        raise
    await transaction.commit()


async def copy(
    connection: Connection,
    selected: Selection,
    format_: Literal["csv", "ndjson"],
    write: Callable[[bytes], None],
) -> int:
    """Stream the rows as text; returns their number. Memory does not grow with it."""

    async def sink(data: bytes) -> None:
        write(data)

    if format_ == "csv":
        columns = ", ".join(f"{_csv(column)} AS {_quoted(column)}" for column in selected.columns)
        query = f"SELECT {columns} FROM {selected.source} ORDER BY {selected.order}"  # noqa: S608
        options: dict[str, Any] = {"format": "csv", "header": True}
    else:
        columns = ", ".join(f"{_json(column)} AS {_quoted(column)}" for column in selected.columns)
        query = (
            f"SELECT row_to_json(exported)::text FROM (SELECT {columns} "  # noqa: S608
            f"FROM {selected.source} ORDER BY {selected.order}) AS exported"
        )
        options = {"format": "csv", "quote": UNUSED_QUOTE, "delimiter": UNUSED_DELIMITER}
    status: str = await connection.copy_from_query(query, *selected.args, output=sink, **options)
    return int(status.split()[-1])


async def batches(
    connection: Connection, selected: Selection, as_text: Callable[[Column], bool], size: int
) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """The rows through a server-side cursor, `size` at a time; some columns as exact text."""
    columns = ", ".join(
        f"source.{_quoted(column)}{'::text' if as_text(column) else ''} AS {_quoted(column)}"
        for column in selected.columns
    )
    query = f"SELECT {columns} FROM {selected.source} ORDER BY {selected.order}"  # noqa: S608
    cursor = await connection.cursor(query, *selected.args)
    while rows := await cursor.fetch(size):
        yield rows


# --- what is asked for --------------------------------------------------------------------------


async def _require_table(connection: Connection, table: str) -> None:
    known = [row["name"] for row in await connection.fetch(_SQL["relations"])]
    if table not in known:
        raise errors.NotFoundError(f"there is no table {table}; there are {', '.join(known)}")


async def _snapshot(connection: Connection, filters: Filters) -> Snapshot:
    row = await connection.fetchrow(_SQL["stands"])
    if row is None:
        raise errors.NothingCommittedError("there is nothing to export: no block is committed yet")
    snapshot = Snapshot(committed_block=row["block_number"], **dict(row))
    at_block = filters.at_block
    if at_block is None:
        return snapshot
    if at_block > snapshot.block_number:
        raise errors.NotCommittedError(
            f"block {at_block} is above the committed block {snapshot.block_number}",
            parameter="at_block",
        )
    block = await connection.fetchrow(_SQL["block"], at_block)
    if block is None:
        raise errors.NotFoundError(f"block {at_block} is below the first block of this database")
    return msgspec.structs.replace(
        snapshot,
        block_number=block["number"],
        block_hash=block["hash"],
        block_timestamp=block["timestamp"],
    )


async def _select(
    connection: Connection, table: str, filters: Filters, snapshot: Snapshot
) -> Selection:
    at_state = filters.at_block is not None and table in HISTORIES
    read = HISTORIES[table] if at_state else table
    columns = tuple(Column(**dict(row)) for row in await connection.fetch(_SQL["columns"], read))
    key = [row["name"] for row in await connection.fetch(_SQL["primary_key"], table)]
    key = key or list(KEYS.get(table, ()))
    conditions, args = _conditions(table, {column.name for column in columns}, filters)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    inner = f"SELECT * FROM {sqlfile.quoted(read)}{where}"  # noqa: S608
    if at_state:
        names = ", ".join(map(sqlfile.quoted, key))
        newest = ", ".join(f"{column} DESC" for column in tables.EVENT)
        inner = (
            f"SELECT DISTINCT ON ({names}) * FROM {sqlfile.quoted(read)}{where} "  # noqa: S608
            f"ORDER BY {names}, {newest}"
        )
    source = f"({inner}) AS source"
    rows = await connection.fetchval(f"SELECT count(*) FROM {source}", *args)  # noqa: S608
    order = _order(columns, key, by_event=not at_state)
    return Selection(table, columns, source, order, args, rows, snapshot)


def _conditions(
    table: str, columns: set[str], filters: Filters
) -> tuple[list[str], tuple[object, ...]]:
    conditions: list[str] = []
    args: list[object] = []
    if filters.pool is not None:
        args.append(filters.pool)
        pools = [name for name in ("pool_id", "pool_address") if name in columns]
        if not pools:
            raise errors.QuestionError(f"--pool: {table} has no column of a pool")
        conditions.append(f"({' OR '.join(f'{name} = ${len(args)}' for name in pools)})")
    block = next((name for name in ("block_number", "number") if name in columns), None)
    upper = filters.to_block if filters.at_block is None else filters.at_block
    for value, sign in ((filters.from_block, ">="), (upper, "<=")):
        if value is not None:
            if block is None:
                raise errors.QuestionError(f"{table} has no column of a block to filter by")
            args.append(value)
            conditions.append(f"{block} {sign} ${len(args)}")
    return conditions, tuple(args)


def _order(columns: Sequence[Column], key: Sequence[str], *, by_event: bool) -> str:
    """Order by event if the rows have one, then by key, or where none is known all columns."""
    collated = {column.name: column.is_collated for column in columns}
    first = [name for name in tables.EVENT if by_event and name in collated]
    names = list(dict.fromkeys([*first, *(key or collated)]))
    # The bytes decide, not the database's language: equal tables give equal files.
    return ", ".join(
        sqlfile.quoted(name) + (' COLLATE "C"' if collated[name] else "") for name in names
    )


# --- how a value is written ---------------------------------------------------------------------


def _csv(column: Column) -> str:
    """Timestamps in ISO 8601, arrays as JSON, booleans as words; numbers are exact as they are."""
    name = f"source.{_quoted(column)}"
    if column.type.startswith("timestamp"):
        return f"to_json({name}) #>> '{{}}'"
    if column.category == "A":
        return f"to_json({name})::text"
    return f"{name}::text" if column.type == "boolean" else name


def _json(column: Column) -> str:
    """Exact decimals as strings: most readers of JSON take numbers for floats."""
    name = f"source.{_quoted(column)}"
    return f"{name}::text" if column.type.startswith("numeric") else name


def _quoted(column: Column) -> str:
    return sqlfile.quoted(column.name)
