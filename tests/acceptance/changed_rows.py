"""Every row of the state tables changed by one, in a column drawn at random."""

from __future__ import annotations

import random
import secrets
from typing import NamedTuple

import asyncpg

COLUMNS = {
    "vesu_positions": ("collateral_shares", "nominal_debt"),
    "vesu_assets": ("total_nominal_debt", "reserve", "max_utilization", "floor", "fee_rate"),
    "vesu_pools": ("max_ltv_raw", "debt_cap_raw"),
}
"""Columns that a view answers for, by table; a vToken holding has its balance instead."""


class Changed(NamedTuple):
    """A row, and the column in which one was added."""

    table: str
    row_id: str
    column: str


async def change(connection: asyncpg.Connection, tables: tuple[str, ...]) -> list[Changed]:
    """Add one to every row of these tables; the seed of the draw is printed."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    drawn = []
    for table in tables:
        v_token = "v_token" if table == "vesu_positions" else "NULL"
        rows = await connection.fetch(f"SELECT id, {v_token} AS v_token FROM {table} ORDER BY id")
        for row in rows:
            column = "vtoken_balance_raw" if row["v_token"] else dice.choice(COLUMNS[table])
            drawn.append(Changed(table, str(row["id"]), column))
    await _add(connection, drawn, 1)
    return drawn


async def undo(connection: asyncpg.Connection, drawn: list[Changed]) -> None:
    """Take the one away again."""
    await _add(connection, drawn, -1)


async def _add(connection: asyncpg.Connection, drawn: list[Changed], one: int) -> None:
    for table, row_id, column in drawn:
        await connection.execute(
            f"UPDATE {table} SET {column} = {column} + $1 WHERE id = $2::uuid", one, row_id
        )
