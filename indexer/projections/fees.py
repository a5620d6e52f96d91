"""The fee columns of vesu_transactions, filled in where receipts are read after the events."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from indexer.log import facts
from indexer.projections import rows
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "fees")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

FEE_DECIMALS = 18


async def fill(connection: Connection, fees: Mapping[tuple[int, int], facts.Fee]) -> None:
    """Write fees, by (block number, transaction index), inside the caller's transaction."""
    if fees:
        await connection.execute(
            _SQL["fill"],
            [number for number, _ in fees],
            [index for _, index in fees],
            [rows.units(fee.amount, FEE_DECIMALS) for fee in fees.values()],
            [fee.unit for fee in fees.values()],
        )
