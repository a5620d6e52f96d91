"""VACUUM, ANALYZE and REINDEX of the indexer's tables, while everybody else goes on."""

from __future__ import annotations

import asyncpg

from indexer.store import sqlfile


async def analyze(connection: asyncpg.Connection, tables: list[str]) -> None:
    """Gather the planner's statistics anew."""
    for table in tables:
        await connection.execute(f"ANALYZE {sqlfile.quoted(table)}")
