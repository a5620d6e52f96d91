"""One reorganisation measured, in a process of its own: `python -m benchmarks.reorg`.

Takes a JSON job on stdin (database, folder, common, depth) and prints what it measured. The
database is indexed up to the fork's tip first; then the head goes over to the main branch.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from benchmarks import clock, runs, serving
from benchmarks import worker as workers
from indexer.chain import client, ranges
from indexer.daemon import ingestor
from indexer.projections import engine as engines
from indexer.store import database
from indexer.vesu import discovery, kinds

SHALLOW = 15
"""How many reorganisations of one block are gone through; their median counts."""

TABLES = (
    "events",
    "vesu_positions",
    "position_versions",
    "asset_versions",
    "vesu_transactions",
)


class Measuring:
    """An ingestor, and a head that goes where it is sent."""

    def __init__(
        self, worker: ingestor.Ingestor, served: serving.Node, watch: clock.Clock, backend: int
    ) -> None:
        self._worker = worker
        self._served = served
        self._watch = watch
        self.cpu_seconds = 0.0
        """Of the last reorganisation: this process and the database's, waiting left out."""
        inner = worker._reorganise

        async def counted(*arguments: Any) -> None:
            before = _cpu_seconds(backend)
            await inner(*arguments)
            self.cpu_seconds = _cpu_seconds(backend) - before

        worker._reorganise = counted  # type: ignore[method-assign, assignment]

    async def follow(self, branch: int, number: int) -> tuple[float, float]:
        """Send the head to a block and follow it there.

        Returns the seconds of our own work in taking back and in committing what is new.
        """
        seconds = self._watch.seconds
        before = dict(seconds)
        hash_ = self._served.go_to(branch, number).hash
        while self._worker.position.block_hash != hash_:
            await self._worker.step()
        spent = {phase: seconds[phase] - before.get(phase, 0.0) for phase in seconds}
        return spent.get("back", 0.0) - spent.get("asking", 0.0), spent.get("commit", 0.0)


def _watched(worker: ingestor.Ingestor, node: client.StarknetNode) -> clock.Clock:
    """Counts taking back, less what of it was waiting for the node, and committing."""
    watch = clock.Clock()
    watch.watch(worker, "_reorganise", "back")
    watch.watch(worker._writer, "prepare", "commit")
    watch.watch(worker._writer, "_write", "commit")
    inside = clock.Clock()
    inside.watch(node, "header", "asking")
    watch.seconds = inside.seconds = watch.seconds
    return watch


async def measure(job: dict[str, Any]) -> dict[str, Any]:
    """One-block reorganisations there and back, then a deep one."""
    common, depth = job["common"], job["depth"]
    async with database.session(job["database"]) as connection:
        with serving.serving(Path(job["folder"])) as served:
            settings = client.NodeSettings(max_requests_per_second=1_000_000)
            node = await client.connect([served.url], int(job["chain_id"], 16), settings)
            factory = discovery.Known(kinds.Kind.POOL_FACTORY_V2)
            engine = engines.Engine([(int(job["factory"], 16), factory)])
            reading = ranges.ReaderSettings(verify="off")
            followed = ingestor.IngestorSettings(poll_seconds=0.0, reading=reading)
            worker = ingestor.Ingestor(node, connection, engine, followed, workers.contracts(job))
            backend = connection.get_server_pid()
            measuring = Measuring(worker, served, _watched(worker, node), backend)
            await worker.open(job["chain_id"], 0)
            await measuring.follow(0, common)
            await connection.execute("ANALYZE")
            shallow = [await measuring.follow(turn % 2, common + 1) for turn in range(SHALLOW)]
            await measuring.follow(1, common + depth)
            sizes = {table: await _count(connection, table) for table in TABLES}
            back, again = await measuring.follow(0, common + depth)
            await node.close()
        row = await connection.fetchrow("SELECT * FROM reorgs ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert row["depth"] == depth
    return {
        "rows": sizes,
        "shallow": _told([taken for taken, _ in shallow[1:]]),
        "depth": depth,
        "deep_seconds": round(back, 3),
        "deep_cpu_seconds": round(measuring.cpu_seconds, 3),
        "events_orphaned": row["events_orphaned"],
        "rows_restored": row["rows_restored"],
        "again_seconds": round(again, 3),
    }


def _cpu_seconds(backend: int) -> float:
    """CPU time of this process and of a server process on the same Linux machine."""
    stat = Path(f"/proc/{backend}/stat")
    fields = stat.read_text().rpartition(")")[2].split() if stat.exists() else []
    ticks = int(fields[11]) + int(fields[12]) if fields else 0
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _told(seconds: list[float]) -> dict[str, float]:
    return {
        "median_milliseconds": round(statistics.median(seconds) * 1000, 1),
        "worst_milliseconds": round(max(seconds) * 1000, 1),
    }


async def _count(connection: asyncpg.Connection, table: str) -> int:
    found: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
    return found


def run(folder: Path, database: str, common: int, depth: int) -> dict[str, Any]:
    """Measure in a process of its own."""
    task = runs.job(folder, common) | {
        "database": database,
        "folder": str(folder),
        "common": common,
        "depth": depth,
    }
    return runs.work(task, "benchmarks.reorg")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(json.dumps(asyncio.run(measure(json.load(sys.stdin)))))
