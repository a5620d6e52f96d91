"""Rows as COPY takes them, in its text format or, for rows of bytes, in its binary one.

Text costs this process a third of asyncpg's binary format, which looks at each element of an
array several times.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

import asyncpg

from indexer.store import statement_pipeline, turns

ROWS_AT_ONCE = 200
"""Rows between two turns of other tasks: they take a millisecond or two."""

_NULL = r"\N"

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""The signature, no flags and no extension."""

_BINARY_END = b"\xff\xff"

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


def line(values: Collection[Any]) -> str:
    """One row; None is NULL, everything else goes as its text."""
    texts: list[str] = []
    nulls = 0
    for value in values:
        if value is None:
            nulls += 1
            texts.append(_NULL)
        else:
            texts.append(value if value.__class__ is str else str(value))
    found = "\t".join(texts)
    # Nearly no row holds anything to escape: four looks at the whole row find that out.
    if (
        found.count("\\") == nulls
        and found.count("\t") == len(texts) - 1
        and "\n" not in found
        and "\r" not in found
    ):
        return found + "\n"
    fields = zip(values, texts, strict=True)
    escaped = [text if value is None else text.translate(_ESCAPES) for value, text in fields]
    return "\t".join(escaped) + "\n"


def field(value: str | None) -> str:
    """One value of a line; None is NULL."""
    return _NULL if value is None else value.translate(_ESCAPES)


@functools.cache
def _template(fields: int) -> str:
    return "\t".join(["%s"] * fields) + "\n"


def plain_line(values: tuple[Any, ...]) -> str:
    """As `line`, of values that need no escape: numbers, ids, hex, times, and texts by `field`."""
    found = _template(len(values)) % values
    # Few rows hold a NULL, and a text that says None only costs the second look.
    if "None" not in found:
        return found
    return _template(len(values)) % tuple(_NULL if value is None else value for value in values)


class Parts:
    """Encoded rows, a hundred or so at a time, which `copy` takes while more are made."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def fill(self, rows: Iterable[bytes]) -> None:
        """Add all rows that there are."""
        rows = iter(rows)
        with turns.first():
            while part := list(itertools.islice(rows, ROWS_AT_ONCE)):
                self._queue.put_nowait(b"".join(part))
                await asyncio.sleep(0)
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._queue.get()) is not None:
            yield part


async def copy(
    connection: Connection,
    table: str,
    columns: Iterable[str],
    parts: Parts,
    *,
    schema: str | None = None,
    is_binary: bool = False,
) -> None:
    """Add rows to a table."""
    await connection.copy_to_table(
        table,
        source=parts,
        columns=list(columns),
        schema_name=schema,
        format="binary" if is_binary else "text",
    )


async def append(
    pipeline: statement_pipeline.StatementPipeline,
    table: str,
    columns: Iterable[str],
    lines: Iterable[str],
) -> None:
    """Add rows, as `line` writes them, to a table as a step of a pipeline."""
    await _append(pipeline, table, columns, map(str.encode, lines), is_binary=False)


async def append_binary(
    pipeline: statement_pipeline.StatementPipeline,
    table: str,
    columns: Iterable[str],
    rows: Iterable[bytes],
) -> None:
    """The same in COPY's binary format: number of fields, and of each its length and its bytes."""
    framed = itertools.chain([_BINARY_HEADER], rows, [_BINARY_END])
    await _append(pipeline, table, columns, framed, is_binary=True)


async def _append(
    pipeline: statement_pipeline.StatementPipeline,
    table: str,
    columns: Iterable[str],
    rows: Iterable[bytes],
    *,
    is_binary: bool,
) -> None:
    parts = Parts()
    await pipeline.run(
        functools.partial(copy, table=table, columns=columns, parts=parts, is_binary=is_binary)
    )
    await parts.fill(rows)
