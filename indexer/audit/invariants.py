"""Invariants: sums that must agree between the tables, checked as integers, tolerance 0.

They hold for every generation; what V1 loses, forgets or overwrites is counted by the fold as
shares that nobody holds (docs/protocol.md). Each is one statement of `invariants.sql` that
gives rows of what, found and expected. All are checked by `audit`; shares and nominal debt also
after each batch, for the assets that it touched. A break is recorded and never repaired: the
log or the fold is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import asyncpg
import msgspec

from indexer.projections import revaluation
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
    "valued_above",
)
EXAMPLES = 5

FEW_POSITIONS = revaluation.COUNTED_EACH_TIME
"""The number of active positions up to which every touched asset is checked after each batch. Up to
so many are counted anew each time."""

TIME_SHARE = 0.0002
"""The part of the time that checking an asset's sums may take where positions are many."""


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
    """The result of a batch's check: new breaks, and the number of all open ones."""

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


class Schedule:
    """Which sums are checked after a batch: all while positions are few, else each now and then.

    A sum reads every position of its market. Where there are many, an asset's sums are checked
    again after so long that this takes a small part of the time; `audit` checks them at once.
    """

    def __init__(self) -> None:
        self._due: dict[tuple[str, str], float] = {}

    def due(self, keys: Sequence[tuple[str, str]], positions: int) -> list[tuple[str, str]]:
        """Those of these assets, by pool id and address, whose sums are checked now."""
        if positions <= FEW_POSITIONS:
            return list(keys)
        now = time.monotonic()
        return [key for key in keys if self._due.get(key, 0.0) <= now]

    def note(self, keys: Sequence[tuple[str, str]], seconds: float) -> None:
        """Remember that these sums were checked, and how long that took."""
        due = time.monotonic() + seconds / TIME_SHARE
        self._due.update(dict.fromkeys(keys, due))


async def roll_back(connection: Connection, ancestor: int) -> None:
    """Look again, in the rollback's transaction, at the breaks that stand or stood at `ancestor`.

    What agreed again only above it may stand again; what was broken above it may be gone.
    """
    await connection.execute(_SQL["break_again"], ancestor)
    await settle(connection, ancestor)


async def settle(connection: Connection, block: int) -> int:
    """Check every open break again, as after a replay; returns how many are still open."""
    standing = await connection.fetch(_SQL["standing"])
    broken = set()
    for name in {row["invariant"] for row in standing}:
        for row in await connection.fetch(_SQL[name]):
            if row["found"] != row["expected"]:
                broken.add((name, row["what"]))
    mended = [row for row in standing if (row["invariant"], row["what"]) not in broken]
    count: int = await connection.fetchval(
        _SQL["note_mended"],
        [row["invariant"] for row in mended],
        [row["what"] for row in mended],
        block,
    )
    return count


async def watch(
    connection: Connection, block: int, keys: Sequence[tuple[str, str]], *, with_valuations: bool
) -> Watched:
    """Check the sums of these assets (pool ids, addresses) after a batch up to `block`, inside
    its transaction, and `with_valuations` that no position is valued above it.

    Records what is broken, and what agrees again.
    """
    rows = []
    if keys:
        rows = await connection.fetch(
            _SQL["touched"], [pool_id for pool_id, _ in keys], [asset for _, asset in keys]
        )
    if with_valuations:
        rows += await connection.fetch(_SQL["valued_above"])
    new = []
    for row in rows:
        if row["found"] == row["expected"]:
            continue
        values = (row["invariant"], row["what"], row["found"], row["expected"])
        if await connection.fetchval(_SQL["note_break"], *values, block):
            broken_sum = f"{row['invariant']} {row['what']}"
            new.append(Break(broken_sum, f"{row['found']:f}", f"{row['expected']:f}"))
    agreed = [row for row in rows if row["found"] == row["expected"]]
    count = await connection.fetchval(
        _SQL["note_mended"],
        [row["invariant"] for row in agreed],
        [row["what"] for row in agreed],
        block,
    )
    return Watched(new, count)
