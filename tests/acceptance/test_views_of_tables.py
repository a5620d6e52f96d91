"""The public names that are views hold, row by row, what the tables before them held."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import asyncpg

from indexer.store import migrate
from tests import postgres

ROOT = Path(__file__).parents[2]
FIRST = "0036_event_prices"
"""The first migration that put a view in the place of a table."""

NAMES = (
    *("vesu_prices", "vesu_event_prices", "vesu_sampled_prices"),
    *("vesu_position_history", "vesu_asset_history", "vesu_pool_history"),
)


async def contents(url: str) -> dict[str, tuple[list[str], list[str]]]:
    """Of each name its columns with their types and comments, and its rows as text."""
    connection = await asyncpg.connect(url)
    found = {}
    for name in NAMES:
        columns = await connection.fetch(
            "SELECT attname || ' ' || format_type(atttypid, atttypmod) || ' ' || "
            "col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attname",
            name,
        )
        rows = await connection.fetch(f"SELECT to_jsonb(t)::text FROM {name} t ORDER BY 1")
        found[name] = ([row[0] for row in columns], [row[0] for row in rows])
    await connection.close()
    return found


async def rights(url: str) -> set[tuple[str, str, str]]:
    rows = await postgres.fetch(
        url,
        "SELECT relname, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, "
        "x.privilege_type FROM pg_class c, aclexplode(c.relacl) x WHERE x.grantee <> c.relowner "
        f"AND relname = ANY ('{{{','.join(NAMES)}}}')",
    )
    return {tuple(row.values()) for row in rows}


def yoyo(url: str, *arguments: str) -> None:
    """yoyo's own command line in the checkout."""
    subprocess.run(
        [Path(sys.executable).parent / "yoyo", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": postgres.yoyo_url(url)},
        check=True,
        timeout=120,
    )


async def test_rows_rights_and_comments_survive_there_and_back(indexed_copy: str) -> None:
    for name in NAMES:
        await postgres.execute(indexed_copy, f"GRANT SELECT ON {name} TO PUBLIC")
    before, given = await contents(indexed_copy), await rights(indexed_copy)
    assert all(rows for _, rows in before.values())
    assert given == {(name, "PUBLIC", "SELECT") for name in NAMES}
    yoyo(indexed_copy, "rollback", "--revision", FIRST)
    assert FIRST not in migrate.applied(indexed_copy)
    assert await contents(indexed_copy) == before
    assert await rights(indexed_copy) == given
    yoyo(indexed_copy, "apply")
    assert migrate.pending(indexed_copy) == []
    assert await contents(indexed_copy) == before
    assert await rights(indexed_copy) == given
