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


async def contents(connection: asyncpg.Connection) -> dict[str, str | None]:
    """A hash of each table."""
    return {
        table: await connection.fetchval(
            f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t"
        )
        for table in tables.NOTIFIED
    }


async def test_every_table_that_a_commit_touched_is_told() -> None:
    """Block by block at the head, where positions are valued anew though nobody moved them."""
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
            notice = await asyncio.wait_for(told.get(), 30)
            after = await contents(running.connection)
            assert notice["block_number"] == block
            changed = {table for table in after if after[table] != before[table]}
            silent += [(block, table) for table in sorted(changed - set(notice["tables"]))]
            before = after
        assert silent == []
