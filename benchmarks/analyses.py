"""Answers that value thousands of positions, and who waits for them.

    python -m benchmarks.analyses --events 1000000

An invented chain is filled, and `vesu-indexer serve` answers. Each analysis is asked at blocks of
its own, so that no answer is kept, and then again. Afterwards a short question is asked every
20 ms, first alone and then while the analyses are asked one after another. Prints a JSON line.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import click

from benchmarks import chain, reading, runs, serving

ROUNDS = 5
SECONDS = 10
RATE = 50
SHORT = "/v1/positions?limit=50"


async def questions(database: str) -> list[str]:
    """The analyses of the largest pool, asset and user; `{}` is the place of a block."""
    connection = await asyncpg.connect(database)
    try:
        pool = await connection.fetchval(
            "SELECT mode() WITHIN GROUP (ORDER BY pool_id) FROM vesu_transactions"
        )
        user = await connection.fetchval(
            "SELECT mode() WITHIN GROUP (ORDER BY user_id) FROM vesu_transactions"
        )
        asset = await connection.fetchval(
            "SELECT id FROM vesu_asset_history GROUP BY id ORDER BY count(*) DESC LIMIT 1"
        )
    finally:
        await connection.close()
    paths = (
        *(f"risk/{name}" for name in ("curve", "heatmap", "concentration", "bad-debt")),
        *("liquidations/opportunities", "fees", "stats/history"),
        *(f"pools/{pool}/config-history", f"pools/{pool}/history", f"assets/{asset}/history"),
        *(f"users/{user}/pnl", f"users/{user}/portfolio/history"),
    )
    return [f"/v1/{path}?at_block={{}}" for path in paths]


async def _asked(session: aiohttp.ClientSession, path: str) -> float:
    """The milliseconds of an answer."""
    began = time.perf_counter()
    async with session.get(path) as answer:
        await answer.read()
        if answer.status != 200:
            raise click.ClickException(f"{answer.status} {path}")
    return (time.perf_counter() - began) * 1000


async def _analysed(
    session: aiohttp.ClientSession, path: str, blocks: Iterable[int]
) -> dict[str, float]:
    """Medians of the first and of the second answer at a block."""
    first, again = list[float](), list[float]()
    for block in itertools.islice(blocks, ROUNDS):
        first.append(await _asked(session, path.format(block)))
        again.append(await _asked(session, path.format(block)))
    return {
        "first_ms": round(statistics.median(first), 1),
        "again_ms": round(statistics.median(again), 1),
    }


async def _for_ever(
    session: aiohttp.ClientSession, paths: list[str], blocks: Iterable[int]
) -> None:
    for path, block in zip(itertools.cycle(paths), blocks, strict=False):
        await _asked(session, path.format(block))


async def measure(database: str, head: int) -> dict[str, Any]:
    """Analyses alone, and the short question alone and beside them."""
    paths = await questions(database)
    blocks = itertools.count(head, -1)
    async with reading.serving(database) as base, aiohttp.ClientSession(base) as session:
        await _asked(session, "/v1/stats")
        analyses = {
            path.partition("?")[0]: await _analysed(session, path, blocks) for path in paths
        }
        short = functools.partial(reading.load, base, [SHORT], RATE, SECONDS, chain.SEED)
        found: dict[str, Any] = {"analyses": analyses, "short_alone": await short()}
        asking = asyncio.create_task(_for_ever(session, paths, blocks))
        found["short_beside"] = await short()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    return found


async def _run(folder: Path, head: int, url: str) -> dict[str, Any]:
    async with runs.fresh_database(url) as database:
        with serving.serving(folder) as node:
            task = runs.job(folder, head) | {"node": node.url, "database": database}
            filled = runs.work(task, "benchmarks.worker", "ingest")
        connection = await asyncpg.connect(database)
        await connection.execute("VACUUM ANALYZE")
        debts = await connection.fetchval(
            "SELECT count(*) FROM vesu_positions WHERE nominal_debt > 0"
        )
        await connection.close()
        counted = {"events": filled["events"], "debts": debts}
        return counted | await runs.machine(database) | await measure(database, head)


@click.command(epilog="Example: python -m benchmarks.analyses --events 1000000")
@click.option("--events", default=188_000, show_default=True, help="How many events to invent.")
@click.option("--seed", default=chain.SEED, show_default=True, help="Of the invented chain.")
@click.option("--database", help="URL of a server; default: a throwaway embedded one.")
def main(events: int, seed: int, database: str | None) -> None:
    """Ask what values thousands of positions, and something short beside it."""
    with (
        tempfile.TemporaryDirectory(prefix="vesu-bench-") as home,
        runs.server(database, home) as url,
    ):
        folder = Path(home) / "chain"
        head = chain.build(folder, events, seed, 19)
        click.echo(json.dumps(asyncio.run(_run(folder, head, url))))


if __name__ == "__main__":
    main()
