"""Indexes that a long first fill drops are back at its end, whatever comes between."""

from __future__ import annotations

from urllib import parse

import asyncpg

from indexer.audit import indexes
from indexer.daemon import deferred_indexes
from tests.integration import daemon_stage
from tests.integration.daemon_stage import LAST, Playhead, following, recording, serving

SOON = {"VESU_INGEST_BATCH_EVENTS": "5", "VESU_INGEST_DEFER_INDEXES_FROM": "10"}
"""A recorded chain has few events."""


async def report(url: str) -> indexes.IndexReport:
    connection = await asyncpg.connect(url)
    try:
        return await indexes.check(connection)
    finally:
        await connection.close()


async def require_all(url: str) -> None:
    """Every index of the migrations is there, and as they make it."""
    connection = await asyncpg.connect(url)
    try:
        named = await connection.fetch("SELECT indexname FROM pg_indexes")
    finally:
        await connection.close()
    found = await report(url)
    assert found.is_good, found
    assert set(deferred_indexes.NAMES) <= {row["indexname"] for row in named}


async def filled_until_dropped(url: str, node: str) -> None:
    """Index until the indexes are dropped, and stop there, as a kill would."""
    async with following(url, node, until_block=LAST, **SOON) as running:
        await running.says("indexes_deferred")
        running.task.cancel()


async def test_they_are_dropped_and_made_again(url: str, undisturbed: str) -> None:
    async with (
        serving(Playhead.at_block(recording(), LAST)) as node,
        following(url, node.url, until_block=LAST, **SOON) as running,
    ):
        assert await running.ended() is None
        dropped = running.said("indexes_deferred")
        made = [line["index"] for line in running.logged if line["event"] == "index_made"]
    assert dropped is not None
    assert sorted(made) == sorted(deferred_indexes.NAMES)
    await require_all(url)
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_short_fill_keeps_them(url: str) -> None:
    async with (
        serving(Playhead.at_block(recording(), LAST)) as node,
        following(url, node.url, until_block=LAST, VESU_INGEST_BATCH_EVENTS="5") as running,
    ):
        assert await running.ended() is None
        assert running.said("indexes_deferred") is None
    await require_all(url)


async def test_zero_means_never(url: str) -> None:
    never = SOON | {"VESU_INGEST_DEFER_INDEXES_FROM": "0"}
    async with (
        serving(Playhead.at_block(recording(), LAST)) as node,
        following(url, node.url, until_block=LAST, **never) as running,
    ):
        assert await running.ended() is None
        assert running.said("indexes_deferred") is None


async def test_after_a_kill_the_next_daemon_makes_them(url: str, undisturbed: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        await filled_until_dropped(url, node.url)
        assert (await report(url)).missing
        async with following(url, node.url, until_block=LAST, **SOON) as running:
            assert await running.ended() is None
            assert running.said("indexes_deferred") is None
    await require_all(url)
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_kill_while_they_are_made_leaves_none_half_made(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        async with following(url, node.url, until_block=LAST, **SOON) as running:
            await running.says("index_made")
            running.task.cancel()
        assert (await report(url)).invalid == []
        async with following(url, node.url, until_block=LAST, **SOON) as running:
            assert await running.ended() is None
    await require_all(url)


async def test_a_database_in_use_keeps_them(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        async with following(url, node.url, until_block=20, **SOON) as running:
            assert await running.ended() is None
        async with following(url, node.url, until_block=LAST, **SOON) as running:
            assert await running.ended() is None
            assert running.said("indexes_deferred") is None
    await require_all(url)


async def test_a_reader_that_holds_the_table_keeps_them(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        reader = await asyncpg.connect(url)
        try:
            async with reader.transaction():
                await reader.execute("LOCK TABLE vesu_positions IN ACCESS SHARE MODE")
                async with following(url, node.url, until_block=LAST, **SOON) as running:
                    assert await running.ended() is None
                    kept = running.said("indexes_kept")
        finally:
            await reader.close()
    assert kept is not None
    assert "lock timeout" in kept["reason"]
    await require_all(url)


async def test_a_role_that_does_not_own_the_table_keeps_them(url: str) -> None:
    owner = await asyncpg.connect(url)
    try:
        await owner.execute("CREATE ROLE deferring LOGIN")
        for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            await owner.execute(f"GRANT ALL ON ALL {what} IN SCHEMA public TO deferring")
        writer = parse.urlunsplit(
            parse.urlsplit(url)._replace(netloc="deferring@" + url.rpartition("@")[2].split("/")[0])
        )
        async with (
            serving(Playhead.at_block(recording(), LAST)) as node,
            following(writer, node.url, until_block=LAST, **SOON) as running,
        ):
            assert await running.ended() is None
            kept = running.said("indexes_kept")
    finally:
        await owner.execute("DROP OWNED BY deferring")
        await owner.execute("DROP ROLE deferring")
        await owner.close()
    assert kept is not None
    assert "must be owner" in kept["reason"]


async def test_an_index_that_somebody_makes_meanwhile_stays(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        await filled_until_dropped(url, node.url)
        somebody = await asyncpg.connect(url)
        await somebody.execute(indexes.statements()["idx_vesu_positions_status"])
        await somebody.close()
        async with following(url, node.url, until_block=LAST, **SOON) as running:
            assert await running.ended() is None
    await require_all(url)
