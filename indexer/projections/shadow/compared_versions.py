"""Marks versions in which live and shadow histories differ, where the history is a view.

A view joins each version with its current row and its settings. Those are few or compared already,
so the tables of the versions are held against each other, and the view shows those rows alone that
may differ.
"""

from __future__ import annotations

import asyncpg

from indexer.projections import statements, tables
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "compared_versions")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def mark(
    connection: Connection, live: str, table: tables.Table, first: int, last: int
) -> None:
    """Mark rows of the history of a current table, from block to block.

    The rows of `table` itself are marked already: what a history takes from them differs there.
    """
    history = table.past
    await connection.execute(statements.fill(_SQL["create_suspected"], history, live))
    suspecting = [
        statements.fill(_SQL["suspect_versions"], history, live),
        statements.fill(_SQL["suspect_of_rows"], table, live),
    ]
    if table.settings:
        suspecting.append(statements.fill(_SQL["suspect_of_settings"], table, live))
    statuses = [await connection.execute(statement, first, last) for statement in suspecting]
    if any(status != "INSERT 0 0" for status in statuses):
        await connection.execute(_SQL["analyze_suspected"])
        await connection.execute(statements.fill(_SQL["mark_suspected"], history, live))
    await connection.execute(_SQL["drop_suspected"])
