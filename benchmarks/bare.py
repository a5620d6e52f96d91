"""The least that a Python process does with the same chain: the limit of a fill.

Reads the same pages over HTTP and the header of each block with events, and keeps the raw log,
the blocks' times, one row a position event and the sums of each position, all by COPY in one
transaction a page. No histories, no markets, no checks, no decoding beyond the felts that it adds
up: `python -m benchmarks.bare < job.json`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from typing import Any

import aiohttp
import asyncpg
import msgspec

from benchmarks import clock
from indexer.cairo import selector
from indexer.commands import event_loop

PAGE = 1_024
MODIFY = hex(selector.of("ModifyPosition"))
LOG = ("block_number", "transaction_index", "event_index", "address", "keys", "data")

TABLES = """
CREATE TABLE bare_events (block_number bigint, transaction_index integer, event_index integer,
    address text, keys text[], data text[],
    PRIMARY KEY (block_number, transaction_index, event_index));
CREATE TABLE bare_blocks (number bigint PRIMARY KEY, hash text, timestamp bigint);
CREATE TABLE bare_transactions (block_number bigint, transaction_index integer,
    event_index integer, position text, collateral numeric, debt numeric);
CREATE TABLE bare_positions (position text PRIMARY KEY, collateral numeric, debt numeric);
"""
UPSERT = """
INSERT INTO bare_positions
SELECT * FROM unnest($1::text[], $2::text[]::numeric[], $3::text[]::numeric[])
ON CONFLICT (position) DO UPDATE SET collateral = excluded.collateral, debt = excluded.debt
"""


class Bare:
    """One run; `events` counts what was stored."""

    def __init__(self, job: dict[str, Any], session: aiohttp.ClientSession) -> None:
        self._job = job
        self._session = session
        self._sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._last_block = -1
        self.events = 0

    async def run(self, connection: asyncpg.Connection) -> None:
        """Read page after page, each while the one before is written."""
        await connection.execute(TABLES)
        page = asyncio.create_task(self._page(None))
        while True:
            found = await page
            token = found.get("continuation_token")
            if token:
                page = asyncio.create_task(self._page(token))
            blocks = await self._headers(found["events"])
            await self._store(connection, found["events"], blocks)
            if not token:
                return

    async def _headers(self, events: list[dict[str, Any]]) -> list[tuple[int, str, int]]:
        """Number, hash and time of the blocks of these events that are not known yet."""
        numbers = sorted({event["block_number"] for event in events} - {self._last_block})
        if not numbers:
            return []
        self._last_block = numbers[-1]
        calls = [
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": "starknet_getBlockWithTxHashes",
                "params": {"block_id": {"block_number": number}},
            }
            for number in numbers
        ]
        found = [answer["result"] for answer in await self._post(calls)]
        return [(block["block_number"], block["block_hash"], block["timestamp"]) for block in found]

    async def _page(self, token: str | None) -> Any:
        criteria = {
            "from_block": {"block_number": 0},
            "to_block": {"block_number": self._job["until_block"]},
            "address": self._job["addresses"],
            "chunk_size": PAGE,
        } | ({"continuation_token": token} if token else {})
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "starknet_getEvents",
            "params": {"filter": criteria},
        }
        return (await self._post(call))["result"]

    async def _post(self, request: Any) -> Any:
        async with self._session.post(self._job["node"], json=request) as response:
            return msgspec.json.decode(await response.read())

    async def _store(
        self,
        connection: asyncpg.Connection,
        events: list[dict[str, Any]],
        blocks: list[tuple[int, str, int]],
    ) -> None:
        self.events += len(events)
        moved: list[tuple[Any, ...]] = []
        changed: set[str] = set()
        for event in events:
            if event["keys"][0] != MODIFY:
                continue
            key = "/".join((event["from_address"], *event["keys"][1:]))
            collateral, debt = _i257(event["data"], 3), _i257(event["data"], 9)
            sums = self._sums[key]
            sums[0] += collateral
            sums[1] += debt
            changed.add(key)
            place = (event["block_number"], event["transaction_index"], event["event_index"])
            moved.append((*place, key, collateral, debt))
        async with connection.transaction():
            await connection.copy_records_to_table(
                "bare_events",
                columns=LOG,
                records=[
                    (
                        event["block_number"],
                        event["transaction_index"],
                        event["event_index"],
                        event["from_address"],
                        event["keys"],
                        event["data"],
                    )
                    for event in events
                ],
            )
            await connection.copy_records_to_table("bare_blocks", records=blocks)
            await connection.copy_records_to_table("bare_transactions", records=moved)
            keys = sorted(changed)
            await connection.execute(
                UPSERT,
                keys,
                [str(self._sums[key][0]) for key in keys],
                [str(self._sums[key][1]) for key in keys],
            )


def _i257(felts: list[str], at: int) -> int:
    value = int(felts[at], 16) + (int(felts[at + 1], 16) << 128)
    return -value if felts[at + 2] != "0x0" else value


async def main(job: dict[str, Any]) -> None:
    """Print what the run took, as JSON."""
    connection = await asyncpg.connect(job["database"])
    async with aiohttp.ClientSession() as session:
        bare = Bare(job, session)
        began, cpu = time.perf_counter(), time.process_time()
        await bare.run(connection)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    await connection.close()
    print(
        json.dumps(
            {
                "events": bare.events,
                "seconds": round(seconds, 3),
                "cpu_seconds": round(cpu, 3),
                "events_per_second": round(bare.events / seconds),
                "peak_megabytes": clock.peak_megabytes(),
            }
        )
    )


if __name__ == "__main__":
    event_loop.run(main(json.load(sys.stdin)), event_loop.fast())
