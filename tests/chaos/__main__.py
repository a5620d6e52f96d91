"""Many seeded runs: `python -m tests.chaos --seeds 1000 --first 1`."""

from __future__ import annotations

import asyncio
import collections
import sys
import time
from collections.abc import Callable

import click

from tests import postgres, zygote
from tests.chaos import expected, schedule, simulator

Plans = Callable[[int], schedule.Schedule]


class Tally:
    """What came of the runs so far."""

    def __init__(self) -> None:
        self.phases: collections.Counter[str] = collections.Counter()
        self.reorgs = self.turns = self.runs = self.refused = 0
        self.failed: list[simulator.Outcome] = []
        self.probes = 0
        self.answer = self.stop = 0.0
        self.began = time.monotonic()

    def add(self, outcome: simulator.Outcome) -> None:
        """Count one run."""
        self.runs += 1
        self.reorgs += outcome.reorgs
        self.turns += outcome.turns
        self.refused += outcome.refused
        self.phases.update(outcome.phases)
        self.probes += outcome.slowest.probes
        self.answer = max(self.answer, outcome.slowest.answer)
        self.stop = max(self.stop, outcome.slowest.stop)
        if outcome.problem:
            self.failed.append(outcome)

    def text(self) -> str:
        """One line."""
        seconds = time.monotonic() - self.began
        phases = ", ".join(f"{name} {count}" for name, count in sorted(self.phases.items()))
        odd = f"; {self.refused} requests refused by odd gateways" if self.refused else ""
        return (
            f"{self.runs} runs in {seconds:.0f} s ({seconds / max(self.runs, 1):.2f} s a run), "
            f"{len(self.failed)} failed; {self.reorgs} reorganisations; {self.turns} changes of "
            f"the endpoint; kills: {phases}{odd}{self._probed()}"
        )

    def _probed(self) -> str:
        if not self.probes:
            return ""
        return (
            f"; {self.probes} probes, the slowest answer after {self.answer:.1f} s; the slowest "
            f"end {self.stop:.1f} s after SIGTERM"
        )


@click.command()
@click.option("--seeds", default=30, show_default=True, help="How many runs.")
@click.option("--first", default=1, show_default=True, help="The first run's seed.")
@click.option("--jobs", default=2, show_default=True, help="Runs at the same time.")
@click.option("--minutes", default=60.0, show_default=True, help="Begin no run after so long.")
@click.option("--odd", is_flag=True, help="Behind gateways that limit in words of their own.")
@click.option("--database-proxy", is_flag=True, help="Behind a bad way to the database.")
def main(
    seeds: int, first: int, jobs: int, minutes: float, odd: bool, database_proxy: bool
) -> None:
    """Play the schedules of seeds FIRST to FIRST+SEEDS-1; say which failed, and the least of it."""
    with postgres.serving():
        plans = schedule.draw_odd if odd else schedule.draw
        plans = schedule.draw_proxied if database_proxy else plans
        sys.exit(asyncio.run(_run(seeds, first, jobs, minutes, plans)))


async def _run(seeds: int, first: int, jobs: int, minutes: float, plans: Plans) -> int:
    tally = Tally()
    left = collections.deque(range(first, first + seeds))
    until = time.monotonic() + minutes * 60
    async with zygote.Zygote() as maker, expected.prepared() as truth:
        tally.began = time.monotonic()
        async with asyncio.TaskGroup() as together:
            for _ in range(jobs):
                together.create_task(_work(truth, maker, left, tally, until, plans))
    click.echo(tally.text())
    if left:
        click.echo(f"time is up: go on with FIRST={left[0]} SEEDS={len(left)}")
    return 1 if tally.failed else 0


async def _work(
    truth: expected.Expected,
    maker: zygote.Zygote,
    left: collections.deque[int],
    tally: Tally,
    until: float,
    plans: Plans,
) -> None:
    while left and time.monotonic() < until:
        seed = left.popleft()
        outcome = await simulator.play(truth, maker, plans(seed))
        tally.add(outcome)
        if outcome.problem:
            click.echo(f"FAILED {outcome.problem}\n{outcome.plan.text()}")
            least = await simulator.shrink(truth, maker, outcome)
            click.echo(f"least: {least.problem}\n{least.plan.text()}\n{least.said}")
        if tally.runs % 25 == 0:
            click.echo(f"seed {seed}: {tally.text()}")


if __name__ == "__main__":
    main()
