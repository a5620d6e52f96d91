"""Invariants: sums that must agree between the tables, checked as integers, tolerance 0.

They hold for every generation; what V1 loses, forgets or overwrites is counted by the fold as
shares that nobody holds (docs/protocol.md). Each is one statement of `invariants.sql` that
gives rows of what, found and expected. All are checked by `audit`; shares and nominal debt also
after each batch, for the assets that it touched. A break is recorded and never repaired: the
log or the fold is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "invariants")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

NAMES = (
    "collateral_shares",
    "nominal_debt",
    "pair_shares",
    "pair_debt",
    "v_token_supply",
    "effects",
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


class Watched(msgspec.Struct, frozen=True):
    """What a batch's check found: breaks that are new, and how many stand in all."""

    new: list[Break]
    standing: int


async def check(connection: Connection) -> list[Invariant]:
    """Check every invariant on one snapshot (the caller's transaction)."""
    return [await _check(connection, name) for name in NAMES]


async def _check(connection: Connection, name: str) -> Invariant:
    rows = await connection.fetch(_SQL[name])
    broken = [
        Break(row["what"], f"{row['found']:f}", f"{row['expected']:f}")
        for row in rows
        if row["found"] != row["expected"]
    ]
    return Invariant(name, len(rows), len(broken), broken[:EXAMPLES])


async def watch(
    connection: Connection, block: int, pool_ids: Sequence[str], assets: Sequence[str]
) -> Watched:
    """Check the sums of these assets after a batch up to `block`, inside its transaction.

    Records what is broken, and what agrees again.
    """
    rows = await connection.fetch(_SQL["touched"], pool_ids, assets)
    new = []
    for row in rows:
        if row["found"] == row["expected"]:
            continue
        values = (row["invariant"], row["what"], row["found"], row["expected"])
        if await connection.fetchval(_SQL["note_break"], *values, block):
            what = f"{row['invariant']} {row['what']}"
            new.append(Break(what, f"{row['found']:f}", f"{row['expected']:f}"))
    agreed = [row for row in rows if row["found"] == row["expected"]]
    count = await connection.fetchval(
        _SQL["note_mended"],
        [row["invariant"] for row in agreed],
        [row["what"] for row in agreed],
        block,
    )
    return Watched(new, count)
