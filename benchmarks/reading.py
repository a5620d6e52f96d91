"""The API over a million positions: the plans of its statements, and 200 requests a second.

    python -m benchmarks.reading --positions 1000000 --rate 200 --seconds 60 --out reading.txt

devnet-a, and above it as many rows as asked for (`many_rows`). Every question is asked once over
HTTP, and each statement that answered it is explained (ANALYZE, BUFFERS). Then the questions are
asked mixed, at a fixed rate whatever the answers take, while a writer in a process of its own
commits a block every two seconds. Prints percentiles; plans go into the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import click
import structlog

from benchmarks import chain, head, many_rows, runs
from indexer import config
from indexer.api import server
from indexer.app import databases
from indexer.recording import chain as recordings
from tests.acceptance import stage

PAGE_MS = 20.0
"""What a statement for a page may take."""

LONGEST_SECONDS = 15
"""A statement that takes longer is shown with its plan alone."""

BLOCKS_BEFORE = 100
"""How far below the newest block later pages of a list are asked: minutes on the chain."""

WARM = 2
CONNECTIONS = 64


async def questions(connection: asyncpg.Connection, dice: random.Random) -> list[str]:
    """What readers ask, with ids and users of the database: a mix, each as often as the others."""
    found = await connection.fetch(
        "SELECT id::text, user_id, pool_id, collateral_address FROM vesu_positions "
        "WHERE kind = 'borrow' ORDER BY id LIMIT 2000"
    )
    hashes = await connection.fetch(
        "SELECT transaction_hash FROM vesu_transactions ORDER BY id LIMIT 2000"
    )
    rarest = await connection.fetchval(
        "SELECT address FROM event_emitters WHERE id = "
        "(SELECT emitter FROM event_log GROUP BY 1 ORDER BY count(*), 1 LIMIT 1)"
    )
    rarest_asset = await connection.fetchval(
        "SELECT asset_address FROM vesu_transactions GROUP BY 1 ORDER BY count(*), 1 LIMIT 1"
    )
    newest = await connection.fetchval("SELECT block_number FROM cursor")
    one, other = dice.choice(found), dice.choice(found)
    return [
        "/v1/pools",
        "/v1/assets?order=-total_supply_usd",
        "/v1/positions?limit=50",
        f"/v1/positions?pool_id={one['pool_id']}&kind=borrow&limit=50",
        "/v1/positions?order=health_factor&kind=borrow&limit=50",
        "/v1/positions?health_factor_lte=1.05&order=health_factor&limit=50",
        "/v1/positions?order=-debt_value_usd&limit=50",
        "/v1/positions?order=-collateral_value_usd&limit=50",
        "/v1/positions?status=closed&limit=50",
        f"/v1/positions?status=closed&at_block={newest - BLOCKS_BEFORE}&limit=50",
        f"/v1/positions?status=active&at_block={newest - BLOCKS_BEFORE}&limit=50",
        f"/v1/positions?status=closed&at_block={newest // 2}&limit=50",
        f"/v1/positions?last_event_block_gte={newest - BLOCKS_BEFORE}&limit=50",
        f"/v1/positions/{one['id']}",
        f"/v1/positions/{other['id']}/health",
        f"/v1/users/{one['user_id']}/portfolio",
        f"/v1/users/{other['user_id']}/positions",
        f"/v1/users/{other['user_id']}/history?limit=50",
        "/v1/transactions?limit=50",
        "/v1/transactions?type=borrow&limit=50",
        "/v1/transactions?type=borrow&order=-timestamp&amount_gte=100&limit=50",
        "/v1/transactions?order=-amount&limit=50",
        f"/v1/transactions?asset_address={rarest_asset}&limit=50",
        "/v1/transactions?asset=NOPE&limit=50",
        f"/v1/transactions/{dice.choice(hashes)['transaction_hash']}",
        "/v1/liquidations?limit=50",
        "/v1/liquidations/opportunities?count=50",
        "/v1/events?limit=50",
        f"/v1/events?name=ModifyPosition&from_address={one['pool_id']}&limit=50",
        "/v1/events?name=SetAssetConfig&limit=50",
        "/v1/events?contract=pool_factory_v2&limit=50",
        f"/v1/events?from_address={rarest}&limit=50",
        "/v1/blocks?limit=50",
        f"/v1/pools/{one['pool_id']}/config-history?limit=50",
        "/v1/stats",
        "/v1/status",
    ]


# --- plans ------------------------------------------------------------------------------------


async def plans(url: str, asked: list[str]) -> list[dict[str, Any]]:
    """Of each question: the time of its answer, and its statements with their plans."""
    settings = config.load(None, {}, {"database.pool_min": 1, "database.pool_max": 1})
    heard: list[Any] = []
    async with databases.pool(settings, url) as pool:
        async with pool.acquire() as connection:
            connection.add_query_logger(heard.append)
        async with (
            server.serving(pool, "127.0.0.1", 0) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        ):
            return [await _explained(url, session, heard, path) for path in asked]


async def _explained(
    url: str, session: aiohttp.ClientSession, heard: list[Any], path: str
) -> dict[str, Any]:
    """The second answer's statements: the first has read the state of the block."""
    for _ in range(WARM):
        heard.clear()
        began = time.perf_counter()
        async with session.get(path) as answer:
            status, body = answer.status, await answer.read()
        milliseconds = (time.perf_counter() - began) * 1000
    statements = [
        (one.query, one.args, one.elapsed * 1000)
        for one in heard
        if one.query.lstrip().startswith(("SELECT", "WITH")) and ";" not in one.query
    ]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"SET statement_timeout = '{LONGEST_SECONDS}s'; SET jit = off")
        explained = [await _plan(connection, *one) for one in statements]
    finally:
        await connection.close()
    return {
        "path": path,
        "status": status,
        "milliseconds": round(milliseconds, 1),
        "bytes": len(body),
        "statements": explained,
    }


async def _plan(
    connection: asyncpg.Connection, query: str, args: Any, took: float
) -> dict[str, Any]:
    given = args or ()
    execution, buffers = LONGEST_SECONDS * 1000.0, 0
    try:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *given)
        (found,) = json.loads(rows[0][0])
        execution, plan = found["Execution Time"], found["Plan"]
        buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        text = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {query}", *given)
    except asyncpg.QueryCanceledError:
        text = await connection.fetch(f"EXPLAIN {query}", *given)
    return {
        "query": query,
        "took_ms": round(took, 1),
        "execution_ms": round(execution, 2),
        "buffers": buffers,
        "plan": "\n".join(row[0] for row in text),
    }


def written(found: list[dict[str, Any]], out: Path) -> None:
    """A line a question on stdout; every statement and plan in the file."""
    with out.open("w", encoding="utf-8") as file:
        for one in found:
            worst = max((each["execution_ms"] for each in one["statements"]), default=0.0)
            buffers = sum(each["buffers"] for each in one["statements"])
            mark = "  ABOVE" if worst > PAGE_MS else ""
            line = (
                f"{one['status']} {one['milliseconds']:8.1f} ms  slowest statement "
                f"{worst:8.2f} ms  {buffers:8d} buffers  {one['path']}{mark}"
            )
            click.echo(line)
            file.write(f"{line}\n")
            for each in one["statements"]:
                file.write(f"\n{each['query']}\n{each['plan']}\n\n")


# --- load -------------------------------------------------------------------------------------


async def load(base: str, asked: list[str], rate: int, seconds: int, seed: int) -> dict[str, Any]:
    """Ask at a fixed rate; a late answer delays no other question."""
    dice, took = random.Random(seed), dict[str, list[float]]()
    refused: list[str] = []
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(base, connector=connector) as session:

        async def ask(path: str, due: float) -> None:
            async with session.get(path) as answer:
                await answer.read()
                if answer.status != 200:
                    refused.append(f"{answer.status} {path}")
            # From when it was due: waiting for a connection counts.
            took.setdefault(path, []).append((time.perf_counter() - due) * 1000)

        began, tasks = time.perf_counter(), []
        for number in range(rate * seconds):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(ask(dice.choice(asked), due)))
        await asyncio.gather(*tasks)
    every = [one for times in took.values() for one in times]
    slowest = sorted(took, key=lambda path: -_percentile(took[path], 99))
    return {
        "rate": rate,
        "seconds": seconds,
        "answers": len(every),
        "refused": len(refused),
        "first_refused": refused[:3],
        "median_ms": round(statistics.median(every), 1),
        "p99_ms": round(_percentile(every, 99), 1),
        "slowest": {path: round(_percentile(took[path], 99), 1) for path in slowest[:5]},
    }


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


@contextlib.asynccontextmanager
async def serving(url: str) -> AsyncIterator[str]:
    """`vesu-indexer serve` in a process of its own; yields its address."""
    environ = stage.clean_environment() | {
        "DATABASE_URL": url,
        "VESU_API_PORT": "0",
        "VESU_API_MAX_CONCURRENCY": "1024",
        "VESU_LOG_LEVEL": "error",
    }
    process = await stage.start(environ, "serve", "--json")
    assert process.stdout is not None
    document = b""
    while not document.rstrip().endswith(b"}"):
        document += await process.stdout.readline()
    place = json.loads(document)
    try:
        yield f"http://{place['host']}:{place['port']}"
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


ALONE_SECONDS = 20
"""How long blocks are committed before readers come."""


async def under_load(
    url: str, asked: list[str], rate: int, seconds: int, seed: int
) -> dict[str, Any]:
    """The load's times, and those of the blocks that were committed meanwhile and before."""
    found: dict[str, Any] = {}
    async with serving(url) as base:
        found["warm"] = await load(base, asked, max(1, rate // 10), 5, seed)
        committing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.steady_writer"),
            *(url, str(ALONE_SECONDS + seconds)),
            stdout=asyncio.subprocess.PIPE,
        )
        await asyncio.sleep(ALONE_SECONDS)
        began = time.perf_counter()
        found["load"] = await load(base, asked, rate, seconds, seed)
        ended = time.perf_counter()
        out, _ = await committing.communicate()
    if committing.returncode:
        raise click.ClickException("the writer failed; see above")
    commits = json.loads(out)
    for name, times in (
        ("commits_alone", [took for at, took in commits if at < began]),
        ("commits_beside", [took for at, took in commits if began <= at < ended]),
    ):
        found[name] = {"blocks": len(times), "ms": head.spread(times) if times else None}
    return found


async def _run(
    server_url: str, size: many_rows.Size, rate: int, seconds: int, seed: int, out: Path
) -> None:
    async with runs.fresh_database(server_url) as url:
        await head.index(url, recordings.bundled())
        connection = await asyncpg.connect(url)
        click.echo(json.dumps({"filled": await many_rows.fill(connection, size)}))
        await measure(url, connection, rate, seconds, seed, out)
        await connection.close()


async def measure(
    url: str, connection: asyncpg.Connection, rate: int, seconds: int, seed: int, out: Path
) -> None:
    """Plans, and the load where `rate` is not 0."""
    asked = await questions(connection, random.Random(seed))
    written(await plans(url, asked), out)
    if rate:
        click.echo(json.dumps(await under_load(url, asked, rate, seconds, seed), indent=2))


@click.command()
@click.option("--positions", default=1_000_000, show_default=True)
@click.option("--transactions", default=2_000_000, show_default=True)
@click.option("--events", default=1_000_000, show_default=True)
@click.option("--blocks", default=1_000_000, show_default=True)
@click.option(
    "--near-every",
    default=700,
    show_default=True,
    help="One position of so many is near its limit.",
)
@click.option("--rate", default=200, show_default=True, help="Requests a second; 0: plans alone.")
@click.option("--seconds", default=60, show_default=True, help="How long they are asked.")
@click.option("--seed", default=chain.SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("reading.txt"))
@click.option("--database", "server_url", help="URL of a server; default: an embedded one.")
def main(
    positions: int,
    transactions: int,
    events: int,
    blocks: int,
    near_every: int,
    rate: int,
    seconds: int,
    seed: int,
    out: Path,
    server_url: str | None,
) -> None:
    """Fill, explain, load: plans into a file, times on stdout."""
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    size = many_rows.Size(positions, transactions, events, blocks, near_every)
    with (
        tempfile.TemporaryDirectory(prefix="vesu-bench-") as home,
        runs.server(server_url, home) as url,
    ):
        asyncio.run(_run(url, size, rate, seconds, seed, out))


if __name__ == "__main__":
    main()
