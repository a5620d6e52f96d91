"""What a shadow holds differently: by table and column, with examples and the first event.

Valuations of positions are left out: they follow from the state and the time, and the live
ones may be of another moment. Both sides are read in one snapshot.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from indexer.projections import shadow
from indexer.store import sqlfile

VALUATIONS = frozenset(
    (
        "collateral_raw",
        "debt_raw",
        "collateral_amount",
        "debt_amount",
        "collateral_value_usd",
        "debt_value_usd",
        "ltv",
        "health_factor",
        "liquidation_price",
        "valued_at",
        "valued_at_block",
    )
)
EXAMPLES = 3


class TableDifference(msgspec.Struct, frozen=True):
    """How one table differs. `missing` rows are in the shadow alone, `extra` in the live alone.

    `columns` counts the rows, present on both sides, that differ in each column; `examples`
    are keys of rows that differ in any way.
    """

    live_rows: int
    shadow_rows: int
    missing: int
    extra: int
    columns: dict[str, int]
    examples: list[dict[str, str]]

    @property
    def is_equal(self) -> bool:
        """Nothing differs."""
        return not (self.missing or self.extra or self.columns)


class Event(msgspec.Struct, frozen=True):
    """The first event after which the two sides part."""

    block_number: int
    transaction_index: int
    event_index: int
    transaction_hash: str
    contract: str | None
    name: str | None


class Difference(msgspec.Struct, frozen=True):
    """The whole comparison, at a block."""

    block_number: int
    is_equal: bool
    first_event: Event | None
    tables: dict[str, TableDifference]


async def compare(connection: asyncpg.Connection, live: str) -> Difference | None:
    """Compare the shadow with the live tables in the schema `live`.

    None: the daemon has committed since the shadow caught up; catch up and compare again.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        block = await connection.fetchval(sqlfile.load("shadow")["progress"])
        if block != await connection.fetchval(sqlfile.load("status")["committed_block"]):
            return None
        tables = {table: await _table(connection, live, table) for table in shadow.TABLES}
        first = await _first_event(connection, live)
    is_equal = all(table.is_equal for table in tables.values())
    return Difference(block, is_equal, first, tables)


async def _table(connection: asyncpg.Connection, live: str, table: str) -> TableDifference:
    columns = await _columns(connection, live, table)
    key = shadow.TABLES[table]
    ours, theirs = f'"{live}".{table}', f"{shadow.SCHEMA}.{table}"
    differing = ", ".join(
        f"count(*) FILTER (WHERE l.{column} IS DISTINCT FROM s.{column}) AS {column}"
        for column in columns
    )
    both = f"{ours} l JOIN {theirs} s USING ({', '.join(key)})"
    counted = await connection.fetchrow(f"SELECT {differing} FROM {both}")  # noqa: S608
    missing, extra = await _alone(connection, ours, theirs, key)
    return TableDifference(
        live_rows=await connection.fetchval(f"SELECT count(*) FROM {ours}"),  # noqa: S608
        shadow_rows=await connection.fetchval(f"SELECT count(*) FROM {theirs}"),  # noqa: S608
        missing=missing,
        extra=extra,
        columns={name: count for name, count in counted.items() if count} if counted else {},
        examples=await _examples(connection, ours, theirs, key, columns),
    )


async def _columns(connection: asyncpg.Connection, live: str, table: str) -> list[str]:
    """The columns that are compared: all but the key and the valuations."""
    rows = await connection.fetch(sqlfile.load("shadow")["columns"], f'"{live}".{table}')
    skipped = {*shadow.TABLES[table], *(VALUATIONS if table == "vesu_positions" else ())}
    return [row["attname"] for row in rows if row["attname"] not in skipped]


async def _alone(
    connection: asyncpg.Connection, ours: str, theirs: str, key: tuple[str, ...]
) -> tuple[int, int]:
    """(rows of the shadow alone, rows of the live alone), by key."""
    names = ", ".join(key)
    counts = []
    for here, there in ((theirs, ours), (ours, theirs)):
        counts.append(
            await connection.fetchval(
                f"SELECT count(*) FROM "  # noqa: S608
                f"(SELECT {names} FROM {here} EXCEPT SELECT {names} FROM {there}) AS alone"
            )
        )
    return counts[0], counts[1]


async def _examples(
    connection: asyncpg.Connection,
    ours: str,
    theirs: str,
    key: tuple[str, ...],
    columns: list[str],
) -> list[dict[str, Any]]:
    names, compared = ", ".join(key), ", ".join((*key, *columns))
    rows = await connection.fetch(
        f"SELECT DISTINCT {names} FROM ("  # noqa: S608
        f"(SELECT {compared} FROM {ours} EXCEPT SELECT {compared} FROM {theirs}) UNION ALL "
        f"(SELECT {compared} FROM {theirs} EXCEPT SELECT {compared} FROM {ours})"
        f") AS parted ORDER BY {names} LIMIT {EXAMPLES}"
    )
    return [{name: str(value) for name, value in row.items()} for row in rows]


async def _first_event(connection: asyncpg.Connection, live: str) -> Event | None:
    """The earliest event whose history or effects differ."""
    parts = []
    for table in shadow.TABLES:
        if not table.endswith(("_history", "_transactions", "_liquidations")):
            continue
        ours, theirs = f'"{live}".{table}', f"{shadow.SCHEMA}.{table}"
        parts.append(
            "SELECT block_number, transaction_index, event_index FROM ("  # noqa: S608
            f"(SELECT * FROM {ours} EXCEPT SELECT * FROM {theirs}) UNION ALL "
            f"(SELECT * FROM {theirs} EXCEPT SELECT * FROM {ours})) AS {table}"
        )
    row = await connection.fetchrow(
        "SELECT e.block_number, e.transaction_index, e.event_index, e.transaction_hash, "  # noqa: S608
        f"e.contract, e.name FROM ({' UNION ALL '.join(parts)}) AS parted "
        "JOIN events e USING (block_number, transaction_index, event_index) "
        "ORDER BY 1, 2, 3 LIMIT 1"
    )
    return None if row is None else Event(*row.values())
