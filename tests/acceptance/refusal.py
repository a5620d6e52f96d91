"""What the tests of bad input ask of a refusal: one line, one exit code, nothing begun."""

from __future__ import annotations

import asyncpg

from tests.acceptance import stage


async def refused(environ: dict[str, str], *arguments: str, code: int) -> str:
    """The one line on stderr that a command ends with; it printed nothing else anywhere."""
    got, out, err = await stage.command(environ, *arguments, expect=None, timeout=60)
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert got == code, err
    assert out == ""
    return lines[0]


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await connection.close()


async def cursors(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM cursor")
        return count
    finally:
        await connection.close()
