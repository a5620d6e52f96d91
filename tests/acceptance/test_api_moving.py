"""Walks through lists while blocks and a reorganisation land: pinned, whole, or told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from typing import Any

from indexer.recording import chain, playhead, server
from tests.acceptance import stage, truth
from tests.acceptance.api_client import Client, serving

LISTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/v1/transactions", {}),
    ("/v1/transactions", {"order": "amount"}),
    ("/v1/events", {}),
    ("/v1/blocks", {"order": "number"}),
    ("/v1/positions", {}),
    ("/v1/positions", {"order": "health_factor"}),
    ("/v1/pools", {"order": "-total_supply"}),
    ("/v1/assets", {}),
)


@contextlib.asynccontextmanager
async def following(
    recorded: truth.Recorded, node: server.RecordingServer, url: str
) -> AsyncIterator[None]:
    """A daemon that follows the node while inside."""
    process = await stage.start(stage.environment(recorded, node.url, url), "run", "--no-serve")
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

    def __init__(self, api: Client, path: str, query: dict[str, str]) -> None:
        self.api = api
        self.path = path
        self.query = query
        self.rows: list[Any] = []
        self.blocks: set[int] = set()
        self.cursor: str | None = None

    async def step(self) -> bool:
        """Take a page; whether more follow."""
        more = {} if self.cursor is None else {"cursor": self.cursor}
        found = await self.api.get(self.path, limit=3, **self.query, **more)
        self.rows += found["data"]
        self.blocks.add(found["meta"]["block_number"])
        self.cursor = found["next"]
        return self.cursor is not None


async def test_walks_while_blocks_and_a_reorganisation_land(
    recorded: truth.Recorded, empty_database_url: str
) -> None:
    """Begun at a block, a walk shows that block to its end; taken back, it says 410."""
    loaded = chain.load(recorded.folder)
    fork = loaded.forks[0]
    common = fork.common
    head = playhead.Playhead.at(loaded, common, story=True)
    url = empty_database_url
    async with (
        server.RecordingServer(loaded, head) as node,
        following(recorded, node, url),
        serving(url) as api,
    ):
        await committed(api, common, loaded.main.blocks[common].hash)
        whole = {(path, *query): await api.data(path, limit=500, **query) for path, query in LISTS}
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
        assert walk.rows == whole[walk.path, *walk.query], walk.path
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
