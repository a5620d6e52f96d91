"""What NOTIFY tells of each commit: every table whose rows changed, so that caches can trust it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg

from indexer.projections import tables
from tests import postgres
from tests.integration.daemon_stage import Playhead, following, recording, serving

LAST = 60

BELOW = "SELECT count(*) FROM vesu_positions WHERE status = 'active' AND valued_at_block < $1"


async def contents(connection: asyncpg.Connection) -> dict[str, str | None]:
    """A hash of each table."""
    return {
        table: await connection.fetchval(
            f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t"
        )
        for table in tables.NOTIFIED
    }


async def untold(
    connection: asyncpg.Connection,
    told: asyncio.Queue[Any],
    block: int,
    before: dict[str, str | None],
) -> tuple[dict[str, str | None], set[str]]:
    """The tables once all positions are valued at a block, and the changed ones of which no
    notice of the block tells."""
    named: set[str] = set()
    while True:
        notice = await asyncio.wait_for(told.get(), 30)
        # The last notice of the block before may come after it was looked at.
        assert notice["block_number"] in (block - 1, block)
        if notice["block_number"] == block:
            named |= set(notice["tables"])
        after = await contents(connection)
        changed = {table for table in after if after[table] != before[table]}
        is_valued = not await connection.fetchval(BELOW, block)
        if is_valued and (changed <= named or await is_quiet(told)):
            return after, changed - named


async def is_quiet(told: asyncio.Queue[Any]) -> bool:
    """Whether no notice comes any more."""
    for _ in range(100):
        if not told.empty():
            return False
        await asyncio.sleep(0.02)
    return True


async def test_every_table_that_a_commit_touched_is_told() -> None:
    """Block by block at the head, where positions are valued anew though nobody moved them.

    That follows in a transaction of its own, with a notice of its own.
    """
    told: asyncio.Queue[Any] = asyncio.Queue()
    head = Playhead.at_block(recording(), 0)
    async with (
        postgres.fresh_database(migrated=True) as url,
        serving(head) as node,
        following(url, node.url, VESU_NODE_POLL_INTERVAL_SECONDS="0.01") as running,
    ):
        await running.committed(0)
        await running.connection.add_listener(
            "vesu_blocks", lambda *said: told.put_nowait(json.loads(said[3]))
        )
        before = await contents(running.connection)
        silent: list[tuple[int, str]] = []
        for block in range(1, LAST + 1):
            head.go_to(block)
            before, silent_tables = await untold(running.connection, told, block, before)
            silent += [(block, table) for table in sorted(silent_tables)]
        assert silent == []
