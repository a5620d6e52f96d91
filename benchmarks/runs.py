"""What every benchmark needs: a server, databases, worker processes, and words for the machine."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib import parse

import asyncpg
import click

from indexer.store import embedded, migrate

LARGEST_TABLES = """
SELECT coalesce(inhparent, c.oid)::regclass::text AS table,
    sum(pg_total_relation_size(c.oid))::bigint AS bytes
FROM pg_class c
LEFT JOIN pg_inherits ON inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(quote_ident(current_schema()))
GROUP BY 1
HAVING 100 * sum(pg_total_relation_size(c.oid)) >= $1::bigint
ORDER BY 2 DESC, 1
"""
"""Each table with its indexes and TOAST that holds a hundredth of $1 bytes; a partitioned one as a
whole."""


@contextlib.contextmanager
def server(database: str | None, home: str) -> Iterator[str]:
    """The URL of a PostgreSQL: the given one, or an embedded one while inside."""
    if database:
        yield database
        return
    started = embedded.EmbeddedPostgres(Path(home) / "postgres")
    url = started.start()
    try:
        yield url
    finally:
        started.stop()


@contextlib.asynccontextmanager
async def fresh_database(url: str) -> AsyncIterator[str]:
    """The URL of a new, migrated database, which is dropped afterwards."""
    name = f"bench_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        fresh = parse.urlunsplit(parse.urlsplit(url)._replace(path=f"/{name}"))
        migrate.apply(fresh)
        yield fresh
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


def job(folder: Path, head: int) -> dict[str, Any]:
    """What a worker has to know of a chain; nothing is proved unless `verify` says so."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return {
        "chain_id": manifest["chain_id"],
        "factory": manifest["contracts"]["pool_factory"]["address"],
        "until_block": head,
        "verify": "off",
    }


def work(task: dict[str, Any], module: str, *arguments: str) -> dict[str, Any]:
    """What a benchmark's module prints, run in a process of its own with a job on its stdin."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{' '.join((module, *arguments))} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


async def size(database: str) -> dict[str, Any]:
    """Megabytes of a database, and of each of its larger tables with indexes, the largest first."""
    connection = await asyncpg.connect(database)
    try:
        whole = await connection.fetchval("SELECT pg_database_size(current_database())")
        tables = await connection.fetch(LARGEST_TABLES, whole)
    finally:
        await connection.close()
    return {
        "megabytes": round(whole / 1e6, 1),
        "tables": {row["table"]: round(row["bytes"] / 1e6, 1) for row in tables},
    }


async def machine(url: str) -> dict[str, Any]:
    """Date, cores, processor, load of the last minute, and versions."""
    connection = await asyncpg.connect(url)
    version = await connection.fetchval("SHOW server_version")
    await connection.close()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "postgresql": version,
    }


def _cpu() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text("utf-8").splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
