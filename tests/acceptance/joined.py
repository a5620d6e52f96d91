"""A reader that joins the four tables in a loop, and what it may see."""

from __future__ import annotations

import asyncio
import collections
import time
from types import TracebackType
from typing import NamedTuple

import asyncpg

JOIN = """
SELECT c.block_number, c.generation, s.*, p.*, o.*
FROM cursor c
CROSS JOIN LATERAL (
    SELECT count(*) AS transactions, count(l.id) AS liquidated, sum(t.amount_raw) AS amounts,
        max(t.block_number) AS newest
    FROM vesu_transactions t
    JOIN vesu_positions p ON (p.pool_id, p.id) = (t.pool_id, t.position_id)
    LEFT JOIN vesu_pools o ON (o.pool_id, o.id) = (p.pool_id, p.pool_pair_id)
    LEFT JOIN vesu_liquidations l ON (l.pool_id, l.position_id, l.transaction_hash)
        = (p.pool_id, p.id, t.transaction_hash)
) AS s
CROSS JOIN LATERAL (
    SELECT sum(collateral_shares) AS shares, sum(nominal_debt) AS debt,
        sum(vtoken_balance_raw) AS balances, max(last_event_block) AS touched
    FROM vesu_positions
) AS p
CROSS JOIN LATERAL (
    SELECT sum(pair_collateral_shares) AS pair_shares, sum(pair_nominal_debt) AS pair_debt
    FROM vesu_pools
) AS o
"""

AT_BLOCK = """
SELECT s.*, p.*, o.*
FROM (
    SELECT count(*) AS transactions, count(l.id) AS liquidated, sum(t.amount_raw) AS amounts,
        max(t.block_number) AS newest
    FROM vesu_transactions t
    LEFT JOIN vesu_liquidations l ON (l.pool_id, l.position_id, l.transaction_hash)
        = (t.pool_id, t.position_id, t.transaction_hash)
    WHERE t.block_number <= $1
) AS s
CROSS JOIN (
    SELECT sum(collateral_shares) AS shares, sum(nominal_debt) AS debt,
        sum(vtoken_balance_raw) AS balances, max(block_number) AS touched
    FROM (
        SELECT DISTINCT ON (pool_id, id) *
        FROM vesu_position_history
        WHERE block_number <= $1
        ORDER BY pool_id, id, block_number DESC, transaction_index DESC, event_index DESC
    ) AS versions
) AS p
CROSS JOIN (
    SELECT sum(pair_collateral_shares) AS pair_shares, sum(pair_nominal_debt) AS pair_debt
    FROM (
        SELECT DISTINCT ON (pool_id, id) *
        FROM vesu_pool_history
        WHERE block_number <= $1
        ORDER BY pool_id, id, block_number DESC, transaction_index DESC, event_index DESC
    ) AS versions
) AS o
"""
"""The same sums from the histories of a database that stands above the block."""


async def at_block(url: str, block: int) -> tuple[object, ...]:
    """What a reader must see where the tables stand at `block`."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(AT_BLOCK, block)
        return tuple(row.values())
    finally:
        await connection.close()


class Seen(NamedTuple):
    """What one read found: where the tables stand, and sums over all of them."""

    block: int
    generation: int
    sums: tuple[object, ...]


class Reader:
    """Reads in a loop while inside the context; counts each outcome in `seen`.

    Leaving raises what a read raised. `longest` is the slowest read, in seconds.
    """

    def __init__(self, url: str, pause: float = 0.01) -> None:
        self._url = url
        self._pause = pause
        self.seen: collections.Counter[Seen] = collections.Counter()
        self.longest = 0.0

    async def __aenter__(self) -> Reader:
        self._connection = await asyncpg.connect(self._url)
        self._reading = asyncio.create_task(self._read())
        self._turn = asyncio.Lock()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._reading.done():
            self._reading.result()
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._connection.close()

    async def once(self) -> Seen:
        """One read."""
        async with self._turn:
            began = time.perf_counter()
            row = await self._connection.fetchrow(JOIN)
            self.longest = max(self.longest, time.perf_counter() - began)
        found = Seen(row["block_number"], row["generation"], tuple(row.values())[2:])
        self.seen[found] += 1
        assert max(row["newest"] or 0, row["touched"] or 0) <= found.block
        return found

    async def _read(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(self._pause)
