"""Invariants: sums that must agree between the tables, checked as integers, tolerance 0.

They hold for every generation; what V1 loses, forgets or overwrites is counted by the fold as
shares that nobody holds (docs/protocol.md). Each is one statement of `invariants.sql` that
gives rows of what, found
and expected.
"""

from __future__ import annotations

import asyncpg
import msgspec

from indexer.store import sqlfile

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

NAMES = (
    "collateral_shares",
    "nominal_debt",
    "pair_shares",
    "pair_debt",
    "v_token_supply",
    "v_token_flows",
    "v_token_backing",
    "liquidations",
)
EXAMPLES = 5


class Break(msgspec.Struct, frozen=True):
    """A sum that does not agree; integers as text."""

    what: str
    found: str
    expected: str


class Invariant(msgspec.Struct, frozen=True):
    """One invariant: how many sums were compared, how many do not agree, the first of those."""

    name: str
    compared: int
    broken: int
    examples: list[Break]


async def check(connection: Connection) -> list[Invariant]:
    """Check every invariant on one snapshot (the caller's transaction)."""
    return [await _check(connection, name) for name in NAMES]


async def _check(connection: Connection, name: str) -> Invariant:
    rows = await connection.fetch(sqlfile.load("invariants")[name])
    broken = [
        Break(row["what"], f"{row['found']:f}", f"{row['expected']:f}")
        for row in rows
        if row["found"] != row["expected"]
    ]
    return Invariant(name, len(rows), len(broken), broken[:EXAMPLES])
