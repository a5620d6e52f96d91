"""Hours at the head: `python -m tests.chaos.soak --minutes 60`.

One process of `vesu-indexer run` follows an invented chain on which a block comes every 200 ms
and a fork every hundred blocks, while its node fails and its database goes away by a seeded dice.
In the end its memory must have stayed flat and its digest must be an undisturbed run's; its checks
against the contracts (`tests.chaos.contracts`) must have compared values, all of them equal.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import click

from benchmarks import chain as chains
from indexer.recording import chain, options, playhead, server
from tests import postgres
from tests.acceptance import stage, truth
from tests.chaos import contracts, daemon, proxy, surroundings

BLOCK_SECONDS = 0.2
FORK_EVERY = 100
FORK_DEPTH = 4
SAMPLE_SECONDS = 5.0
FAULTY_REQUESTS = 0.01
OUTAGE_SECONDS = 45.0
WARM_SHARE = 0.25
"""The first part of the samples, in which caches and pools fill, does not count."""

FLAT_SHARE = 0.05
"""Growth over the rest, by the slope of a line through it, of the mean."""

RECONCILE_SECONDS = 300.0
"""How often the daemon checks by default; a soak of less than twenty minutes has it check more."""

LEAST_CHECKS = 4

FAULTS = ("busy", "unavailable", "cut", "truncated", "garbage", "slow", "internal")


class Soak:
    """One soak; `samples` are (seconds, kilobytes of resident memory)."""

    def __init__(self, minutes: float, seed: int) -> None:
        self.contracts: contracts.Contracts | None = None
        self.blocks = int(minutes * 60 / BLOCK_SECONDS)
        self.seconds = minutes * 60
        self.samples: list[tuple[float, int]] = []
        self.faults = self.outages = 0
        self._dice = random.Random(seed)

    def fault(self, method: str, params: Any) -> options.Fault | None:
        """One request in a hundred fails."""
        if method.endswith(("specVersion", "chainId")) or self._dice.random() > FAULTY_REQUESTS:
            return self.contracts.answer(method, params) if self.contracts else None
        self.faults += 1
        return surroundings.fault(self._dice.choice(FAULTS))

    async def play(self, head: playhead.Playhead) -> None:
        """Block after block; what a slow machine missed is made up for."""
        began = time.monotonic()
        steps = head.steps_left
        while head.steps_left:
            due = int((time.monotonic() - began) / BLOCK_SECONDS)
            behind = due - (steps - head.steps_left)
            if behind > 0:
                head.release(min(behind, head.steps_left))
            await asyncio.sleep(BLOCK_SECONDS / 4)

    async def disturb(self, way: proxy.Proxy) -> None:
        """The database goes away again and again, for up to three seconds."""
        while True:
            await asyncio.sleep(self._dice.uniform(0.5, 1.5) * OUTAGE_SECONDS)
            self.outages += 1
            way.is_refusing = self._dice.random() < 0.5
            way.cut()
            await asyncio.sleep(self._dice.uniform(0.1, 3))
            way.is_refusing = False

    async def sample(self, pid: int) -> None:
        """Note the process's memory."""
        began = time.monotonic()
        while True:
            self.samples.append((time.monotonic() - began, resident(pid)))
            if len(self.samples) % 12 == 0:
                click.echo(f"{self.samples[-1][0]:.0f} s: {self.samples[-1][1] / 1024:.1f} MB")
            await asyncio.sleep(SAMPLE_SECONDS)

    def verdict(self) -> tuple[bool, str]:
        """Whether memory is flat, in words."""
        warm = self.samples[int(len(self.samples) * WARM_SHARE) :]
        slope = statistics.linear_regression(*zip(*warm, strict=True)).slope
        sizes = [size for _, size in warm]
        mean, window = statistics.fmean(sizes), warm[-1][0] - warm[0][0]
        is_flat = slope * window <= FLAT_SHARE * mean
        return is_flat, (
            f"memory {min(sizes) / 1024:.1f} to {max(sizes) / 1024:.1f} MB, mean "
            f"{mean / 1024:.1f} MB, slope {slope * 3600 / 1024:+.2f} MB an hour over "
            f"{window / 60:.1f} minutes ({len(warm)} samples): {'flat' if is_flat else 'GROWS'}"
        )


def resident(pid: int) -> int:
    """Kilobytes of resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


@click.command()
@click.option("--minutes", default=60.0, show_default=True, help="How long blocks come.")
@click.option("--seed", default=1, show_default=True, help="Of faults and outages.")
def main(minutes: float, seed: int) -> None:
    """Follow the head for so long; exit code 1 where memory grows or the tables are wrong."""
    with postgres.serving(), tempfile.TemporaryDirectory(prefix="vesu-soak-") as home:
        sys.exit(asyncio.run(_soak(Soak(minutes, seed), Path(home))))


async def _soak(soak: Soak, home: Path) -> int:
    click.echo(f"inventing {soak.blocks} blocks")
    folder = home / "chain"
    last = chains.build_story(folder, soak.blocks, FORK_EVERY, FORK_DEPTH)
    loaded = chain.load(folder)
    recorded = Recorded(folder)
    head = playhead.Playhead(loaded, story=True)
    head.release(head.steps_left - soak.blocks - len(loaded.forks) * (FORK_DEPTH + 1))
    soak.contracts = contracts.Contracts(loaded)
    settings = options.ServerOptions(fault=soak.fault)
    async with (
        postgres.fresh_database() as url,
        proxy.Proxy(url) as way,
        server.RecordingServer(loaded, head, settings) as node,
    ):
        every = min(RECONCILE_SECONDS, soak.seconds / LEAST_CHECKS)
        environ = stage.environment(
            recorded, node.url, way.url, VESU_RECONCILE_EVERY_SECONDS=str(int(every))
        )
        async with daemon.started(environ, home / "log", forked=False) as running:
            await running.tells("started")
            sampling = asyncio.create_task(soak.sample(running.process.pid))
            disturbing = asyncio.create_task(soak.disturb(way))
            try:
                await soak.play(head)
            finally:
                disturbing.cancel()
                sampling.cancel()
            way.flow()
            await running.commits(url, last)
            failures = await running.failures()
            await running.stop()
        is_flat, said = soak.verdict()
        click.echo(
            f"{soak.blocks} blocks, {soak.faults} faults of the node, {soak.outages} outages of "
            f"the database ({failures:.0f} sessions lost), {await _reorgs(url)} reorganisations; "
            f"{said}"
        )
        found = [
            is_flat,
            await _samples(url, soak.contracts),
            await _reconciled(url, soak.contracts.first, environ | {"DATABASE_URL": url}),
            await _is_equal(recorded, loaded, environ | {"DATABASE_URL": url}, last),
        ]
    return 0 if all(found) else 1


class Recorded(truth.Recorded):
    """What `stage` needs of a recording: its manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = chain.load(folder).manifest


async def _reorgs(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        found: int = await connection.fetchval("SELECT count(*) FROM reorgs")
    finally:
        await connection.close()
    return found


async def _samples(url: str, answering: contracts.Contracts) -> bool:
    """Whether prices were sampled at invented blocks, and all of them are the oracle's."""
    rows = await postgres.fetch(
        url,
        "SELECT pool_address, asset_address, price FROM vesu_sampled_prices "
        f"WHERE block_number >= {answering.first}",
    )
    wrong = [
        row
        for row in rows
        if answering.price(int(row[0], 16), int(row[1], 16))
        != (None if row[2] is None else int(row[2]))
    ]
    click.echo(f"{len(rows)} prices sampled at invented blocks, {len(wrong)} of them wrong")
    return bool(rows) and not wrong


async def _reconciled(url: str, first: int, environ: dict[str, str]) -> bool:
    """Whether the daemon's checks, and one of every row in the end, found values, all equal.

    Of the daemon's, those of invented blocks count.
    """
    every = await stage.json_of(environ, "reconcile", expect=None)
    click.echo(f"all rows: {every['compared']} values, {len(every['differences'])} differ")
    for difference in every["differences"][:5]:
        click.echo(f"  {difference}")
    ((checks, compared, differences),) = await postgres.fetch(
        url,
        "SELECT count(*), COALESCE(sum(compared), 0), COALESCE(sum(differences), 0) "
        f"FROM reconciliations WHERE origin = 'run' AND block_number >= {first}",
    )
    click.echo(f"{checks} checks of the daemon's: {compared} values, {differences} differ")
    return every["compared"] > 0 and every["is_equal"] and compared > 0 and not differences


async def _is_equal(
    recorded: truth.Recorded, loaded: chain.Recording, environ: dict[str, str], last: int
) -> bool:
    async with postgres.fresh_database() as other, server.RecordingServer(loaded) as node:
        # Far behind the head the default leaves receipts, and so `gas_used`, to the background.
        calm = environ | {
            "DATABASE_URL": other,
            "VESU_NODE_URLS": node.url,
            "VESU_INGEST_VERIFY": "all",
        }
        await stage.command(calm, "run", "--until-block", str(last), "--no-serve", timeout=1800)
        expected = await stage.json_of(calm, "digest")
        found = await stage.json_of(environ, "digest")
    for name in expected["tables"]:
        if found["tables"][name] != expected["tables"][name]:
            click.echo(f"another digest of {name}")
    click.echo("digests are equal" if found == expected else "DIGESTS DIFFER")
    return bool(found == expected)


if __name__ == "__main__":
    main()
