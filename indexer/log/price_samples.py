"""Sampled prices: facts beside the log, on a grid of chain time; outside the digest of state.

A point of the grid is a multiple of a number of seconds; its block is the first one at or after
it. One block may be the first after several points, where the chain paused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from indexer import errors
from indexer.log import cursor, facts
from indexer.store import locks, sqlfile

_SQL = sqlfile.load(__package__, "price_samples")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Point(msgspec.Struct, frozen=True):
    """A block of the grid of so many seconds; times in seconds since 1970.

    It stands for every multiple after `previous_time`, the time of the block before, up to
    `grid_time`.
    """

    step_seconds: int
    grid_time: int
    previous_time: int
    block_number: int
    block_hash: str
    timestamp: int


class Gap(msgspec.Struct, frozen=True):
    """Points of a grid that were not sampled: the multiples above `after` and up to `until`."""

    step_seconds: int
    after: int
    until: int


async def store(
    connection: asyncpg.Connection,
    committed: cursor.Cursor,
    point: Point,
    rows: Sequence[Mapping[str, Any]],
    asset_count: int,
    answered: int,
) -> int:
    """Store what a point answered, in one transaction; returns the number of the sampling.

    `rows` have the columns of vesu_sampled_prices but `sampling`. LogMovedError where the log was
    rolled back since `committed`, or another writer has opened the cursor.
    """
    async with connection.transaction():
        await _hold(connection, committed)
        number: int = await connection.fetchval(
            _SQL["open"],
            point.step_seconds,
            point.grid_time,
            point.previous_time,
            point.block_number,
            facts.padded(point.block_hash),
            asset_count,
            answered,
        )
        text = msgspec.json.encode([{**row, "sampling": number} for row in rows]).decode()
        await connection.execute(_SQL["append"], text)
    return number


async def _hold(connection: asyncpg.Connection, committed: cursor.Cursor) -> None:
    """Lock the cursor while samples are stored."""
    await locks.limit_idle(connection, in_this_transaction=True)
    row = await connection.fetchrow(_SQL["hold"])
    if row is None or (row["fork_counter"], row["writer_token"]) != (
        committed.fork_counter,
        committed.writer_token,
    ):
        raise errors.LogMovedError()


async def answered(connection: Connection, point: Point) -> tuple[set[str], int]:
    """The ids of the assets that were sampled at a block, and the number of attempts."""
    row = await connection.fetchrow(
        _SQL["answered"], point.block_number, facts.padded(point.block_hash)
    )
    assert row is not None  # aggregates have one row
    return {str(sample_id) for sample_id in row["ids"]}, row["tries"]


async def gaps(connection: Connection, step_seconds: int) -> list[Gap]:
    """The gaps between what was sampled of a grid, the newest first."""
    rows = await connection.fetch(_SQL["gaps"], step_seconds)
    return [Gap(step_seconds, row["after"], row["until"]) for row in rows]


async def oldest(connection: Connection, step_seconds: int) -> int | None:
    """The first point that was sampled of a grid; None: none was."""
    first: int | None = await connection.fetchval(_SQL["oldest"], step_seconds)
    return first


async def newest_time(connection: Connection) -> int | None:
    """The time of the newest block that was sampled; None: none was."""
    moment = await connection.fetchval(_SQL["newest_time"])
    return None if moment is None else int(moment.timestamp())


async def roll_back(connection: Connection, number: int, *, is_same_chain: bool) -> None:
    """Forget samples above a block that the chain left.

    Of a repair, which reads the same chain again, they stay: nobody sees them before their blocks
    are committed again, and the sampler then checks that those are the same.
    """
    if is_same_chain:
        await connection.execute(_SQL["doubt"], number)
    else:
        await connection.execute(_SQL["drop_samples_above"], number)
        await connection.execute(_SQL["drop_samplings_above"], number)


async def doubted(connection: Connection, number: int) -> list[tuple[int, str]]:
    """Number and hash of up to a hundred sampled blocks, up to a block, that a repair took back."""
    return [
        (row["block_number"], row["block_hash"])
        for row in await connection.fetch(_SQL["doubted"], number)
    ]


async def settle(
    connection: asyncpg.Connection,
    committed: cursor.Cursor,
    number: int,
    block_hash: str,
    *,
    is_on_chain: bool,
) -> None:
    """Trust the samples of a doubted block again, or forget them; fenced like `store`."""
    async with connection.transaction():
        await _hold(connection, committed)
        if is_on_chain:
            await connection.execute(_SQL["trust"], number, block_hash)
        else:
            await connection.execute(_SQL["drop_samples_of"], number, block_hash)
            await connection.execute(_SQL["drop_samplings_of"], number, block_hash)
