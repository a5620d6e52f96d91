"""Rows of the main tables for people: pools, positions at risk, transactions, liquidations, log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.query import database_state
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "tables")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Filter(msgspec.Struct, frozen=True):
    """Which rows: a criterion that is None does not matter. `contracts` are emitters of events."""

    pool: int | None = None
    user: int | None = None
    liquidator: int | None = None
    assets: frozenset[int] | None = None
    types: tuple[str, ...] | None = None
    transaction: int | None = None
    name: str | None = None
    contracts: frozenset[int] | None = None
    from_block: int | None = None
    to_block: int | None = None


ALL = Filter()


async def counts(connection: Connection) -> dict[str, int]:
    """The total number of rows, by the names of the functions below."""
    return dict((await _rows(connection, "counts"))[0])


async def pools(connection: Connection, limit: int = 20) -> list[dict[str, Any]]:
    """Pairs, those of listed pools and with something lent or supplied first."""
    return await _rows(connection, "pools", limit)


async def at_risk(connection: Connection, limit: int = 10) -> list[dict[str, Any]]:
    """Active positions with debt in listed pools, the lowest health factor first."""
    return await _rows(connection, "at_risk", limit)


async def transactions(
    connection: Connection, limit: int = 10, row_filter: Filter = ALL
) -> list[dict[str, Any]]:
    """Effects on positions, newest first."""
    await _require_committed(connection, row_filter.from_block)
    return await _rows(
        connection,
        "transactions",
        _padded(row_filter.pool),
        _padded(row_filter.user),
        _all_padded(row_filter.assets),
        row_filter.types,
        _padded(row_filter.transaction),
        row_filter.from_block,
        row_filter.to_block,
        limit,
    )


async def liquidations(
    connection: Connection, limit: int = 10, row_filter: Filter = ALL
) -> list[dict[str, Any]]:
    """Liquidations, newest first."""
    await _require_committed(connection, row_filter.from_block)
    return await _rows(
        connection,
        "liquidations",
        _padded(row_filter.pool),
        _padded(row_filter.user),
        _padded(row_filter.liquidator),
        _padded(row_filter.transaction),
        row_filter.from_block,
        row_filter.to_block,
        limit,
    )


async def events(
    connection: Connection, limit: int = 100, row_filter: Filter = ALL
) -> list[dict[str, Any]]:
    """The raw log, decoded, newest first."""
    await _require_committed(connection, row_filter.from_block)
    return await _rows(
        connection,
        "events",
        row_filter.from_block,
        row_filter.to_block,
        _padded(row_filter.transaction),
        row_filter.name,
        _all_padded(row_filter.contracts),
        _padded(row_filter.pool),
        limit,
    )


async def _require_committed(connection: Connection, first: int | None) -> None:
    """NotCommittedError where rows are asked for from a block on that is not committed yet."""
    if first is None:
        return
    committed = await database_state.committed_block(connection)
    if committed is None or first > committed:
        raise errors.NotCommittedError(
            f"block {first} is above the committed block {'-' if committed is None else committed}",
            parameter="from_block",
        )


async def _rows(connection: Connection, statement: str, *args: object) -> list[dict[str, Any]]:
    rows: Sequence[asyncpg.Record] = await connection.fetch(_SQL[statement], *args)
    return [dict(row) for row in rows]


def _padded(value: int | None) -> str | None:
    return None if value is None else felt252.padded(value)


def _all_padded(found: Iterable[int] | None) -> list[str] | None:
    return None if found is None else [felt252.padded(value) for value in found]
