"""Measure a fill from nothing, with the default settings, against the bare pipeline in one run.

`python -m benchmarks.fill --events 188000 --empty 0 --latency 20`: an invented chain, dense or
(with empty blocks between) sparse, served by a process of its own. Prints one JSON line: wall and
CPU seconds, calls by method, the size of the database, and the ratio to the bare pipeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import click

from benchmarks import __main__ as suite
from benchmarks import chain


class Node:
    """A served chain, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self.url = self._out.readline().strip()

    def counts(self) -> dict[str, int]:
        """Calls by method since the last time."""
        self._in.write("counts\n")
        self._in.flush()
        found: dict[str, int] = json.loads(self._out.readline())
        return found


@contextlib.contextmanager
def serving(folder: Path, latency: float) -> Iterator[Node]:
    """A node while inside; `latency` in seconds a request."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.node", str(folder), str(latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Node(process)
    finally:
        process.communicate()


def _worker(module: list[str], job: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", *module],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{module[0]} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


async def _addresses(database: str) -> list[str]:
    """The contracts whose events the fill read: the bare pipeline is told them."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT DISTINCT from_address FROM events")
        return [hex(int(row["from_address"], 16)) for row in rows]
    finally:
        await connection.close()


async def _megabytes(database: str) -> float:
    connection = await asyncpg.connect(database)
    try:
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        return round(int(size) / 1e6, 1)
    finally:
        await connection.close()


async def measure(folder: Path, head: int, url: str, latency: float, verify: str) -> dict[str, Any]:
    """A fill and then the bare pipeline, each into a database of its own."""
    job = suite._job(folder, head) | {"verify": verify}
    with serving(folder, latency) as node:
        async with suite._fresh_database(url) as database:
            fill = _worker(
                ["benchmarks.worker", "ingest"], job | {"node": node.url, "database": database}
            )
            fill |= {"calls": node.counts(), "megabytes": await _megabytes(database)}
            addresses = await _addresses(database)
        async with suite._fresh_database(url) as database:
            bare = _worker(
                ["benchmarks.bare"],
                job | {"node": node.url, "database": database, "addresses": addresses},
            )
            bare |= {"calls": node.counts()}
    return {
        "fill": fill,
        "bare": bare,
        "rate_to_bare": round(fill["events_per_second"] / bare["events_per_second"], 3),
        "calls": sum(fill["calls"].values()),
    }


@click.command(epilog="Example: python -m benchmarks.fill --events 20000 --empty 9 --latency 20")
@click.option("--events", default=50_000, show_default=True, help="How many events to invent.")
@click.option("--block-events", default=19, show_default=True, help="Events in a block.")
@click.option("--empty", default=0, show_default=True, help="Empty blocks after each of them.")
@click.option(
    "--latency",
    "latencies",
    default=[0],
    multiple=True,
    show_default=True,
    help="Milliseconds a request; several: one run each.",
)
@click.option("--verify", default="events", show_default=True, help="As ingest.verify.")
@click.option("--seed", default=chain.SEED, show_default=True, help="Of the invented chain.")
@click.option("--database", help="URL of a server; default: a throwaway embedded one.")
def main(
    events: int,
    block_events: int,
    empty: int,
    latencies: tuple[int, ...],
    verify: str,
    seed: int,
    database: str | None,
) -> None:
    """Fill an empty database from an invented chain; one JSON line a latency on stdout."""
    with (
        tempfile.TemporaryDirectory(prefix="vesu-fill-") as home,
        suite._server(database, home) as url,
    ):
        folder = Path(home) / "chain"
        head = chain.build(folder, events, seed, block_events, empty)
        machine = asyncio.run(suite._machine(url))
        options = {
            "events": events,
            "blocks": head,
            "block_events": block_events,
            "empty": empty,
            "verify": verify,
            "seed": seed,
        }
        for latency in latencies:
            found = asyncio.run(measure(folder, head, url, latency / 1000, verify))
            told = {"machine": machine, "options": options | {"latency_ms": latency}, **found}
            click.echo(json.dumps(told))


if __name__ == "__main__":
    main()
