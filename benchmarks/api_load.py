"""What readers cost the writer: commits at the head with and without a loaded API beside them.

    python -m benchmarks.api_load [--readers 8]

A recorded chain grows block by block under `run`. The time from a block's appearance to the
notification of its commit is taken, first alone, then while readers ask the API of the same daemon
as fast as they are answered. Prints both, and the requests a second with their own times.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
import statistics
import time

import aiohttp
import asyncpg

from indexer.recording import chain, playhead, server
from tests import postgres
from tests.acceptance import stage, test_http, truth

QUESTIONS = (
    "/v1/positions?order=health_factor&kind=borrow&limit=100",
    "/v1/positions?limit=100",
    "/v1/pools",
    "/v1/assets?order=-total_supply_usd",
    "/v1/transactions?type=borrow&limit=100",
    "/v1/liquidations",
    "/v1/events?limit=50",
    "/v1/status",
)


async def _asked(url: str, until: asyncio.Event, times: list[float]) -> None:
    async with aiohttp.ClientSession(url) as session:
        for path in itertools.cycle(QUESTIONS):
            if until.is_set():
                return
            began = time.perf_counter()
            async with session.get(path) as answer:
                await answer.read()
                assert answer.status == 200, await answer.text()
            times.append(time.perf_counter() - began)


async def _committed(
    head: playhead.Playhead, heard: asyncio.Queue[str], blocks: int
) -> list[float]:
    times = []
    for _ in range(blocks):
        began = time.perf_counter()
        head.release()
        await heard.get()
        times.append(time.perf_counter() - began)
    return times


def _said(name: str, times: list[float]) -> str:
    ordered = sorted(times)
    return (
        f"{name}: median {statistics.median(ordered) * 1000:.0f} ms, "
        f"p99 {ordered[int(len(ordered) * 0.99)] * 1000:.0f} ms, n {len(ordered)}"
    )


async def _main(readers: int) -> None:
    recorded = truth.Recorded()
    loaded = chain.load(recorded.folder)
    head = playhead.Playhead.at_block(loaded, 60)
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with (
        postgres.fresh_database() as url,
        server.RecordingServer(loaded, head) as node,
        test_http.daemon(stage.environment(recorded, node.url, url)) as running,
    ):
        await running.health(200, committed_block=60)
        listener = await asyncpg.connect(url)
        await listener.add_listener("vesu_blocks", lambda *notice: heard.put_nowait(notice[-1]))
        alone = await _committed(head, heard, 30)
        until, times = asyncio.Event(), list[float]()
        base = f"http://127.0.0.1:{running.port}"
        asking = [asyncio.create_task(_asked(base, until, times)) for _ in range(readers)]
        await asyncio.sleep(2)
        times.clear()
        began = time.perf_counter()
        loaded_times = await _committed(head, heard, 30)
        seconds = time.perf_counter() - began
        until.set()
        await asyncio.gather(*asking)
        await listener.close()
        running.process.send_signal(signal.SIGTERM)
        await running.process.communicate()
    print(_said("commit, alone", alone))
    print(_said(f"commit, {readers} readers", loaded_times))
    print(_said("request", times), f"{len(times) / seconds:.0f} a second")


def main() -> None:
    """Run it and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=8)
    arguments = parser.parse_args()
    with postgres.serving():
        asyncio.run(_main(arguments.readers))


if __name__ == "__main__":
    main()
