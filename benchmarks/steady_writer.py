"""Commit a block every two seconds on a filled database: `… steady_writer URL SECONDS`.

As the daemon's writer does, with one transaction of one market in each. Prints when each commit
began (the system's monotonic clock) and how many milliseconds it took.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time

import asyncpg
import structlog

from benchmarks import actors, chain, crowd, head, runs
from indexer.chain import types
from indexer.daemon import writer as writers
from indexer.recording import chain as recordings
from indexer.store import database


async def _header(connection: asyncpg.Connection) -> types.BlockHeader:
    """The committed block as a header."""
    row = await connection.fetchrow(
        "SELECT block_number, block_hash, extract(epoch FROM block_timestamp)::bigint AS at "
        "FROM cursor"
    )
    assert row is not None, "a filled database has a cursor"
    number, hash_, at = row
    return types.BlockHeader(number, hash_, "0x0", at, "ACCEPTED_ON_L2", "0.14.0")


async def _main(url: str, seconds: int) -> None:
    folder, dice = recordings.bundled(), random.Random(chain.SEED)
    job = runs.job(folder, 0)
    async with database.session(url) as connection:
        engine = head.engine_of(job)
        writer = writers.Writer(None, connection, engine)  # type: ignore[arg-type]
        await writer.open(job["chain_id"], 0)
        invented = actors.Actors(folder, chain.SEED)
        market = next(one for one in invented.markets if one.prices and one.debt)
        above = head.Head(writer, engine, await _header(connection), invented, market)
        until, took = time.perf_counter() + seconds, list[tuple[float, float]]()
        while time.perf_counter() < until:
            began = time.perf_counter()
            events = above.modify(dice.getrandbits(250), crowd.SHARES, 0)
            await above.commit(events, is_at_head=True)
            took.append((began, (time.perf_counter() - began) * 1000))
            await asyncio.sleep(max(0.0, began + head.BLOCK_SECONDS - time.perf_counter()))
    print(json.dumps(took))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
