"""CPU of decoding and folding, per event: `python -m benchmarks.folding [--runs N] FOLDER...`.

Takes recorded chains as one batch each, the way the range reader hands them over: discovery sees
the events of the contracts that are known, again with those of the contracts that it learnt, then
the batch is decoded and folded. No database and no node; views stay unanswered, in every run the
same ones. A copy of this module elsewhere, with `PYTHONPATH` naming another checkout, measures
that one.
"""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
import structlog

from indexer.chain import types
from indexer.log import facts
from indexer.projections import engine as engines
from indexer.recording import branches, lines
from indexer.vesu import discovery, kinds

ROOT = Path(__file__).parents[1]
RECORDINGS = (
    ROOT / "indexer" / "recording" / "bundled" / "devnet-a",
    *(
        ROOT / "tests" / "data" / f"devnet-{name}"
        for name in ("v11", "v10-migration", "v10-genesis")
    ),
)
KINDS = {
    "pool_factory": kinds.Kind.POOL_FACTORY_V2,
    "singleton_v10": kinds.Kind.SINGLETON_V1_0,
    "singleton_v11": kinds.Kind.SINGLETON_V1_1,
    "extension_v0": kinds.Kind.EXTENSION_V1_0_GENESIS,
    "extension_v10": kinds.Kind.EXTENSION_V1_0,
    "extension_v11": kinds.Kind.EXTENSION_V1_1,
}


class NoRows:
    """A connection to an empty database."""

    async def fetch(self, *_: Any) -> list[Any]:
        """Nothing is held yet."""
        return []


def _roots(folder: Path) -> list[tuple[int, discovery.Known]]:
    contracts = json.loads((folder / "manifest.json").read_text())["contracts"]
    return [
        (int(contracts[name]["address"], 16), discovery.Known(kind))
        for name, kind in KINDS.items()
        if name in contracts
    ]


def folded(folder: Path) -> engines.Prepared:
    """A whole recording, decoded and folded."""
    return _fold(*_read(folder))


def measure(folder: Path) -> tuple[int, float]:
    """(events, seconds of CPU) of one recording, decoded and folded once."""
    recorded = _read(folder)
    began = _cpu_seconds()
    prepared = _fold(*recorded)
    return len(prepared.batch.events), _cpu_seconds() - began


def _cpu_seconds() -> float:
    # User time alone is told by the kernel's ticks, which a run of 10 ms hardly sees.
    return time.process_time()


def _read(
    folder: Path,
) -> tuple[list[types.EmittedEvent], list[tuple[int, discovery.Known]], dict[int, int]]:
    """A recording's events, the contracts that are known from the start, and block times."""
    times = {
        block["block_number"]: block["timestamp"]
        for block in lines.Lines(folder, "blocks").decoded(dict[str, Any])
    }
    events = [line.emitted() for line in lines.rows(folder, "events", branches.EventLine)]
    return events, _roots(folder), times


def _fold(
    every: list[types.EmittedEvent],
    roots: list[tuple[int, discovery.Known]],
    times: dict[int, int],
) -> engines.Prepared:
    engine = engines.Engine(roots)
    known: frozenset[int] = frozenset()
    events: list[types.EmittedEvent] = []
    while known != engine.addresses():
        known = engine.addresses()
        ours = {hex(address) for address in known}
        events = [event for event in every if event.from_address in ours]
        engine.discover(events)
    batch = facts.Batch(0, max(times), events, times, {})
    return _finished(engine.prepare(NoRows(), batch))  # type: ignore[arg-type]


def _finished(work: Coroutine[Any, Any, engines.Prepared]) -> engines.Prepared:
    """What a coroutine returns that waits for nothing; also inside a running event loop.

    It may let others run in between, as `asyncio.sleep(0)` does.
    """
    try:
        while work.send(None) is None:
            continue
    except StopIteration as done:
        prepared: engines.Prepared = done.value
        return prepared
    raise RuntimeError("the preparation waited for something")


@click.command()
@click.option("--runs", default=15, show_default=True, help="Runs of each chain.")
@click.argument("folders", type=click.Path(path_type=Path, exists=True), nargs=-1)
def main(runs: int, folders: tuple[Path, ...]) -> None:
    """Print microseconds of CPU per event for each recorded chain: median and minimum."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for folder in folders or RECORDINGS:
        found = [measure(folder) for _ in range(runs)]
        events = found[0][0]
        each = [seconds / events * 1e6 for _, seconds in found]
        click.echo(
            f"{folder.name}: {events} events, {statistics.median(each):.1f} us each, "
            f"{min(each):.1f} at least"
        )


if __name__ == "__main__":
    main()
