"""All benchmarks in one command: `python -m benchmarks.table [--events N] [--positions N]`.

One JSON line a run on stdout, and with --markdown a table of them in a file. Each fill runs beside
the bare pipeline on the same chain: on a busy machine only their ratio, CPU seconds, calls and
sizes mean anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

Run = dict[str, Any]


def _output(*arguments: str) -> Iterator[str]:
    """Yield each line that a benchmark prints, as soon as its run is measured."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode:
        raise click.ClickException(f"python -m {' '.join(arguments)} failed")


def _fills(what: str, *options: str) -> Iterator[Run]:
    """One run for each latency."""
    for line in _output("benchmarks.fill", *options):
        yield {"run": what, **json.loads(line)}


def _document(what: str, *arguments: str) -> Iterator[Run]:
    yield {"run": what, **json.loads("".join(_output(*arguments)))}


def rows(runs: list[Run]) -> list[tuple[str, str, str]]:
    """What was run, on what, and what it took: the lines of the table."""
    found = []
    for run in runs:
        match run["run"]:
            case "fill":
                found.append(_fill_row(run))
            case "head":
                spent = {name: run[name]["p99"] for name in ("commit_ms", "cpu_ms", "wal_bytes")}
                found.append(
                    (
                        "head, a block",
                        f"{run['active']:,} positions, {run['below_1.3']:,} below 1.3",
                        (
                            f"p99 {spent['commit_ms']} ms, {spent['cpu_ms']} ms of CPU, "
                            f"{spent['wal_bytes'] / 1e6:.2f} MB of WAL"
                        ),
                    )
                )
            case "ingest and replay":
                found += _replay_rows(run)
            case "reorganisation":
                found += [
                    (
                        f"{one['depth']:,} blocks abandoned",
                        f"{one['rows']['events']:,} events in the log",
                        (
                            f"{one['deep_seconds']} s, {one['deep_cpu_seconds']} s of CPU; "
                            f"one block {one['shallow']['median_milliseconds']} ms"
                        ),
                    )
                    for one in run["reorgs"]
                ]
    return found


def _fill_row(run: Run) -> tuple[str, str, str]:
    fill, options = run["fill"], run["options"]
    million = fill["events"] / 1e6
    kind = "sparse" if options["empty"] else "dense"
    return (
        f"fill, {kind}, {options['latency_ms']} ms a request",
        f"{fill['events']:,} events in {options['blocks']:,} blocks",
        (
            f"{run['rate_to_bare']} of the bare pipeline's rate; {fill['cpu_seconds']} s of CPU "
            f"(bare {run['bare']['cpu_seconds']}); {run['calls']:,} calls; "
            f"{fill['megabytes'] / million / 1e3:.2f} GB and {run['calls'] / million:,.0f} calls a "
            f"million events; peak {fill['peak_megabytes']:.0f} MB"
        ),
    )


def _replay_rows(run: Run) -> list[tuple[str, str, str]]:
    return [
        (
            name.replace("_", " "),
            f"{run[name]['events']:,} events",
            (
                f"{run[name]['events_per_second']:,} events/s, "
                f"{run[name]['cpu_seconds']} s of CPU, peak {run[name]['peak_megabytes']:.0f} MB"
            ),
        )
        for name in ("ingest", "ingest_proved", "replay", "replay_of_a_quarter")
    ]


def markdown(runs: list[Run]) -> str:
    """The table, with the machine above it."""
    machine = ", ".join(
        f"{name} {value}"
        for name, value in next(run for run in runs if "machine" in run)["machine"].items()
    )
    lines = [f"| {' | '.join(row)} |" for row in rows(runs)]
    return "\n".join([machine, "", "| run | on | took |", "|---|---|---|", *lines, ""])


@click.command(epilog="Example: python -m benchmarks.table --events 20000 --markdown table.md")
@click.option("--events", default=40_000, show_default=True, help="Invented events of a chain.")
@click.option("--positions", default=50_000, show_default=True, help="In one market at the head.")
@click.option("--blocks", default=200, show_default=True, help="Blocks at the head.")
@click.option("--depth", default=500, show_default=True, help="Blocks of a reorganisation.")
@click.option("--markdown", "target", type=click.Path(path_type=Path), help="Write a table, too.")
def main(events: int, positions: int, blocks: int, depth: int, target: Path | None) -> None:
    """Run all benchmarks, one after the other; one JSON line a run."""
    runs: list[Run] = []

    def tell(more: Iterable[Run]) -> None:
        for run in more:
            runs.append(run)
            click.echo(json.dumps(run))

    latencies = [option for latency in (0, 20, 50) for option in ("--latency", str(latency))]
    tell(_fills("fill", "--events", str(events), *latencies))
    tell(_fills("fill", "--events", str(events // 2), "--empty", "9", *latencies))
    size = ("--events", str(events), "--json")
    tell(_document("ingest and replay", "benchmarks", *size, "--runs", "1"))
    counts = ("--positions", str(positions), "--blocks", str(blocks))
    tell(_document("head", "benchmarks.head", *counts))
    deep = ("--reorg", str(depth), "--block-events", "10")
    tell(_document("reorganisation", "benchmarks", *size, *deep))
    if target is not None:
        target.write_text(markdown(runs), "utf-8")


if __name__ == "__main__":
    main()
