"""What strangers' pools cost: `python -m benchmarks.pools [--pools 4000] [--blocks 200]`.

Indexes devnet-a, lets a stranger create so many pools, each with a market and a loan in it, samples
all prices, and then commits one block after another with one event of an honest market in each, as
the daemon does. Once without such pools, and once with them. Prints one JSON line: the commit's
time, its CPU and write-ahead log, and the memory of a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import asyncpg
import click
import structlog

from benchmarks import actors as invented
from benchmarks import chain, clock, crowd, follow, head, runs, worker
from indexer.cairo import selector, view_call
from indexer.chain import types
from indexer.commands import event_loop
from indexer.daemon import price_sampler
from indexer.projections import listed_pools
from indexer.recording import chain as recordings
from indexer.store import database
from indexer.vesu import maths

FIRST_POOL, FIRST_V_TOKEN, STRANGER = 0xA0_0000, 0xB0_0000, 0x3A1107
COLLATERAL, DEBT = 0xE, 0xC
POOLS_A_BLOCK = 500
POSITIONS = 1_000
"""Positions of honest people, one in a hundred with a health below 1.3."""

ONE = maths.SCALE
MAX_LTV, LIQUIDATION_FACTOR = 8 * 10**17, 9 * 10**17
SAFE, UNSAFE = 4 * 10**17, 7 * 10**17
"""Debt for one of collateral: with a health of 2, and of 1.14."""

RATES = (20_000, 40_000, 30_000, 10**9, 10**11, 10**8, 86_400, 10**17)


class Node:
    """Answers every view, and knows one header."""

    def __init__(self) -> None:
        self.header_: types.BlockHeader | None = None

    async def header(self, _: int) -> types.BlockHeader | None:
        """The block that was asked for last."""
        return self.header_

    async def calls(self, calls: Sequence[view_call.ViewCall], _: object) -> list[list[int]]:
        """A price of one; names are nothing that can be read."""
        return [[*invented.u256(ONE), 1] if call.view == "price" else [0x12] for call in calls]

    calls_elsewhere = calls

    def seconds_for(self, _: int) -> float:
        """It takes any number of requests a second."""
        return 0.0


def _config(now: int, shares: int, nominal: int) -> list[int]:
    amounts = invented.u256(shares, nominal, 10**21, ONE, 0, ONE)
    return [*amounts, 0, now, *invented.u256(ONE, 10**9, 10**17, 0)]


def _told(emitter: int, name: str, keys: Sequence[int], data: Sequence[int]) -> invented.Event:
    return emitter, [*map(selector.of, name.split("/")), *keys], list(data)


def created(factory: int, number: int, now: int, nominal: int) -> list[invented.Event]:
    """What the factory and a stranger's pool emit where it is made and lends for the first time."""
    pool, v_token = FIRST_POOL + number, FIRST_V_TOKEN + number
    empty, lent = _config(now, 10**21, 0), _config(now, 10**21, nominal)
    price = [*invented.u256(ONE), 1]
    pair = [COLLATERAL, DEBT]
    name = [0, int.from_bytes(b"v"), 1]
    moved = [limb for value in (ONE, ONE, nominal, nominal) for limb in (*invented.u256(value), 0)]
    return [
        _told(pool, "OwnershipTransferred", [0, factory], []),
        _told(factory, "CreatePool", [pool, 0x506F6F6C, 1, 2, 3], []),
        *(_told(pool, "SetAssetConfig", [asset], empty) for asset in pair),
        *(
            _told(
                pool,
                "InterestRateModelEvents/SetInterestRateConfig",
                [],
                [asset, *invented.u256(*RATES)],
            )
            for asset in pair
        ),
        _told(factory, "AddAsset", [pool, COLLATERAL], []),
        _told(factory, "CreateVToken", [pool, COLLATERAL, v_token, *name, *name], []),
        _told(pool, "SetPairConfig", pair, [MAX_LTV, LIQUIDATION_FACTOR, 0]),
        _told(pool, "UpdateContext", pair, [*empty, *lent, *price, *price]),
        _told(pool, "ModifyPosition", [*pair, STRANGER], moved),
    ]


async def sample(url: str, node: Node, last: types.BlockHeader) -> int:
    """Sample all prices at the last block; returns how many."""
    node.header_ = last
    async with database.session(url) as connection:
        sampler = price_sampler.Sampler(
            node,  # type: ignore[arg-type]
            connection,
            {},
            price_sampler.SamplerSettings(1),
        )
        await sampler.sample_newest()
        return int(await connection.fetchval("SELECT count(*) FROM vesu_sampled_prices"))


async def listed(url: str) -> None:
    """The pools that are there are listed, as Vesu's own are on mainnet."""
    async with database.session(url) as connection:
        found = await connection.fetch("SELECT DISTINCT pool_id FROM vesu_pools")
        known = [listed_pools.ListedPool(row["pool_id"], None, "configuration") for row in found]
        await listed_pools.apply(connection, known)


async def measure(job: dict[str, Any]) -> dict[str, Any]:
    """One run in this process; the job names the database, pools, blocks and debts."""
    folder, url = recordings.bundled(), job["database"]
    header = await head.index(url, folder)
    await listed(url)
    actors, node = invented.Actors(folder, chain.SEED), Node()
    async with database.session(url) as connection:
        following, users = await head.crowded(
            node, connection, folder, header, actors, POSITIONS, chain.NEAR_SHARE, chain.SEED
        )
        factory = int(runs.job(folder, header.number)["factory"], 16)
        for start in range(0, job["pools"], POOLS_A_BLOCK):
            numbers = range(start, min(start + POOLS_A_BLOCK, job["pools"]))
            made = [
                event
                for number in numbers
                for event in created(factory, number, following.next_time, job["nominal"])
            ]
            await following.commit(made, is_at_head=False)
        return await _spend(job, following, connection, users, node)


async def _spend(
    job: dict[str, Any],
    following: head.Head,
    connection: asyncpg.Connection,
    users: crowd.Crowd,
    node: Node,
) -> dict[str, Any]:
    prices = await sample(job["database"], node, following.header)
    await connection.execute("VACUUM ANALYZE")
    ((sampled_ms, _, _),) = await head.spend(following, connection, users, 1)
    await head.spend(following, connection, users, head.WARMING_BLOCKS)
    spent = await head.spend(following, connection, users, job["blocks"])
    await worker.refuse_frozen(connection)
    active = await connection.fetchval(follow.ACTIVE)
    return {
        "pools": job["pools"],
        "active_positions": active,
        "sampled_prices": prices,
        "commit_ms_after_sampling": round(sampled_ms, 1),
        "commit_ms": head.spread([milliseconds for milliseconds, _, _ in spent]),
        "server_cpu_ms": head.spread([milliseconds for _, milliseconds, _ in spent]),
        "wal_bytes": head.spread([float(size) for _, _, size in spent]),
        "megabytes": clock.megabytes("VmRSS"),
        "peak_megabytes": clock.peak_megabytes(),
    }


async def _run(url: str, pools: int, blocks: int, nominal: int) -> dict[str, Any]:
    async with runs.fresh_database(url) as fresh:
        job = {"database": fresh, "pools": pools, "blocks": blocks, "nominal": nominal}
        return await asyncio.to_thread(runs.work, job, "benchmarks.pools", "--job")


@click.command(epilog="Example: python -m benchmarks.pools --pools 4000 --blocks 200")
@click.option("--pools", default=4_000, show_default=True, help="Of strangers.")
@click.option("--blocks", default=200, show_default=True, help="Committed one by one.")
@click.option("--near", is_flag=True, help="Every loan of theirs has a health below 1.3.")
@click.option("--database", "server", help="URL of a server; default: an embedded one.")
@click.option("--job", "is_job", is_flag=True, hidden=True)
def main(pools: int, blocks: int, near: bool, server: str | None, is_job: bool) -> None:
    """Print what a block and the memory cost without and with strangers' pools, as a JSON line."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    if is_job:
        event_loop.collect_rarely()
        click.echo(json.dumps(asyncio.run(measure(json.load(sys.stdin)))))
        return
    nominal = UNSAFE if near else SAFE
    with (
        tempfile.TemporaryDirectory(prefix="vesu-bench-") as home,
        runs.server(server, home) as url,
    ):
        found = {
            "run": "pools",
            "machine": asyncio.run(runs.machine(url)),
            "options": {"pools": pools, "blocks": blocks, "near": near},
            "without": asyncio.run(_run(url, 0, blocks, nominal)),
            "with": asyncio.run(_run(url, pools, blocks, nominal)),
        }
        click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
