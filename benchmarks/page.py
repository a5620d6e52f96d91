"""The measured table of docs/benchmarks.md: `python -m benchmarks.page [LINES] [--page FILE]`.

LINES is what `benchmarks.table --out` wrote. What stands between the page's two marks is replaced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

DOCS = Path(__file__).parents[1] / "docs"
LINES = DOCS / "benchmarks.jsonl"
PAGE = DOCS / "benchmarks.md"

BEGIN = "<!-- table: written by `make bench`, not by hand -->"
END = "<!-- table: end -->"

Run = dict[str, Any]

COLUMNS = (
    "run",
    "on",
    "result",
    "CPU of the process",
    "calls, requests and bytes of the node",
    "database",
    "peak memory",
)
TABLES_SHOWN = 12


def written(page: str, runs: list[Run]) -> str:
    """The page with the runs' tables between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise click.ClickException(f"the page lacks {BEGIN!r} or {END!r}")
    return f"{before}{BEGIN}\n{tables(runs)}\n{END}{after}"


def tables(runs: list[Run]) -> str:
    """Machine and date, the table of all runs, and the sizes of the largest fill's tables."""
    machine = next(run for run in runs if run["run"] == "machine")
    loads = [run["load"] for run in runs]
    told = (
        f"{machine['date']}, {machine['cores']} cores of an {machine['cpu']}, "
        f"load {min(loads)} to {max(loads)}, Python {machine['python']}, "
        f"PostgreSQL {machine['postgresql']}."
    )
    lines = [
        told,
        "",
        _row(COLUMNS),
        _row(["---"] * len(COLUMNS)),
        *(_row(cells) for run in runs for cells in _rows(run)),
        "",
        *_sizes(runs),
    ]
    return "\n".join(lines)


def _rows(run: Run) -> list[list[str]]:
    match run["run"]:
        case "fill":
            return _fill(run)
        case "proof":
            return [_proof(run)]
        case "follow":
            return [_follow(run)]
        case "head":
            return [_head(run)]
        case "reorganisation":
            return [_reorganisation(run)]
    return []


def _fill(run: Run) -> list[list[str]]:
    fill, bare, options = run["fill"], run["bare"], run["options"]
    kind = f"{_kind(options)}, {options['latency_ms']} ms a request"
    size = f"{fill['events']:,} events in {options['blocks']:,} blocks"
    found = [
        [
            f"fill, {kind}",
            size,
            f"{fill['events_per_second']:,} events/s, {run['rate_to_bare']} of the limit",
            _cpu(fill),
            _asked(fill),
            f"{fill['megabytes'] / fill['events'] * 1e3:.2f} GB a million events",
            _peak(fill),
        ],
        [
            f"the limit: bare pipeline, {kind}",
            size,
            f"{bare['events_per_second']:,} events/s",
            _cpu(bare),
            _asked(bare),
            "",
            _peak(bare),
        ],
    ]
    if replay := run.get("replay"):
        rate = f"{replay['events_per_second']:,} events/s"
        found.append([f"replay, {_kind(options)}", size, rate, _cpu(replay), "", "", _peak(replay)])
    return found


def _proof(run: Run) -> list[str]:
    return [
        f"background proof, {_kind(run['options'])}",
        f"{run['blocks']:,} blocks, {run['receipts']:,} receipts, {run['events']:,} events",
        f"{run['blocks_per_second']:,} blocks/s, {run['receipts_per_second']:,} receipts/s",
        _cpu(run),
        _asked(run),
        "",
        _peak(run),
    ]


def _follow(run: Run) -> list[str]:
    took = f"{_milliseconds(run['committed_ms'])}, worst {run['committed_ms']['worst']:.0f} ms"
    # Lines of before it was measured have none.
    if answered := run.get("answered_ms"):
        took += f"; after the node's answer {_milliseconds(answered)}"
    pace = f"one every {run['block_ms']} ms, polled every {run['poll_ms']} ms"
    return [
        "head: a block available until committed",
        f"{run['blocks']:,} blocks, {pace}; {run['active']:,} positions",
        took,
        f"{run['cpu_ms_a_block']} ms a block",
        "",
        "",
        _peak(run),
    ]


def _milliseconds(spread: dict[str, float]) -> str:
    return f"p50 {spread['median']:.0f} ms, p99 {spread['p99']:.0f} ms"


def _head(run: Run) -> list[str]:
    took, cpu, log = run["commit_ms"], run["cpu_ms"], run["wal_bytes"]
    return [
        "head: the commit alone",
        f"{run['blocks']:,} blocks; {run['active']:,} positions, {run['below_1.3']:,} below 1.3",
        _milliseconds(took),
        f"with its PostgreSQL process: {_milliseconds(cpu)}",
        "",
        f"write-ahead log: p50 {log['median'] / 1e6:.2f} MB, p99 {log['p99'] / 1e6:.2f} MB",
        "",
    ]


def _reorganisation(run: Run) -> list[str]:
    shallow, depth = run["shallow"], f"{run['depth']:,}"
    one = f"median {shallow['median_milliseconds']} ms, worst {shallow['worst_milliseconds']} ms"
    return [
        f"reorganisations by 1 and {depth} blocks",
        f"{run['rows']['events']:,} events in the log, {run['events_orphaned']:,} taken back",
        f"1 block: {one}; {depth}: {run['deep_seconds']} s",
        f"with its PostgreSQL process: {run['deep_cpu_seconds']} s",
        "",
        "",
        "",
    ]


def _sizes(runs: list[Run]) -> list[str]:
    """The largest tables, with their indexes, of the dense fill with the most events."""
    dense = [run for run in runs if run["run"] == "fill" and not run["options"]["empty"]]
    if not dense:
        return []
    fill = max((run["fill"] for run in dense), key=lambda one: int(one["events"]))
    events, whole = fill["events"], fill["megabytes"]
    shown = list(fill["tables"].items())[:TABLES_SHOWN]
    return [
        f"Size by table, with its indexes, of the dense chain's {events:,} events:",
        "",
        _row(("table", "GB a million events", "share")),
        _row(["---"] * 3),
        *(
            _row((f"`{table}`", f"{size / events * 1e3:.2f}", f"{size / whole:.0%}"))
            for table, size in shown
        ),
        _row(("whole database", f"{whole / events * 1e3:.2f}", "100%")),
    ]


def _kind(options: Run) -> str:
    density = "sparse" if options["empty"] else "dense"
    return f"{density}, without proofs" if options.get("verify") == "off" else density


def _cpu(run: Run) -> str:
    return (
        f"{run['cpu_seconds']:.1f} s, {run['cpu_seconds'] / run['events'] * 1e6:,.0f} µs an event"
    )


def _asked(run: Run) -> str:
    """What the node was asked, a million events."""
    million = run["events"] / 1e6
    calls = sum(run["calls"].values())
    return (
        f"{calls / million:,.0f}, {run['requests'] / million:,.0f} and "
        f"{run['bytes'] / million / 1e9:.2f} GB a million events ({calls:,} calls)"
    )


def _peak(run: Run) -> str:
    return f"{run['peak_megabytes']:.0f} MB"


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


@click.command(epilog="Example: python -m benchmarks.page runs.jsonl")
@click.argument("lines", type=click.Path(path_type=Path, exists=True), default=LINES)
@click.option("--page", type=click.Path(path_type=Path, exists=True), default=PAGE)
def main(lines: Path, page: Path) -> None:
    """Write the table of measured runs into the page."""
    runs = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    page.write_text(written(page.read_text("utf-8"), runs), "utf-8")


if __name__ == "__main__":
    main()
