"""What a block costs at the head: `python -m benchmarks.head [--positions N] [--others N]`.

Indexes devnet-a, adds so many positions of other pools, opens so many in one of its markets, and
then commits one block after another with one event of that market in each, as the daemon does.
Prints the commit's time and the write-ahead log of a block, and what reorganisations took.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import logging
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec
import structlog

from benchmarks import actors as invented
from benchmarks import chain, crowd, many_rows, reorg, runs, serving, worker
from indexer.chain import client, ranges, types
from indexer.daemon import ingestor
from indexer.daemon import writer as writers
from indexer.projections import engine as engines
from indexer.projections import rows, valuations
from indexer.recording import chain as recordings
from indexer.store import database
from indexer.vesu import discovery, kinds

BLOCK_SECONDS = 2
FILL_EVENTS = 5_000

WARMING_BLOCKS = 20

DEPTHS = (1, 10, 100)
"""How many blocks the reorganisations at the end take back, one after the other."""

OTHERS_NEAR_EVERY = 10_000
"""One of so many positions with debt in other pools has a health below 1.3."""


@dataclasses.dataclass
class Head:
    """The chain above devnet-a: the last header, and the market in which all happens."""

    writer: writers.Writer
    engine: engines.Engine
    header: types.BlockHeader
    actors: invented.Actors
    market: invented.Market

    async def commit(self, events: list[invented.Event], *, is_at_head: bool) -> None:
        """One block with one transaction that emits these events."""
        number = self.header.number + 1
        self.header = types.BlockHeader(
            number,
            _hash(number),
            self.header.hash,
            self.next_time,
            "ACCEPTED_ON_L2",
            self.header.starknet_version,
        )
        emitted = [
            types.ReceiptEvent(hex(emitter), list(keys), list(data))
            for emitter, keys, data in events
        ]
        receipt = types.Receipt(hex(0x7A << 64 | number), 0, 7, "FRI", "SUCCEEDED", emitted)
        block = types.BlockWithReceipts(self.header, [receipt])
        addresses = {event.from_address for event in emitted}
        part = types.Range(
            number,
            number,
            self.header.parent_hash,
            self.header,
            types.events_of(block, addresses),
            [block],
        )
        ready = await self.writer.prepare(part, self.writer.connection)
        await self.writer.start(ready, is_at_head=is_at_head)

    def modify(self, user: int, shares: int, debt: int) -> list[invented.Event]:
        """What the pool emits in the next block where a user supplies and borrows."""
        return self.actors.modify(self.market, user, shares, debt, self.next_time)

    async def take_back(self, depth: int) -> float:
        """Milliseconds that it takes to go back by so many blocks; the last header is that one."""
        number = self.header.number - depth
        back = msgspec.structs.replace(
            self.header,
            number=number,
            hash=_hash(number),
            timestamp=self.header.timestamp - depth * BLOCK_SECONDS,
        )
        began = time.perf_counter()
        await self.writer.roll_back((number, back.hash), self.header, "chain")
        self.header = back
        return (time.perf_counter() - began) * 1000

    @property
    def next_time(self) -> int:
        """The next block's time."""
        return self.header.timestamp + BLOCK_SECONDS


def _hash(number: int) -> str:
    return hex(0xB10C << 32 | number)


async def index(url: str, folder: Path) -> types.BlockHeader:
    """Fill an empty database with devnet-a; returns its last header."""
    job = runs.job(folder, json.loads((folder / "manifest.json").read_text())["last_block"])
    with serving.serving(folder) as served:
        settings = client.NodeSettings(max_requests_per_second=1_000_000)
        node = await client.connect([served.url], int(job["chain_id"], 16), settings)
        async with database.session(url) as connection:
            reading = ranges.ReaderSettings(verify="off")
            followed = ingestor.IngestorSettings(poll_seconds=0.05, reading=reading)
            following = ingestor.Ingestor(
                node, connection, engine_of(job), followed, worker.contracts(job)
            )
            await following.open(job["chain_id"], 0)
            await following.run(job["until_block"])
        header = await node.header(job["until_block"])
        await node.close()
    assert header is not None
    return header


async def others(
    connection: asyncpg.Connection, header: types.BlockHeader, market: invented.Market, count: int
) -> types.BlockHeader:
    """Add so many positions of other pools, below a new last header, which is returned."""
    size = many_rows.Size(count, count // 5, count // 10, 2_000, OTHERS_NEAR_EVERY)
    moved = await many_rows.fill(connection, size, rows.padded(market.pool))
    return msgspec.structs.replace(
        header,
        number=moved["block"],
        hash=hex(int(moved["hash"], 16)),
        timestamp=moved["timestamp"],
    )


def engine_of(job: dict[str, Any]) -> engines.Engine:
    return engines.Engine([(int(job["factory"], 16), discovery.Known(kinds.Kind.POOL_FACTORY_V2))])


async def _fill(head: Head, users: crowd.Crowd) -> None:
    """Open all positions, some thousand events a block."""
    while users.left:
        events: list[invented.Event] = []
        while users.left and len(events) < FILL_EVENTS:
            events += users.transaction(head.next_time)
        await head.commit(events, is_at_head=False)


async def spend(
    head: Head, connection: asyncpg.Connection, users: crowd.Crowd, blocks: int
) -> list[tuple[float, float, int]]:
    """Milliseconds, those of CPU, and bytes of write-ahead log of each of so many blocks."""
    backend = connection.get_server_pid()
    spent: list[tuple[float, float, int]] = []
    for _ in range(blocks):
        events = users.transaction(head.next_time)
        before = await _wal(connection)
        began, cpu = time.perf_counter(), reorg._cpu_seconds(backend)
        await head.commit(events, is_at_head=True)
        seconds = time.perf_counter() - began
        cpu = reorg._cpu_seconds(backend) - cpu
        spent.append((seconds * 1000, cpu * 1000, await _wal(connection) - before))
    return spent


def borrowed(actors: invented.Actors) -> invented.Market:
    """The first market that is lent from at prices that are told."""
    return next(market for market in actors.markets if market.prices and market.debt)


async def crowded(
    node: Any,
    connection: asyncpg.Connection,
    folder: Path,
    header: types.BlockHeader,
    actors: invented.Actors,
    positions: int,
    edge: float,
    seed: int,
) -> tuple[Head, crowd.Crowd]:
    """A head above `header`, and users who opened so many positions in one market below it.

    The share `edge` of them has a health below 1.3. `node` answers views.
    """
    job, market = runs.job(folder, header.number), borrowed(actors)
    engine = engine_of(job)
    writer = writers.Writer(node, connection, engine)
    await writer.open(job["chain_id"], 0)
    head = Head(writer, engine, header, actors, market)
    users = crowd.Crowd(
        actors,
        market,
        engine._memory.world,
        valuations.Block(header.number, header.timestamp),
        positions,
        edge,
        random.Random(seed),
    )
    await _fill(head, users)
    return head, users


async def measure(
    url: str, positions: int, other_positions: int, edge: float, blocks: int, seed: int
) -> dict[str, Any]:
    """Milliseconds, CPU of this process and the server's, and write-ahead log of each block."""
    folder = recordings.bundled()
    header = await index(url, folder)
    actors = invented.Actors(folder, seed)
    async with database.session(url) as connection:
        if other_positions:
            header = await others(connection, header, borrowed(actors), other_positions)
        head, users = await crowded(None, connection, folder, header, actors, positions, edge, seed)
        await connection.execute("VACUUM ANALYZE vesu_positions")
        # The slices' first round: afterwards every block costs what one costs in the long run.
        await spend(head, connection, users, WARMING_BLOCKS)
        spent = await spend(head, connection, users, blocks)
        await worker.refuse_frozen(connection)
        near = await connection.fetchval(
            "SELECT count(*) FROM vesu_positions WHERE status = 'active' AND health_factor < 1.3"
        )
        active = await connection.fetchval(
            "SELECT count(*) FROM vesu_positions WHERE status = 'active'"
        )
        taken_back = {
            depth: round(await head.take_back(depth), 1)
            for depth, total in zip(DEPTHS, itertools.accumulate(DEPTHS), strict=True)
            if total <= blocks  # What lies below has blocks of thousands of events.
        }
    return {
        "active": active,
        "below_1.3": near,
        "blocks": blocks,
        "commit_ms": spread([milliseconds for milliseconds, _, _ in spent]),
        "cpu_ms": spread([milliseconds for _, milliseconds, _ in spent]),
        "wal_bytes": spread([float(size) for _, _, size in spent]),
        "reorganisation_ms": taken_back,
    }


async def _wal(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 1),
        "worst": round(ordered[-1], 1),
    }


async def _run(url: str, *options: Any) -> dict[str, Any]:
    async with runs.fresh_database(url) as database_url:
        return await measure(database_url, *options)


@click.command()
@click.option("--positions", default=50_000, show_default=True)
@click.option("--others", "other_positions", default=0, help="Positions in other pools.")
@click.option("--edge", default=0.01, show_default=True, help="Share with a health below 1.3.")
@click.option("--blocks", default=200, show_default=True)
@click.option("--seed", default=chain.SEED, show_default=True)
@click.option("--database", "server", help="URL of a server; default: an embedded one.")
def main(
    positions: int, other_positions: int, edge: float, blocks: int, seed: int, server: str | None
) -> None:
    """Print what a block costs at the head, as one JSON document."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        tempfile.TemporaryDirectory(prefix="vesu-bench-") as home,
        runs.server(server, home) as url,
    ):
        found = asyncio.run(_run(url, positions, other_positions, edge, blocks, seed))
        click.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
