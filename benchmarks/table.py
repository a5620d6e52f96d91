"""All benchmarks in one command: `python -m benchmarks.table [--events N] [--out FILE]`.

One JSON line a run on stdout, and in the file that --out names; `benchmarks.page` makes tables of
them. Each fill runs beside the bare pipeline on the same chain: on a busy machine only their ratio,
CPU seconds, calls and sizes mean anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import structlog

from benchmarks import __main__ as suite
from benchmarks import chain, fill, follow, head, proof, runs

Run = dict[str, Any]

LATENCIES = (0, 20, 50)
"""Milliseconds that a request takes, one fill each."""

BLOCK_EVENTS = 19
SPARSE = 9
"""Empty blocks after each block with events of the sparse chain."""

THIN_BLOCK_EVENTS = 9
THIN_LATENCY = 50
"""Milliseconds that a request takes where a long chain is nearly empty."""

REORG_BLOCK_EVENTS = 10


class Sizes(click.ParamType[tuple[int, ...]]):
    """Numbers of events, separated by commas."""

    name = "number,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """The numbers, in their order."""
        try:
            return tuple(int(part) for part in str(value).split(",") if part)
        except ValueError:
            self.fail(f"{value!r} is no list of numbers", param, ctx)


def fills(
    home: Path, url: str, events: int, empty: int, latencies: tuple[int, ...]
) -> Iterator[Run]:
    """Fills of one chain, one a latency, each beside the bare pipeline; the first is replayed."""
    with _folder(home) as folder:
        blocks = chain.build(folder, events, chain.SEED, BLOCK_EVENTS, empty)
        for latency in latencies:
            is_first = latency == latencies[0]
            measured = fill.measure(folder, blocks, url, latency / 1000, "events", is_first)
            options = {"blocks": blocks, "empty": empty, "latency_ms": latency}
            yield {"run": "fill", "options": options, **asyncio.run(measured)}


def unproved(home: Path, url: str, events: int) -> Run:
    """A fill of a dense chain without proofs, and a replay: what they take grows with it alone."""
    with _folder(home) as folder:
        blocks = chain.build(folder, events, chain.SEED, BLOCK_EVENTS, committed=0)
        return _unproved(folder, url, {"blocks": blocks, "empty": 0, "latency_ms": 0}, replays=True)


def thin(home: Path, url: str, blocks: int) -> Run:
    """A fill of a long sparse chain without proofs: what counts is how often the node is asked."""
    with _folder(home) as folder:
        events = blocks * THIN_BLOCK_EVENTS
        head = chain.build(folder, events, chain.SEED, THIN_BLOCK_EVENTS, SPARSE, 0, blocks)
        options = {"blocks": head, "empty": SPARSE, "latency_ms": THIN_LATENCY}
        return _unproved(folder, url, options, replays=False)


def _unproved(folder: Path, url: str, options: Run, replays: bool) -> Run:
    latency = options["latency_ms"] / 1000
    measured = fill.measure(folder, options["blocks"], url, latency, "off", replays)
    return {"run": "fill", "options": options | {"verify": "off"}, **asyncio.run(measured)}


def proofs(home: Path, url: str, events: int, empty: int) -> Run:
    """The background proof of a whole chain."""
    with _folder(home) as folder:
        blocks = proof.build(folder, events, chain.SEED, BLOCK_EVENTS, empty)
        found = asyncio.run(proof.measure(folder, blocks, url, 0.0))
        return {"run": "proof", "options": {"empty": empty}, **found}


def followed(home: Path, url: str, positions: int, blocks: int) -> Run:
    """From a block's appearing to its commit."""
    with _folder(home) as folder:
        below, last = chain.build_crowd(folder, positions, blocks)
        return {"run": "follow", **asyncio.run(follow.run(folder, below, last, url))}


@contextlib.contextmanager
def _folder(home: Path) -> Iterator[Path]:
    """A folder for one chain, whose gigabytes are gone before the next one is built."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        yield Path(folder) / "chain"


def measure(
    home: Path,
    url: str,
    events: int,
    sizes: tuple[int, ...],
    lengths: tuple[int, ...],
    positions: int,
    blocks: int,
    depth: int,
) -> Iterator[Run]:
    """Run after run."""
    yield {"run": "machine", **asyncio.run(runs.machine(url))}
    yield from fills(home, url, events, 0, LATENCIES)
    yield from fills(home, url, events // 2, SPARSE, LATENCIES)
    for size in sizes:
        yield unproved(home, url, size)
    for length in lengths:
        yield thin(home, url, length)
    yield proofs(home, url, events // 4, 0)
    yield proofs(home, url, events // 20, SPARSE)
    for several in (0, positions):
        yield followed(home, url, several, blocks)
    yield {
        "run": "head",
        **asyncio.run(head._run(url, positions, 0, chain.NEAR_SHARE, blocks, chain.SEED)),
    }
    for found in suite.reorganised(events, REORG_BLOCK_EVENTS, chain.SEED, url, depth):
        yield {"run": "reorganisation", **found}


@click.command(epilog="Example: python -m benchmarks.table --sizes 100000,1000000 --out runs.jsonl")
@click.option("--events", default=40_000, show_default=True, help="Events of the dense chain.")
@click.option(
    "--sizes",
    type=Sizes(),
    default="100000,1000000,5000000",
    show_default=True,
    help="Events of more dense chains, which are filled without proofs and replayed.",
)
@click.option(
    "--thin",
    "lengths",
    type=Sizes(),
    default="200000,1000000",
    show_default=True,
    help="Blocks of more sparse chains, a tenth of them with about ten events.",
)
@click.option("--positions", default=50_000, show_default=True, help="In one market at the head.")
@click.option("--blocks", default=300, show_default=True, help="Blocks at the head.")
@click.option("--depth", default=500, show_default=True, help="Blocks of a reorganisation.")
@click.option("--database", "server", help="URL of a server; default: an embedded one.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the lines, too."
)
def main(
    events: int,
    sizes: tuple[int, ...],
    lengths: tuple[int, ...],
    positions: int,
    blocks: int,
    depth: int,
    server: str | None,
    out: Path | None,
) -> None:
    """Run all benchmarks, one after the other; one JSON line a run."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    lines: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="vesu-bench-") as home,
        runs.server(server, home) as url,
    ):
        for run in measure(Path(home), url, events, sizes, lengths, positions, blocks, depth):
            lines.append(json.dumps(run | {"load": round(os.getloadavg()[0], 1)}))
            click.echo(lines[-1])
    if out is not None:
        out.write_text("\n".join([*lines, ""]), "utf-8")


if __name__ == "__main__":
    main()
