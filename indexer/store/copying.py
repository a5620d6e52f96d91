"""Rows as COPY takes them, in its text format or, for rows of bytes, in its binary one.

Text costs this process a third of asyncpg's binary format, which looks at each element of an
array several times.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg

_NULL = r"\N"

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""The signature, no flags and no extension."""

_BINARY_END = b"\xff\xff"

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


def line(row: Iterable[Any]) -> str:
    """One row; None is NULL, everything else goes as its text."""
    values = tuple(row)
    found = nullable_line(values)
    # Nearly no row holds anything to escape: four looks at the whole row find that out.
    if (
        found.count("\\") == values.count(None)
        and found.count("\t") == len(values) - 1
        and found.count("\n") == 1
        and "\r" not in found
    ):
        return found
    return "\t".join(_NULL if value is None else field(str(value)) for value in values) + "\n"


def field(value: str | None) -> str:
    """One value of a line; None is NULL."""
    return _NULL if value is None else value.translate(_ESCAPES)


@functools.cache
def _template(fields: int) -> str:
    return "\t".join(["%s"] * fields) + "\n"


def plain_line(values: tuple[Any, ...]) -> str:
    """As `line`, of values that need no escape: numbers, ids, hex, times, and texts by `field`.

    For rows of which few hold a NULL.
    """
    found = _template(len(values)) % values
    # A text that says None only costs the second look.
    return found if "None" not in found else nullable_line(values)


def nullable_line(values: tuple[Any, ...]) -> str:
    """The same of rows of which any value may be NULL."""
    return _template(len(values)) % tuple([_NULL if value is None else value for value in values])


def textless_line(values: tuple[Any, ...]) -> str:
    """The same of rows without texts that somebody may choose; their first value is no NULL."""
    found = _template(len(values)) % values
    return found.replace("\tNone", "\t\\N") if "None" in found else found


async def copy(
    connection: Connection,
    table: str,
    columns: Iterable[str],
    parts: Iterable[bytes],
    *,
    schema: str | None = None,
    is_binary: bool = False,
) -> None:
    """Add encoded rows to a table, some hundred in each part."""
    await connection.copy_to_table(
        table,
        source=_each(parts),
        columns=list(columns),
        schema_name=schema,
        format="binary" if is_binary else "text",
    )


async def copy_binary(
    connection: Connection, table: str, columns: Iterable[str], rows: bytes
) -> None:
    """Add rows in COPY's binary format: number of fields, and of each its length and its bytes."""
    parts = (_BINARY_HEADER, rows, _BINARY_END)
    await copy(connection, table, columns, parts, is_binary=True)


async def _each(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
