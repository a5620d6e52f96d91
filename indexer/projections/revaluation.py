"""Revaluation: stored valuations follow prices and interest, at a cost of what changed.

Far behind the head only the positions that an event touched are valued. At the head also those
whose health is or may be below 1.3, at every block, and a slice of the others, the oldest first,
so that none is older than the configured age. Pools that are not listed have their turn: anyone may
make thousands of them, with loans near their limit.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import asyncpg

from indexer.projections import memory, positions, rows, statements, tables, valuations
from indexer.store import sqlfile, statement_pipeline, turns
from indexer.vesu import state

_SQL = {
    name: statements.fill(text, tables.POSITIONS)
    for name, text in sqlfile.load(__package__, "revaluation").items()
}

Scope = Literal["touched", "head"]
"""What is valued: what an event touched, or also what the head needs."""

ROWS_AT_ONCE = 5_000
"""The most rows in memory."""

ROWS_A_STATEMENT = 100
"""Valuing this many rows takes some milliseconds, and writing them takes at least as long."""

ROWS_OF_THE_FIRST = 25
"""The first statement has fewer: PostgreSQL is idle until it comes."""

SMALL_TABLE = 250
"""Up to so many active positions are all valued at every block."""

SMALLEST_SLICE = 25
"""What a block can always afford: a row of a large table is written into some ten pages that were
not written since the last checkpoint, and PostgreSQL logs each of them whole."""

LARGEST_SLICE = 500
"""A commit at the head takes no longer for it: with more positions, or after a time away, the
oldest are older than the configured age for some hundred blocks."""

UNLISTED_PAIRS = 50
"""How many pairs of pools that are not listed each block values; all of them have their turn."""

UNLISTED_ROWS = 10
"""How many rows of each such pair, the nearest to their limit; the slices value the others."""

COUNT_SECONDS = 3_600
"""How often positions are counted anew, in seconds of the chain's time."""

COUNTED_EACH_TIME = 5_000
"""Far behind the head, positions are counted after each batch until there are so many."""

SPARE = 1.25
"""Slices take so many times what the age needs: a block may be late, a position may be new."""


class Revaluation:
    """Values stored rows anew, inside the caller's transaction."""

    def __init__(self, max_age_seconds: int) -> None:
        self._max_age = max_age_seconds
        self._active: int | None = None
        self._counted_at = 0
        self._sliced_at: int | None = None
        self._turn = 0

    @property
    def active(self) -> int:
        """The number of active positions when they were last counted."""
        return self._active or 0

    def forget(self) -> None:
        """Count the positions again before the next slice."""
        self._active = self._sliced_at = None

    async def run(
        self,
        connection: memory.Connection,
        memory_: memory.Memory,
        block: valuations.Block,
        scope: Scope,
    ) -> int:
        """Value stored rows at `block`; returns the number of rows written."""
        if scope == "touched":
            if self.active <= COUNTED_EACH_TIME:
                await self._count(connection, block)
            return 0
        sampling = memory_.samples.sampling
        valuer = memory_.valuer(block)
        await connection.execute(_SQL["without_bitmaps"])
        near = 0
        for keys, most in self._pairs(memory_):
            bounds = _edges(memory_, valuer, keys)
            near += await self._write(
                connection, valuer, "near_liquidation", block.number, sampling, *bounds, most
            )
        await connection.execute(_SQL["with_bitmaps"])
        size = await self._slice(connection, block)
        rest = await self._write(connection, valuer, "oldest", block.number, sampling, size)
        return near + rest

    async def below(
        self, connection: memory.Connection, memory_: memory.Memory, block: valuations.Block
    ) -> int:
        """Value the rows at `block` that were valued above it; returns how many there were."""
        valuer = memory_.valuer(block)
        return await self._write(connection, valuer, "above", block.number)

    def _pairs(self, memory_: memory.Memory) -> Iterator[tuple[list[state.PairKey], int | None]]:
        """Pairs that are borrowed from, and how many rows of each may be valued (None: all).

        Those of listed pools, and so many of the others, beginning where the last block ended.
        """
        listed: list[state.PairKey] = []
        others: list[state.PairKey] = []
        for key in memory_.world.pairs:
            (listed if memory_.is_listed(key.pool) else others).append(key)
        yield [key for key in listed if _is_borrowed_from(key, memory_.world)], None
        turn = self._turn % len(others) if others else 0
        chosen: list[state.PairKey] = []
        for key in itertools.chain(others[turn:], others[:turn]):
            if len(chosen) == UNLISTED_PAIRS:
                break
            self._turn += 1
            if _is_borrowed_from(key, memory_.world):
                chosen.append(key)
        if chosen:
            yield chosen, UNLISTED_ROWS

    async def _slice(self, connection: memory.Connection, block: valuations.Block) -> int:
        """The number of the oldest rows that are valued at this block."""
        if self._active is None or block.timestamp - self._counted_at >= COUNT_SECONDS:
            await self._count(connection, block)
        if self.active <= SMALL_TABLE:
            return ROWS_AT_ONCE
        before = self._sliced_at
        elapsed = self._max_age if before is None else block.timestamp - before
        self._sliced_at = block.timestamp
        due = math.ceil(self.active * min(elapsed, self._max_age) * SPARE / self._max_age)
        return min(max(due, SMALLEST_SLICE), LARGEST_SLICE)

    async def _count(self, connection: memory.Connection, block: valuations.Block) -> None:
        self._active = int(await connection.fetchval(_SQL["count_active"]))
        self._counted_at = block.timestamp

    async def _write(
        self,
        connection: memory.Connection,
        valuer: valuations.Valuer,
        statement: str,
        *args: object,
    ) -> int:
        """Value the rows that a statement finds, and write them."""
        count = 0
        row_cursor = await connection.cursor(_SQL[statement], *args)
        while part := await row_cursor.fetch(ROWS_AT_ONCE):
            await write(connection, valuer, part)
            count += len(part)
        return count


async def write(
    connection: memory.Connection, valuer: valuations.Valuer, found: Sequence[asyncpg.Record]
) -> None:
    """Value stored rows, read with their ctid, and write what they are worth.

    Some are valued while PostgreSQL writes those before them.
    """
    async with statement_pipeline.running(connection) as pipeline:
        for part in _parts(found):
            document = await _document(part, valuer)
            ctids = [row["ctid"] for row in part]
            await pipeline.run(functools.partial(_write_part, document=document, ctids=ctids))


def _parts(found: Sequence[asyncpg.Record]) -> Iterator[Sequence[asyncpg.Record]]:
    """The rows of each statement."""
    start, size = 0, ROWS_OF_THE_FIRST
    while start < len(found):
        yield found[start : start + size]
        start, size = start + size, ROWS_A_STATEMENT


async def _document(part: Sequence[asyncpg.Record], valuer: valuations.Valuer) -> str:
    """Keys and valuations of stored rows as JSON.

    In turns: an answer of PostgreSQL is taken and its next statement sent in between.
    """
    return rows.encode(
        [_valued(row, valuer) async for some in turns.of(part) for row in some]
    ).decode()


async def _write_part(
    connection: memory.Connection, document: str, ctids: Sequence[object]
) -> None:
    done = await connection.execute(_SQL["write"], document, ctids)
    if done != f"UPDATE {len(ctids)}":
        await connection.execute(_SQL["write_by_key"], document)


def _valued(row: asyncpg.Record, valuer: valuations.Valuer) -> dict[str, Any]:
    """Key and valuation of a stored row."""
    return {"pool_id": row["pool_id"], "id": str(row["id"])} | valuer.columns(*positions.parse(row))


def _is_borrowed_from(key: state.PairKey, world: state.World) -> bool:
    """Whether a position of the pair may have debt."""
    # The totals of a V1.0 pool that V1.1 took over are not those of its positions.
    return bool(world.pairs[key].total_nominal_debt) or world.market(key.pool) != key.pool


def _edges(
    memory_: memory.Memory, valuer: valuations.Valuer, keys: Iterable[state.PairKey]
) -> tuple[list[str], list[int]]:
    """The ids of pairs, and the bound of each."""
    pairs, bounds = [], []
    for key in keys:
        bound = valuer.edge(key)
        if bound is not None:
            pairs.append(rows.pair_id(memory_.protocol(key.pool), key))
            bounds.append(bound)
    return pairs, bounds


def block_of(timestamps: dict[int, int], last: int) -> valuations.Block | None:
    """The last block of a batch whose time is known; None: it holds none."""
    number = max((number for number in timestamps if number <= last), default=None)
    return None if number is None else valuations.Block(number, timestamps[number])
