"""Walks through lists while blocks and a reorganisation land: pinned, whole, or told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer import config
from indexer.app import databases
from indexer.query import filters, listing, records
from indexer.recording import playhead, server
from tests import postgres
from tests.acceptance import stage, truth
from tests.acceptance.api_client import Client, serving

LISTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/v1/transactions", {}),
    ("/v1/transactions", {"order": "amount"}),
    ("/v1/events", {}),
    ("/v1/blocks", {"order": "number"}),
    ("/v1/positions", {}),
    ("/v1/positions", {"order": "health_factor"}),
    ("/v1/positions", {"order": "-debt_value_usd"}),
    ("/v1/positions", {"order": "-collateral_value_usd"}),
    ("/v1/pools", {"order": "-total_supply"}),
    ("/v1/assets", {}),
)


@contextlib.asynccontextmanager
async def following(
    recorded: truth.Recorded, node: server.RecordingServer, url: str, **settings: str
) -> AsyncIterator[None]:
    """A daemon that follows the node while inside; `settings` as environment variables."""
    environ = stage.environment(recorded, node.url, url, **settings)
    process = await stage.start(environ, "run", "--no-serve")
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


async def committed(api: Client, block: int, block_hash: str) -> None:
    """Wait until a block is the committed one."""
    async with asyncio.timeout(60):
        while True:
            said = await api.ask("/v1/status")
            if said.status == 200:
                meta = said.body["meta"]
                if (meta["block_number"], int(meta["block_hash"], 16)) == (
                    block,
                    int(block_hash, 16),
                ):
                    return
            await asyncio.sleep(0.05)


class Walk:
    """A walk through a list, page by page."""

    def __init__(self, api: Client, path: str, query: dict[str, str], limit: int = 3) -> None:
        self.api = api
        self.path = path
        self.query = query
        self.limit = limit
        self.rows: list[Any] = []
        self.blocks: set[int] = set()
        self.cursor: str | None = None

    async def step(self) -> bool:
        """Take a page; whether more follow."""
        more = {} if self.cursor is None else {"cursor": self.cursor}
        found = await self.api.get(self.path, limit=self.limit, **self.query, **more)
        self.rows += found["data"]
        self.blocks.add(found["meta"]["block_number"])
        self.cursor = found["next"]
        return self.cursor is not None


async def test_walks_while_blocks_and_a_reorganisation_land(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    """Begun at a block, a walk shows that block to its end; taken back, it says 410."""
    loaded = recorded.chain
    fork = loaded.forks[0]
    common = fork.common
    head = playhead.Playhead.at_block(loaded, common, story=True)
    url = migrated_database_url
    async with (
        server.RecordingServer(loaded, head) as node,
        following(recorded, node, url),
        serving(url) as api,
    ):
        await committed(api, common, loaded.main.blocks[common].hash)
        whole = {
            (path, *query.items()): await api.data(path, limit=500, **query)
            for path, query in LISTS
        }
        walks = [Walk(api, path, query) for path, query in LISTS]
        for walk in walks:
            assert await walk.step()
        head.go_to(fork.last, branch=1)
        await committed(api, fork.last, fork.blocks[fork.last].hash)
        taken_back = [Walk(api, path, query) for path, query in LISTS]
        for walk in (*walks, *taken_back):
            assert await walk.step()
        abandoned = (await api.get("/v1/status"))["meta"]["block_hash"]
        head.go_to(loaded.main.last)
        await committed(api, loaded.main.last, loaded.main.blocks[loaded.main.last].hash)
        await _are_whole(walks, whole, common)
        await _are_told(api, taken_back, abandoned)


async def _are_whole(walks: list[Walk], whole: dict[Any, Any], block: int) -> None:
    """The block below the reorganisation stands: no row twice, none missing, one block."""
    for walk in walks:
        while await walk.step():
            pass
        assert walk.rows == whole[walk.path, *walk.query.items()], walk.path
        assert walk.blocks == {block}


async def _are_told(api: Client, taken_back: list[Walk], abandoned: str) -> None:
    for walk in taken_back:
        said = await api.ask(walk.path, limit=3, cursor=walk.cursor or "", **walk.query)
        assert (said.status, said.body["parameter"]) == (410, "cursor"), said.body
        assert "reorganisation" in said.body["detail"]
    said = await api.ask("/v1/pools", at_hash=abandoned)
    assert (said.status, said.body["parameter"]) == (410, "at_hash")
    number = said.body["block_number"]
    instead = await api.get("/v1/pools", at_block=number, limit=1)
    assert said.body["block_hash"] == instead["meta"]["block_hash"] != abandoned


# --- a hundred thousand rows --------------------------------------------------------------------

MANY = """
INSERT INTO vesu_transactions
SELECT (jsonb_populate_record(t, jsonb_build_object(
    'id', md5(t.id::text || g)::uuid, 'transaction_index', 1000 + g))).*
FROM vesu_transactions t
CROSS JOIN generate_series(1, 1 + $1::int / (SELECT count(*)::int FROM vesu_transactions)) AS g
"""
"""Copies of the effects that are there, each in a transaction of its own of the same block."""

NEWEST = "block_number DESC, transaction_index DESC, event_index DESC, leg DESC, id DESC"


async def _pages_read(url: str, block: int, limit: int) -> tuple[list[int], int]:
    """Blocks of the database that the first and the last page of a whole walk touch; its rows."""
    async with databases.pool(config.load(None, {}, {}), url) as pool, pool.acquire() as connection:
        heard: list[asyncpg.connection.LoggedQuery] = []
        after, rows = None, 0
        connection.add_query_logger(heard.append)
        while True:
            wanted = filters.PageQuery(limit=limit, after=after)
            found = await listing.page(connection, records.TRANSACTIONS, block, wanted)
            rows += len(found.rows)
            after = found.next
            if after is None:
                break
        connection.remove_query_logger(heard.append)
        touched = []
        for one in (heard[0], heard[-1]):
            plan = await connection.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {one.query}", *one.args
            )
            top = json.loads(plan)[0]["Plan"]
            touched.append(top["Shared Hit Blocks"] + top["Shared Read Blocks"])
        return touched, rows


async def _walk_many(recorded: truth.Recorded, url: str, many: int, limit: int) -> None:
    """A walk that blocks and a reorganisation land in; another that begins on the other branch."""
    loaded = recorded.chain
    fork = loaded.forks[0]
    common = fork.common
    head = playhead.Playhead.at_block(loaded, common, story=True)
    async with (
        server.RecordingServer(loaded, head) as node,
        following(recorded, node, url),
        serving(url) as api,
    ):
        await committed(api, common, loaded.main.blocks[common].hash)
        await postgres.execute(url, MANY.replace("$1", str(many)), "ANALYZE vesu_transactions")
        ids = [
            row[0]
            for row in await postgres.fetch(
                url, f"SELECT id::text FROM vesu_transactions ORDER BY {NEWEST}"
            )
        ]
        assert len(ids) >= many
        walk = Walk(api, "/v1/transactions", {}, limit)
        for _ in range(len(ids) // limit // 3):
            assert await walk.step()
        head.go_to(fork.last, branch=1)
        await committed(api, fork.last, fork.blocks[fork.last].hash)
        other = Walk(api, "/v1/transactions", {}, limit)
        for _ in range(len(ids) // limit // 3):
            assert await walk.step()
        assert await other.step()
        head.go_to(loaded.main.last)
        await committed(api, loaded.main.last, loaded.main.blocks[loaded.main.last].hash)
        while await walk.step():
            pass
        assert [one["id"] for one in walk.rows] == ids, "no row twice, none missing, in order"
        assert walk.blocks == {common}
        said = await api.ask("/v1/transactions", limit=limit, cursor=other.cursor or "")
        assert (said.status, said.body["parameter"]) == (410, "cursor")
        assert f"a reorganisation took back block {fork.last}" in said.body["detail"]
        instead = await api.get("/v1/pools", at_block=said.body["block_number"], limit=1)
        assert said.body["block_hash"] == instead["meta"]["block_hash"]
    (first, last), rows = await _pages_read(url, common, limit)
    assert rows == len(ids)
    assert last <= 2 * first + 20, "the last page costs what the first one does"


async def test_a_long_walk_while_a_reorganisation_lands(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    await _walk_many(recorded, migrated_database_url, 3_000, 100)


@pytest.mark.heavy
@pytest.mark.timeout(1_200)
async def test_a_hundred_thousand_rows_while_a_reorganisation_lands(
    recorded: truth.Recorded, migrated_database_url: str
) -> None:
    await _walk_many(recorded, migrated_database_url, 100_000, 500)
