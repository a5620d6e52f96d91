"""One measured run in a process of its own: `python -m benchmarks.worker ingest|replay|prove`.

Takes a JSON job on stdin (database, node, chain_id, factory, until_block) and prints what it
measured as JSON.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
import time
from typing import Any

import asyncpg
import structlog

from benchmarks import clock
from indexer.audit import invariants
from indexer.chain import client, ranges
from indexer.commands import event_loop
from indexer.config import sections
from indexer.daemon import ingestor, prover, writer
from indexer.log import cursor, facts, verified, watch_list
from indexer.projections import engine as engines
from indexer.projections import replay
from indexer.projections.shadow import build, swap
from indexer.store import database
from indexer.vesu import discovery, kinds

UNLIMITED = 1_000_000

PROVED_A_LOOK = 500
"""Blocks that the background proves at a look; by default 5, with pauses between."""


def _engine(job: dict[str, Any], watch: clock.Clock) -> engines.Engine:
    factory = discovery.Known(kinds.Kind.POOL_FACTORY_V2)
    engine = engines.Engine([(int(job["factory"], 16), factory)])
    watch.watch(engine, "prepare", "decode")
    watch.watch(engine, "_fold", "fold")
    return engine


def contracts(job: dict[str, Any]) -> list[watch_list.Contract]:
    """The contracts that a job's ingestor starts from: the factory alone."""
    return [watch_list.Contract(int(job["factory"], 16), kinds.Kind.POOL_FACTORY_V2.value, 0)]


async def ingest(job: dict[str, Any]) -> dict[str, Any]:
    """Index everything that the node serves into an empty, migrated database."""
    watch = clock.Clock()
    chain_id = int(job["chain_id"], 16)
    settings = client.NodeSettings(max_requests_per_second=UNLIMITED)
    node = await client.connect([job["node"]], chain_id, settings)
    events = 0

    def report(progress: ingestor.Progress) -> None:
        nonlocal events
        events = progress.total_events

    # As users have it.
    reading = ranges.ReaderSettings(
        verify=job["verify"], target_events=sections.Ingest().batch_events
    )
    async with database.session(job["database"]) as connection:
        followed = ingestor.IngestorSettings(poll_seconds=0.05, reading=reading)
        open_second = functools.partial(database.session, job["database"])
        worker = ingestor.Ingestor(
            node, connection, _engine(job, watch), followed, contracts(job), report, open_second
        )
        watch.watch(writer.Writer, "_write", "write")
        watch.watch(invariants, "watch", "sums")
        began, cpu = time.perf_counter(), time.process_time()
        await worker.open(hex(chain_id), 0)
        await worker.run(job["until_block"])
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        await refuse_frozen(connection)
    await node.close()
    # Ranges are read, decoded and folded while others are written: what is left was waited for.
    watch.seconds["fetch"] = max(seconds - watch.seconds["write"], 0.0)
    return _measured(watch, events, seconds, cpu)


async def refuse_frozen(connection: asyncpg.Connection) -> None:
    """A frozen pool folds nothing: its events would be measured as if they had been folded."""
    reasons = await connection.fetch(
        "SELECT quarantine_reason FROM contracts WHERE quarantine_reason IS NOT NULL"
    )
    if reasons:
        raise SystemExit(f"{len(reasons)} pools are quarantined, the first: {reasons[0][0]}")


async def again(job: dict[str, Any]) -> dict[str, Any]:
    """Replay the whole log."""
    watch = clock.Clock()
    watch.watch(facts, "read_batch", "fetch")
    watch.watch(engines.Engine, "project", "write")
    watch.watch(swap, "mark", "compare")
    watch.watch(swap, "_put_live", "swap")
    async with database.session(job["database"]) as connection:
        open_second = functools.partial(database.session, job["database"])
        built = build.Shadow(connection, _engine(job, watch), open_second=open_second)
        began, cpu = time.perf_counter(), time.process_time()
        done = await replay.replay(built, 0, None)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return _measured(watch, done.events, seconds, cpu) | {"rows_changed": done.rows_changed}


async def prove(job: dict[str, Any]) -> dict[str, Any]:
    """Prove every block of a filled database in the background's way, without its pauses."""
    settings = client.NodeSettings(max_requests_per_second=UNLIMITED)
    node = await client.connect([job["node"]], int(job["chain_id"], 16), settings)
    async with database.session(job["database"]) as connection:
        committed = await cursor.read(connection)
        assert committed is not None, "the database was filled"
        blocks = range(committed.start_block, committed.block_number + 1)
        proving = prover.Prover(
            node,
            connection,
            [int(job["factory"], 16)],
            prover.ProverSettings(PROVED_A_LOOK * round(60 / prover.LOOK_SECONDS)),
        )
        began, cpu = time.perf_counter(), time.process_time()
        while await verified.lacking(connection, blocks[0], blocks[-1], most=1):
            if found := await proving.look():
                raise SystemExit(f"{len(found)} events of the log are not the chain's: {found[0]}")
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    await node.close()
    return {
        "blocks": len(blocks),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "blocks_per_second": round(len(blocks) / seconds, 1),
        "peak_megabytes": clock.peak_megabytes(),
    }


def _measured(watch: clock.Clock, events: int, seconds: float, cpu: float) -> dict[str, Any]:
    names = ("fetch", "decode", "fold", "write", "sums", "compare", "swap")
    phases = {name: watch.seconds[name] for name in names}
    # A batch is folded inside its preparation, and its sums are checked inside its transaction.
    phases["decode"] -= phases["fold"]
    phases["write"] -= phases["sums"]
    return {
        "events": events,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "events_per_second": round(events / seconds),
        "peak_megabytes": clock.peak_megabytes(),
        "shares": {name: round(spent / seconds, 3) for name, spent in phases.items() if spent},
    }


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    event_loop.collect_rarely()
    work = {"ingest": ingest, "replay": again, "prove": prove}[sys.argv[1]]
    print(json.dumps(event_loop.run(work(json.load(sys.stdin)), event_loop.fast())))
