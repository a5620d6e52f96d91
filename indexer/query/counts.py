"""How many there are: counted once, and then by what changed, for this block or an earlier one.

A count over whole tables takes seconds where they are large. A process that answers many questions
keeps the counts of some blocks; those of another block are the nearest ones and what came between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TypeVar

import asyncpg
import msgspec

from indexer import errors
from indexer.query import database_state, point_in_time
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "counts")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

KEPT = 8
"""Blocks whose counts are kept: a reorganisation takes back the last ones."""

APART = 100
"""Blocks between two that are kept."""

COUNTING_SECONDS = 600.0
"""How long the first count may take; `allow_long` says the same."""

WAIT_SECONDS = 1.0
"""How long a question waits for a count that has begun: a small database is counted by then."""


class Positions(msgspec.Struct, frozen=True):
    """Positions of one generation, in listed pools or not; people's but for those with debt."""

    users: int = 0
    active_positions: int = 0
    positions_with_debt: int = 0


class Effects(msgspec.Struct, frozen=True):
    """Effects of one type in listed pools, their users, and effects in other pools."""

    effects: int = 0
    users: int = 0
    unlisted_effects: int = 0


class Counted(msgspec.Struct, frozen=True):
    """The counts at a block. `positions` by generation and whether its pools are listed."""

    block_number: int
    positions: dict[tuple[str, bool], Positions]
    effects: dict[str, Effects]
    rows: dict[str, int]


class _Kept(msgspec.Struct, frozen=True):
    """Counts, and the fold and listing for which they are valid."""

    counted: Counted
    block_hash: str
    fork_counter: int
    generation: int
    listing: str


class Counts:
    """The counts of a database; one for a process."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._counting = asyncio.Lock()

    async def count_ahead(self, pool: asyncpg.Pool) -> None:
        """Count once before anybody asks, on a connection of the pool.

        NothingCommittedError before the first commit.
        """
        async with pool.acquire() as connection, point_in_time.steady(connection):
            standing = await database_state.read(connection)
            await self.counts_at(connection, standing, standing.block_number)

    async def counts_at(
        self, connection: Connection, standing: database_state.DatabaseState, block: int
    ) -> Counted:
        """The counts at a block, in the caller's snapshot.

        BeingCountedError where they are counted for the first time, for longer than WAIT_SECONDS,
        for somebody else.
        """
        listing = str(await connection.fetchval(_SQL["listing"]))
        known = await self._known(connection, standing, listing)
        if not known:
            known = [await self._counted_once(connection, standing, listing)]
        nearest = min(known, key=lambda counted: abs(counted.block_number - block))
        found = await _counts_beyond(connection, nearest, block)
        if block == standing.block_number and block - nearest.block_number > APART:
            self._keep(found, standing, listing)
        return found

    async def _known(
        self, connection: Connection, standing: database_state.DatabaseState, listing: str
    ) -> list[Counted]:
        """The counts of blocks that the caller's snapshot holds; those not valid are dropped."""
        self._kept = [kept async for kept in self._valid(connection, standing, listing)]
        counted = (kept.counted for kept in self._kept)
        return [found for found in counted if found.block_number <= standing.block_number]

    async def _valid(
        self, connection: Connection, standing: database_state.DatabaseState, listing: str
    ) -> AsyncIterator[_Kept]:
        """The counts of this fold and listing that were not rolled back."""
        for kept in self._kept:
            if (kept.generation, kept.listing) != (standing.generation, listing):
                continue
            if kept.fork_counter != standing.fork_counter:
                try:
                    await database_state.check_unchanged(
                        *(connection, standing, kept.counted.block_number),
                        *(kept.block_hash, kept.fork_counter),
                    )
                except errors.AbandonedBlockError:
                    continue
            # Looked at once after a rollback, not with every question from then on.
            yield msgspec.structs.replace(kept, fork_counter=standing.fork_counter)

    async def _counted_once(
        self, connection: Connection, standing: database_state.DatabaseState, listing: str
    ) -> Counted:
        """The counts at the committed block, from whole tables; one caller at a time counts."""
        try:
            await asyncio.wait_for(self._counting.acquire(), WAIT_SECONDS)
        except TimeoutError as error:
            raise errors.BeingCountedError("the tables are being counted: ask again") from error
        try:
            if known := await self._known(connection, standing, listing):
                return known[-1]
            found = await counted(connection, standing.block_number)
            self._keep(found, standing, listing)
            return found
        finally:
            self._counting.release()

    def _keep(self, counted: Counted, standing: database_state.DatabaseState, listing: str) -> None:
        kept = _Kept(
            *(counted, standing.block_hash, standing.fork_counter, standing.generation, listing)
        )
        self._kept = [*self._kept, kept][-KEPT:]


async def counted(connection: Connection, block: int) -> Counted:
    """The counts at the committed block, from whole tables."""
    await connection.execute(_SQL["allow_long"])
    limit = COUNTING_SECONDS
    positions = await connection.fetch(_SQL["positions"], timeout=limit)
    effects = await connection.fetch(_SQL["effects"], block, timeout=limit)
    found = await rows(connection, limit)
    return Counted(block, dict(_position_counts(positions)), dict(_effects(effects)), found)


async def rows(connection: Connection, limit: float | None = None) -> dict[str, int]:
    """The number of rows of each large table; each table is read whole."""
    row = await connection.fetchrow(_SQL["rows"], timeout=limit)
    assert row is not None  # aggregates have one row
    return dict(row)


async def _counts_beyond(connection: Connection, nearest: Counted, block: int) -> Counted:
    """The counts at a block, derived from those of a later or earlier block."""
    if block == nearest.block_number:
        return nearest
    ends = sorted((block, nearest.block_number))
    sign = 1 if block > nearest.block_number else -1
    positions = await connection.fetch(_SQL["positions_between"], *ends)
    effects = await connection.fetch(_SQL["effects_between"], *ends)
    between = await connection.fetchrow(_SQL["rows_between"], *ends)
    assert between is not None  # aggregates have one row
    added = {**between, "positions": sum(row["new"] for row in positions)}
    return Counted(
        block,
        _added(nearest.positions, _position_counts(positions), sign),
        _added(nearest.effects, _effects(effects), sign),
        {name: number + sign * added[name] for name, number in nearest.rows.items()},
    )


def _position_counts(
    rows: Iterable[asyncpg.Record],
) -> Iterator[tuple[tuple[str, bool], Positions]]:
    for row in rows:
        numbers = (row["users"], row["active_positions"], row["positions_with_debt"])
        yield (row["protocol"], row["is_listed"]), Positions(*numbers)


def _effects(rows: Iterable[asyncpg.Record]) -> Iterator[tuple[str, Effects]]:
    for row in rows:
        yield row["type"], Effects(row["effects"], row["users"], row["unlisted_effects"])


Key = TypeVar("Key")
Numbers = TypeVar("Numbers", Positions, Effects)


def _added(
    known: dict[Key, Numbers], deltas: Iterator[tuple[Key, Numbers]], sign: int
) -> dict[Key, Numbers]:
    """The sums of two counts by key; keys whose sum is 0 are left out."""
    found = dict(known)
    for key, delta in deltas:
        before = found.get(key, type(delta)())
        sums = zip(msgspec.structs.astuple(before), msgspec.structs.astuple(delta), strict=True)
        found[key] = type(delta)(*(number + sign * other for number, other in sums))
    return {key: numbers for key, numbers in found.items() if any(msgspec.structs.astuple(numbers))}
