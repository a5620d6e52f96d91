"""From a block's appearing to its commit: `python -m benchmarks.follow [--positions N]`.

`vesu-indexer run` fills a database up to the block before the last ones of an invented chain. Then
its node shows one more block every 200 ms (`--block-ms`), in which others emit events, too
(`--foreign`). A block's time ends when a listener of `vesu_blocks` hears of it: its rows can be
read then. It begins when the block is there to be asked for, and once more when the node's first
answer names it, between which the indexer waits for its next look. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import click

from benchmarks import chain, clock, head, runs, serving

BLOCK_SECONDS = 0.2
POLL_SECONDS = 0.05
PATIENCE = 600.0
"""Seconds without a commit: a window of full blocks takes minutes on a busy machine."""

ACTIVE = "SELECT count(*) FROM vesu_positions WHERE status = 'active'"


class Heard:
    """When each block was committed, by the notices of `vesu_blocks`."""

    def __init__(self) -> None:
        self.committed: dict[int, float] = {}
        self.last = -1
        self._news = asyncio.Event()

    def hear(self, _connection: object, _pid: object, _channel: object, payload: object) -> None:
        """A notice: its block and all since the last one are committed now."""
        number = json.loads(str(payload))["block_number"]
        now = time.time()
        for block in range(self.last + 1, number + 1):
            self.committed[block] = now
        self.last = max(self.last, number)
        self._news.set()

    async def until(self, block: int) -> None:
        """Wait for a block's commit; TimeoutError where no notice comes for PATIENCE seconds."""
        while self.last < block:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)


def _environment(folder: Path, node_url: str, database: str) -> dict[str, str]:
    task = runs.job(folder, 0)
    root = {"kind": "pool_factory_v2", "address": task["factory"], "from_block": 0}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VESU_")}
    return kept | {
        "DATABASE_URL": database,
        "VESU_NETWORK_NAME": "custom",
        "VESU_NETWORK_CHAIN_ID": task["chain_id"],
        "VESU_NETWORK_START_BLOCK": "0",
        "VESU_NETWORK_CONTRACTS": json.dumps([root]),
        "VESU_NODE_URLS": node_url,
        "VESU_NODE_POLL_INTERVAL_SECONDS": str(POLL_SECONDS),
        "VESU_NODE_MAX_REQUESTS_PER_SECOND": "10000",
        # The invented chain's oracle answers no question of a sampler.
        "VESU_PRICES_SAMPLE_SECONDS": "0",
        "VESU_LOG_LEVEL": "error",
    }


@contextlib.asynccontextmanager
async def _running(environ: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """`vesu-indexer run`, stopped at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "indexer", "run", "--no-serve"), env=environ
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


class Pace(NamedTuple):
    """Seconds from one block to the next, and seconds that each of the node's answers takes."""

    block_seconds: float = BLOCK_SECONDS
    latency: float = 0.0


USUAL = Pace()


async def measure(folder: Path, below: int, last: int, database: str, pace: Pace) -> dict[str, Any]:
    """Follow the blocks after `below`; milliseconds from when each is shown until its commit."""
    heard = Heard()
    shown: dict[int, float] = {}
    connection = await asyncpg.connect(database)
    await connection.add_listener("vesu_blocks", heard.hear)
    with serving.serving(folder, pace.latency) as node:
        node.go_to(0, below)
        async with _running(_environment(folder, node.url, database)) as process:
            await heard.until(below)
            await connection.execute("VACUUM ANALYZE vesu_positions")
            began = asyncio.get_running_loop().time()
            cpu = _cpu_seconds(process.pid)
            for turn, block in enumerate(range(below + 1, last + 1)):
                wait = began + turn * pace.block_seconds - asyncio.get_running_loop().time()
                await asyncio.sleep(max(0.0, wait))
                shown[block] = node.go_to(0, block).at
            await heard.until(last)
            cpu = _cpu_seconds(process.pid) - cpu
            peak = clock.peak_megabytes(process.pid)
        told = node.told()
    active = await connection.fetchval(ACTIVE)
    await connection.close()
    took = [(heard.committed[block] - at) * 1000 for block, at in shown.items()]
    published = [(heard.committed[block] - told[block]) * 1000 for block in shown]
    return {
        "active": active,
        "blocks": len(took),
        "block_ms": round(pace.block_seconds * 1000),
        "poll_ms": round(POLL_SECONDS * 1000),
        "commits": len({heard.committed[block] for block in shown}),
        "committed_ms": head.spread(took),
        "answered_ms": head.spread(published),
        "cpu_ms_a_block": round(cpu / len(took) * 1000, 1),
        "peak_megabytes": peak,
    }


def _cpu_seconds(pid: int) -> float:
    """CPU time of another process, on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run(folder: Path, below: int, last: int, url: str, pace: Pace = USUAL) -> dict[str, Any]:
    """Measure in a database of its own."""
    async with runs.fresh_database(url) as database:
        return await measure(folder, below, last, database, pace)


@click.command(epilog="Example: python -m benchmarks.follow --positions 50000 --blocks 300")
@click.option("--positions", default=0, show_default=True, help="Opened in one market before.")
@click.option("--blocks", default=300, show_default=True, help="Followed one by one.")
@click.option(
    "--block-ms",
    default=round(BLOCK_SECONDS * 1000),
    show_default=True,
    help="From one to the next.",
)
@click.option("--foreign", default=0, show_default=True, help="Events of others in each of them.")
@click.option("--latency", default=0, show_default=True, help="Milliseconds an answer takes.")
@click.option("--seed", default=chain.SEED, show_default=True, help="Of the invented chain.")
@click.option("--database", "server", help="URL of a server; default: an embedded one.")
def main(
    positions: int,
    blocks: int,
    block_ms: int,
    foreign: int,
    latency: int,
    seed: int,
    server: str | None,
) -> None:
    """Follow an invented chain, by default with a block every 200 ms."""
    with (
        tempfile.TemporaryDirectory(prefix="vesu-follow-") as home,
        runs.server(server, home) as url,
    ):
        folder = Path(home) / "chain"
        below, last = chain.build_crowd(folder, positions, blocks, seed, foreign)
        told = {"machine": asyncio.run(runs.machine(url))}
        pace = Pace(block_ms / 1000, latency / 1000)
        measured = asyncio.run(run(folder, below, last, url, pace))
        click.echo(json.dumps(told | {"latency_ms": latency} | measured))


if __name__ == "__main__":
    main()
