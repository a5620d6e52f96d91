"""Measure ingest and replay on this machine: `python -m benchmarks [--events N] [--json]`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import click

from benchmarks import chain, reorg, runs, serving

RUNS = ("ingest", "ingest_proved", "replay", "replay_of_a_quarter")
PHASES = ("fetch", "decode", "fold", "sums", "write", "compare", "swap")

SPOIL = """
UPDATE vesu_positions SET collateral_shares = collateral_shares + 1;
UPDATE position_versions SET collateral_shares = collateral_shares + 1;
"""
"""Every position and every version of it wrong: the swap that changes the most."""

ALONE_SECONDS = 2.0


@click.command(epilog="Example: python -m benchmarks --events 100000 --runs 3")
@click.option("--events", default=50_000, show_default=True, help="How many events to invent.")
@click.option("--block-events", default=100, show_default=True, help="Events in a block.")
@click.option("--runs", "rounds", default=3, show_default=True, help="Runs; the median counts.")
@click.option("--seed", default=chain.SEED, show_default=True, help="Of the invented chain.")
@click.option("--database", help="URL of a server; default: a throwaway embedded one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--reorg",
    "depth",
    type=click.IntRange(1),
    help="Measure a reorganisation of so many blocks instead, on tables of two sizes.",
)
def main(
    events: int,
    block_events: int,
    rounds: int,
    seed: int,
    database: str | None,
    as_json: bool,
    depth: int | None,
) -> None:
    """Index an invented dense chain over HTTP, replay it from the log, print the rates.

    With --reorg: index EVENTS, and a tenth of them, and after each let the chain abandon its
    last block, several times, and then that many blocks.
    """
    if depth is not None:
        told = _reorganise(events, block_events, seed, database, depth)
        _print_reorg(told, as_json)
        return
    with (
        tempfile.TemporaryDirectory(prefix="vesu-bench-") as home,
        runs.server(database, home) as url,
    ):
        folder = Path(home) / "chain"
        small = Path(home) / "quarter"
        heads = {
            place: chain.build(place, count, seed, block_events)
            for place, count in ((folder, events), (small, events // 4))
        }
        measured = asyncio.run(_measure(folder, small, heads, url, rounds))
    options = {"events": events, "block_events": block_events, "runs": rounds, "seed": seed}
    report = {"options": options, **measured}
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report)


async def _measure(
    folder: Path, small: Path, heads: dict[Path, int], url: str, rounds: int
) -> dict[str, Any]:
    job = runs.job(folder, heads[folder])
    found: dict[str, list[dict[str, Any]]] = {what: [] for what in RUNS}
    readers: list[dict[str, Any]] = []
    with serving.serving(folder) as node, serving.serving(small) as small_node:
        for _ in range(rounds):
            async with runs.fresh_database(url) as database:
                found["ingest"].append(
                    _run("ingest", job | {"node": node.url, "database": database})
                )
                found["replay"].append(_run("replay", job | {"database": database}))
                readers.append(await _read_beside(job | {"database": database}))
            async with runs.fresh_database(url) as database:
                proving = job | {"node": node.url, "database": database, "verify": "events"}
                found["ingest_proved"].append(_run("ingest", proving))
            async with runs.fresh_database(url) as database:
                quarter = runs.job(small, heads[small]) | {
                    "node": small_node.url,
                    "database": database,
                }
                _run("ingest", quarter)
                found["replay_of_a_quarter"].append(_run("replay", quarter))
    medians = {what: _median(results) for what, results in found.items()}
    return {
        "machine": await runs.machine(url),
        **medians,
        "memory_growth": _growth(medians["replay_of_a_quarter"], medians["replay"]),
        "reader": max(readers, key=lambda reader: reader["beside_replay"]["longest_ms"]),
    }


def _run(what: str, job: dict[str, Any]) -> dict[str, Any]:
    return runs.work(job, "benchmarks.worker", what)


def _growth(small: dict[str, Any], large: dict[str, Any]) -> dict[str, Any]:
    """Peak memory of a replay against the number of events."""
    return {
        "events": [small["events"], large["events"]],
        "peak_megabytes": [small["peak_megabytes"], large["peak_megabytes"]],
        "events_ratio": round(large["events"] / small["events"], 2),
        "memory_ratio": round(large["peak_megabytes"] / small["peak_megabytes"], 2),
    }


async def _read_beside(job: dict[str, Any]) -> dict[str, Any]:
    """A reader's wait with nothing beside it, and beside a replay whose swap changes much."""
    connection = await asyncpg.connect(job["database"])
    await connection.execute(SPOIL)
    await connection.close()
    with _reader(job["database"]) as alone:
        await asyncio.sleep(ALONE_SECONDS)
    with _reader(job["database"]) as beside:
        done = await asyncio.to_thread(_run, "replay", job)
    return {"rows_changed": done["rows_changed"], "alone": alone, "beside_replay": beside}


@contextlib.contextmanager
def _reader(database: str) -> Iterator[dict[str, Any]]:
    """A reader while inside; what it measured is there afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.reader", database],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    measured: dict[str, Any] = {}
    try:
        yield measured
    finally:
        out, _ = process.communicate()
        measured |= json.loads(out)


def _median(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The run of the median rate, with the rates of all runs."""
    ordered = sorted(results, key=lambda result: result["events_per_second"])
    middle = statistics.median_low(result["events_per_second"] for result in ordered)
    median = next(result for result in ordered if result["events_per_second"] == middle)
    return median | {"all_events_per_second": [result["events_per_second"] for result in results]}


def _reorganise(
    events: int, block_events: int, seed: int, database: str | None, depth: int
) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="vesu-bench-") as home,
        runs.server(database, home) as url,
    ):
        found = reorganised(events, block_events, seed, url, depth)
        machine = asyncio.run(runs.machine(url))
    options = {"events": events, "block_events": block_events, "depth": depth, "seed": seed}
    return {"options": options, "machine": machine, "reorgs": found}


def reorganised(
    events: int, block_events: int, seed: int, url: str, depth: int
) -> list[dict[str, Any]]:
    """A reorganisation above a tenth of the events, and above all of them."""
    found = []
    for size in (max(events // 10, 1), events):
        with tempfile.TemporaryDirectory(prefix="vesu-bench-") as home:
            folder = Path(home) / "chain"
            common = chain.build_fork(folder, size, depth, seed, block_events)
            found.append(asyncio.run(_reorganised(folder, url, common, depth)))
    return found


async def _reorganised(folder: Path, url: str, common: int, depth: int) -> dict[str, Any]:
    async with runs.fresh_database(url) as database:
        return await asyncio.to_thread(reorg.run, folder, database, common, depth)


def _print_reorg(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for about in ("machine", "options"):
        click.echo(", ".join(f"{name} {value}" for name, value in report[about].items()))
    for found in report["reorgs"]:
        rows = ", ".join(f"{table} {count:,}" for table, count in found["rows"].items())
        shallow = found["shallow"]
        click.echo(
            f"rows: {rows}\n"
            f"  1 block: median {shallow['median_milliseconds']} ms, worst "
            f"{shallow['worst_milliseconds']} ms\n"
            f"  {found['depth']:,} blocks: {found['deep_seconds']} s, of them "
            f"{found['deep_cpu_seconds']} s of CPU ({found['events_orphaned']:,} events moved, "
            f"{found['rows_restored']:,} rows restored); indexing the other branch took "
            f"{found['again_seconds']} s more"
        )


def _print(report: dict[str, Any]) -> None:
    click.echo(", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    click.echo(", ".join(f"{name} {value}" for name, value in report["options"].items()))
    for what in RUNS:
        result = report[what]
        shares = ", ".join(
            f"{phase} {result['shares'][phase]:.0%}"
            for phase in PHASES
            if phase in result["shares"]
        )
        click.echo(
            f"{what}: {result['events_per_second']:,} events/s ({result['events']:,} events in "
            f"{result['seconds']:.1f} s, {result['cpu_seconds']:.1f} s of CPU), peak memory "
            f"{result['peak_megabytes']:.0f} MB; {shares}"
        )
    growth, reader = report["memory_growth"], report["reader"]
    click.echo(
        f"memory of a replay: {growth['events_ratio']} times the events take "
        f"{growth['memory_ratio']} times the memory"
    )
    for when in ("alone", "beside_replay"):
        waited = reader[when]
        click.echo(
            f"reader {when.replace('_', ' a ')}: {waited['reads']:,} reads, median "
            f"{waited['median_ms']} ms, 99 % within {waited['p99_ms']} ms, longest "
            f"{waited['longest_ms']} ms"
        )


if __name__ == "__main__":
    main()
