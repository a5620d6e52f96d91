"""Measure a fill from nothing, with the default settings, against the bare pipeline in one run.

`python -m benchmarks.fill --events 188000 --empty 0 --latency 20`: an invented chain, dense or
(with empty blocks between) sparse, served by a process of its own. Prints one JSON line: wall and
CPU seconds, calls by method, the size of the database, and the ratio to the bare pipeline.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from benchmarks import chain, runs, serving


async def _addresses(database: str) -> list[str]:
    """The contracts whose events the fill read: the bare pipeline is told them."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT DISTINCT from_address FROM events")
        return [hex(int(row["from_address"], 16)) for row in rows]
    finally:
        await connection.close()


async def measure(
    folder: Path, head: int, url: str, latency: float, verify: str, replays: bool = False
) -> dict[str, Any]:
    """A fill and then the bare pipeline, each into a database of its own.

    With `replays` the filled database is replayed as well.
    """
    task = runs.job(folder, head) | {"verify": verify}
    found: dict[str, Any] = {}
    with serving.serving(folder, latency) as node:
        async with runs.fresh_database(url) as database:
            here = task | {"node": node.url, "database": database}
            found["fill"] = runs.work(here, "benchmarks.worker", "ingest")
            found["fill"] |= _asked(node) | await runs.size(database)
            addresses = await _addresses(database)
            if replays:
                found["replay"] = runs.work(here, "benchmarks.worker", "replay")
        async with runs.fresh_database(url) as database:
            here = task | {"node": node.url, "database": database, "addresses": addresses}
            found["bare"] = runs.work(here, "benchmarks.bare") | _asked(node)
    rates = [found[what]["events_per_second"] for what in ("fill", "bare")]
    return found | {"rate_to_bare": round(rates[0] / rates[1], 3)}


def _asked(node: serving.Node) -> dict[str, Any]:
    """What a node was asked since the last time, for a report."""
    found: dict[str, Any] = msgspec.to_builtins(node.traffic())
    return found


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
        runs.server(database, home) as url,
    ):
        folder = Path(home) / "chain"
        head = chain.build(folder, events, seed, block_events, empty)
        machine = asyncio.run(runs.machine(url))
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
