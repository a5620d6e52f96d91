"""What people look at first: pools, positions at risk, the last transactions, liquidations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "tables")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def pools(connection: Connection, limit: int = 20) -> list[dict[str, Any]]:
    """Pairs with something lent or supplied, the largest debt first."""
    return await _rows(connection, "pools", limit)


async def at_risk(connection: Connection, limit: int = 10) -> list[dict[str, Any]]:
    """Active positions with debt, the lowest health factor first."""
    return await _rows(connection, "at_risk", limit)


async def transactions(connection: Connection, limit: int = 10) -> list[dict[str, Any]]:
    """The last transactions, newest first."""
    return await _rows(connection, "transactions", limit)


async def liquidations(connection: Connection, limit: int = 10) -> list[dict[str, Any]]:
    """The last liquidations, newest first."""
    return await _rows(connection, "liquidations", limit)


async def events(
    connection: Connection,
    *,
    block: int | None = None,
    transaction: str | None = None,
    name: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The raw log, decoded, filtered by block, transaction hash (padded hex) and event name."""
    return await _rows(connection, "events", block, transaction, name, limit)


async def _rows(connection: Connection, statement: str, *args: object) -> list[dict[str, Any]]:
    found: Sequence[asyncpg.Record] = await connection.fetch(_SQL[statement], *args)
    return [dict(row) for row in found]
