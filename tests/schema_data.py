"""Rows as each released schema held them: tests/data/schemas, one file a schema.

`python -m tests.schema_data` indexes the first blocks of devnet-a with the code as it is and
writes the file of its schema. Do so at each release that brings a migration; files of earlier
releases stay as they are, and tests/acceptance/test_earlier_schemas.py migrates each of them.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import asyncpg

from indexer.recording import server
from indexer.store import migrate
from tests import postgres
from tests.acceptance import stage, truth

FOLDER = Path(__file__).parent / "data" / "schemas"
LAST_BLOCK = 60

TABLES = """
SELECT c.relname AS name,
    array(SELECT confrelid::regclass::text FROM pg_constraint
          WHERE conrelid = c.oid AND contype = 'f') AS parents
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname !~ 'yoyo'
ORDER BY c.relname
"""


async def dump(url: str) -> dict[str, Any]:
    """Every table's rows in COPY's text format, parents before children."""
    connection = await asyncpg.connect(url)
    try:
        waiting = {row["name"]: set(row["parents"]) for row in await connection.fetch(TABLES)}
        tables: dict[str, Any] = {}
        while waiting:
            name = min(name for name, parents in waiting.items() if parents <= tables.keys())
            waiting.pop(name)
            columns = await connection.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass "
                "AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
                name,
            )
            out = io.BytesIO()
            await connection.copy_from_table(name, output=out)
            rows = sorted(out.getvalue().decode().splitlines())
            tables[name] = {"columns": [row["attname"] for row in columns], "rows": rows}
        return {"schema": migrate.known()[-1], "last_block": LAST_BLOCK, "tables": tables}
    finally:
        await connection.close()


async def load(url: str, held: dict[str, Any]) -> None:
    """Fill the empty tables of the same schema."""
    connection = await asyncpg.connect(url)
    try:
        for name, table in held["tables"].items():
            source = io.BytesIO("".join(f"{row}\n" for row in table["rows"]).encode())
            await connection.copy_to_table(name, source=source, columns=table["columns"])
    finally:
        await connection.close()


def migrate_to(url: str, schema: str) -> None:
    """Apply the migrations up to and with the named one."""
    with migrate._connected(url) as connection, migrate._alone(connection, url) as backend:
        for migration in backend.to_apply(migrate._read()):
            if migration.id <= schema:
                migrate._move(backend, migration, "apply")


def read(path: Path) -> dict[str, Any]:
    """A file of FOLDER."""
    held: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return held


async def write() -> Path:
    """Index, dump, write; returns the file."""
    recorded = truth.devnet_a()
    async with postgres.fresh_database() as url:
        async with server.RecordingServer(recorded.chain) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(environ, "run", "--until-block", str(LAST_BLOCK), "--no-serve")
        held = await dump(url)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{held['schema']}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(held, indent=1).encode(), mtime=0))
    return path


def main() -> str:
    """Write the file of this schema; returns its path."""
    try:
        return str(asyncio.run(write()))
    finally:
        for stop in postgres._stops:
            stop()


if __name__ == "__main__":
    sys.stdout.write(f"{main()}\n")
