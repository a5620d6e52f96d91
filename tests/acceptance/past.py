"""The past through `indexer.query`, at every recorded block, beside the contracts' answers.

Blocks that are not stored (read far behind the head, without an event of ours) are asked for
by their time: that is interest accrued past the last stored block, held against the contract.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import msgspec

from indexer.query import assets, point_in_time, pools, positions, totals
from tests.acceptance import truth

T = TypeVar("T")
Key = tuple[str | None, ...]
Question = Callable[[asyncpg.Connection, point_in_time.When], Awaitable[T]]


def hexed(value: int) -> str:
    return f"0x{value:064x}"


def at_second(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


class Past:
    """Answers at recorded blocks, each asked once: by number where the block is stored."""

    def __init__(
        self, connection: asyncpg.Connection, recorded: truth.Recorded, stored: set[int]
    ) -> None:
        self.connection = connection
        self.recorded = recorded
        self.stored = stored
        self._kept: dict[tuple[object, int], Any] = {}

    @classmethod
    async def of(cls, connection: asyncpg.Connection, recorded: truth.Recorded) -> Past:
        """The past that a database knows of a recording."""
        rows = await connection.fetch("SELECT number FROM blocks")
        return cls(connection, recorded, {row["number"] for row in rows})

    def when(self, block: int) -> int | datetime.datetime:
        return block if block in self.stored else at_second(self.recorded.timestamps[block])

    async def ask(self, question: Question[T], block: int) -> T:
        key = (question, block)
        if key not in self._kept:
            self._kept[key] = await question(self.connection, self.when(block))
        found: T = self._kept[key]
        return found


async def every_position(
    connection: asyncpg.Connection, at: point_in_time.When
) -> dict[Key, positions.Position]:
    return by_key((await positions.find(connection, at=at)).positions)


def by_key(found: list[positions.Position]) -> dict[Key, positions.Position]:
    return {
        (one.pool_id, one.collateral_address, one.debt_address, one.v_token, one.user_id): one
        for one in found
    }


async def every_asset(
    connection: asyncpg.Connection, at: point_in_time.When
) -> dict[Key, assets.Asset]:
    found = await assets.find(connection, at=at)
    return {(one.pool_id, one.asset_address): one for one in found.assets}


async def every_pair(
    connection: asyncpg.Connection, at: point_in_time.When
) -> dict[Key, pools.Pool]:
    found = await pools.find(connection, at=at)
    return {(one.pool_id, one.collateral_address, one.debt_address): one for one in found.pools}


async def every_total(connection: asyncpg.Connection, at: point_in_time.When) -> totals.Totals:
    return await totals.find(connection, at=at)


def same(value: Any, stored: Any) -> bool:
    """An answer's value and a column's."""
    if isinstance(stored, decimal.Decimal):
        return value is not None and decimal.Decimal(value) == stored
    return bool(value == stored or (value is not None and str(value) == str(stored)))


# --- held against position() and check_collateralization() ------------------------------------


async def compare_positions(past: Past) -> int:
    """Shares, nominal debt and both amounts of every position; returns how many numbers."""
    compared = 0
    for block, pool, (collateral, debt, user), result in past.recorded.answered("position"):
        found = await past.ask(every_position, block)
        one = found.get((hexed(pool), hexed(collateral), hexed(debt), None, hexed(user)))
        ours = [0, 0, 0, 0]
        if one is not None:
            texts = (one.collateral_shares, one.nominal_debt, one.collateral_raw, one.debt_raw)
            ours = [int(text) for text in texts]
        assert ours == truth.u256s(result), f"position of {user:#x} at block {block}"
        compared += 4
    return compared


async def compare_health(past: Past) -> tuple[int, int]:
    """Health below 1 where check_collateralization() says no: (answers, those that said no)."""
    prices = {
        (block, pool, calldata[0]): truth.u256s(result[:2])[0]
        for block, pool, calldata, result in past.recorded.answered("price")
        if calldata
    }
    block_of = {past.when(block): block for block in past.recorded.timestamps}

    async def at_oracle_prices(
        connection: asyncpg.Connection, at: point_in_time.When
    ) -> dict[Key, positions.Position]:
        snapshot, held = await positions.held_at(connection, positions.EVERY, at)
        for key, asset in snapshot.world.assets.items():
            price = prices.get((block_of[at], key.pool.address, key.asset))
            snapshot.world.assets[key] = msgspec.structs.replace(asset, price=price)
        return by_key(positions.valued(snapshot, held))

    compared = refused = 0
    for block, pool, calldata, result in past.recorded.answered("check_collateralization"):
        found = await past.ask(at_oracle_prices, block)
        collateral, debt, user = map(hexed, calldata)
        one = found.get((hexed(pool), collateral, debt, None, user))
        if one is None:
            continue
        is_safe = one.health is None or one.health >= 1
        assert is_safe == bool(result[0]), f"position of {user} at block {block}"
        refused += not is_safe
        compared += 1
    return compared, refused
