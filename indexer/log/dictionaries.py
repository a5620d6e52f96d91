"""The log's dictionaries: contracts and layouts of events, which its rows name by number.

What is new gets its number in the transaction that writes the events, so that a rollback leaves
nothing behind. Numbers are the database's own: no digest holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg

from indexer.cairo import abi
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "dictionaries")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def emitter_ids(connection: Connection, emitters: Sequence[tuple[str, str]]) -> list[int]:
    """The numbers of distinct contracts, each by address, and kind and generation."""
    rows = await connection.fetch(
        _SQL["emitters"],
        [address for address, _ in emitters],
        [contract for _, contract in emitters],
    )
    return [row["id"] for row in rows]


async def layout_ids(connection: Connection, layouts: Sequence[abi.Layout]) -> list[int]:
    """The numbers of distinct layouts."""
    rows = await connection.fetch(_SQL["layouts"], *columns(layouts))
    return [row["id"] for row in rows]


def distinct(layouts: Iterable[abi.Layout | None]) -> list[abi.Layout]:
    """Each layout once, in the order of their first use; without None."""
    return list({id(layout): layout for layout in layouts if layout is not None}.values())


def columns(layouts: Sequence[abi.Layout]) -> tuple[list[str], list[int], list[str]]:
    """Layouts as columns: name, number of selectors, and the steps as the text of an array."""
    return (
        [layout.name for layout in layouts],
        [layout.selectors for layout in layouts],
        [_array(layout.steps) for layout in layouts],
    )


def _array(texts: Iterable[str]) -> str:
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
