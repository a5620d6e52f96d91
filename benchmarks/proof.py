"""Measure the background proof: `python -m benchmarks.proof [--events N] [--empty BLOCKS]`.

Fills a database without any proof, then proves all its blocks as `run` does in the background,
but without pauses: headers, receipts, event counts, event commitments, and the log beside them.
Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from benchmarks import chain, runs, serving
from indexer.recording import lines


class _Counts(msgspec.Struct):
    transaction_count: int
    event_count: int


async def measure(folder: Path, head: int, url: str, latency: float) -> dict[str, Any]:
    """What proving a whole chain took, whose blocks all have their event commitment."""
    task = runs.job(folder, head)
    with serving.serving(folder, latency) as node:
        async with runs.fresh_database(url) as database:
            here = task | {"node": node.url, "database": database}
            runs.work(here, "benchmarks.worker", "ingest")
            node.traffic()
            found = runs.work(here, "benchmarks.worker", "prove")
            asked: dict[str, Any] = msgspec.to_builtins(node.traffic())
    bodies = lines.rows(folder, "blocks", _Counts)
    receipts = sum(body.transaction_count for body in bodies)
    events = sum(body.event_count for body in bodies)
    return found | {
        "receipts": receipts,
        "events": events,
        "receipts_per_second": round(receipts / found["seconds"], 1),
        **asked,
    }


def build(folder: Path, events: int, seed: int, block_events: int, empty: int) -> int:
    """An invented chain with the event commitment in every block; returns its head."""
    every_block = events * (empty + 1)
    return chain.build(folder, events, seed, block_events, empty, every_block)


@click.command(epilog="Example: python -m benchmarks.proof --events 5000 --empty 9 --latency 20")
@click.option("--events", default=10_000, show_default=True, help="How many events to invent.")
@click.option("--block-events", default=19, show_default=True, help="Events in a block.")
@click.option("--empty", default=0, show_default=True, help="Empty blocks after each of them.")
@click.option("--latency", default=0, show_default=True, help="Milliseconds a request.")
@click.option("--seed", default=chain.SEED, show_default=True, help="Of the invented chain.")
@click.option("--database", help="URL of a server; default: a throwaway embedded one.")
def main(
    events: int, block_events: int, empty: int, latency: int, seed: int, database: str | None
) -> None:
    """Prove every block of an invented chain."""
    with (
        tempfile.TemporaryDirectory(prefix="vesu-proof-") as home,
        runs.server(database, home) as url,
    ):
        folder = Path(home) / "chain"
        head = build(folder, events, seed, block_events, empty)
        found = asyncio.run(measure(folder, head, url, latency / 1000))
        told = {"machine": asyncio.run(runs.machine(url)), "latency_ms": latency, **found}
        click.echo(json.dumps(told))


if __name__ == "__main__":
    main()
