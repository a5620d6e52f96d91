"""Indexes that a long first fill drops are back at its end, whatever comes between."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from urllib import parse

import asyncpg

from indexer.audit import indexes
from indexer.daemon import deferred_indexes
from tests import postgres
from tests.integration import daemon_stage
from tests.integration.daemon_stage import LAST, Following, Playhead, following, recording, serving

SOON = {"VESU_INGEST_BATCH_EVENTS": "5", "VESU_INGEST_DEFER_INDEXES_FROM": "10"}
"""A recorded chain has few events."""


async def report(url: str) -> indexes.IndexReport:
    connection = await asyncpg.connect(url)
    try:
        return await indexes.check(connection)
    finally:
        await connection.close()


async def definitions(url: str) -> list[str]:
    """All indexes with their comments, as PostgreSQL tells them."""
    rows = await postgres.fetch(
        url,
        """
        SELECT pg_get_indexdef(indexrelid) || COALESCE(obj_description(indexrelid), '') AS text
        FROM pg_index
        WHERE indrelid IN ('vesu_positions'::regclass, 'event_log'::regclass) ORDER BY 1
        """,
    )
    return [row["text"] for row in rows]


async def require_all(url: str) -> None:
    """Every index of the migrations is there, and as they make it."""
    async with postgres.fresh_database(migrated=True) as migrated:
        assert await definitions(url) == await definitions(migrated)
    assert (await report(url)).is_good
    assert await postgres.value(url, "SELECT count(*) FROM deferred_indexes") == 0


async def indexed(
    url: str, node: str, until_block: int = LAST, settings: dict[str, str] = SOON
) -> Following:
    """A daemon that came to its end, and what it said."""
    async with following(url, node, until_block=until_block, **settings) as running:
        assert await running.ended() is None
    return running


async def filled_until_dropped(url: str, node: str) -> None:
    """Index until the indexes are dropped, and stop there, as a kill would."""
    async with following(url, node, until_block=LAST, **SOON) as running:
        await running.says("indexes_deferred")
        running.task.cancel()


async def test_they_are_dropped_and_made_again(url: str, undisturbed: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        running = await indexed(url, node.url)
    made = [line["index"] for line in running.logged if line["event"] == "index_made"]
    assert running.said("indexes_deferred") is not None
    assert sorted(made) == sorted(deferred_indexes.NAMES)
    await require_all(url)
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_short_fill_keeps_them(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        running = await indexed(url, node.url, settings={"VESU_INGEST_BATCH_EVENTS": "5"})
    assert running.said("indexes_deferred") is None
    await require_all(url)


async def test_zero_means_never(url: str) -> None:
    never = SOON | {"VESU_INGEST_DEFER_INDEXES_FROM": "0"}
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        running = await indexed(url, node.url, settings=never)
    assert running.said("indexes_deferred") is None


async def test_after_a_kill_the_next_daemon_makes_them(url: str, undisturbed: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        await filled_until_dropped(url, node.url)
        assert (await report(url)).missing
        running = await indexed(url, node.url)
    assert running.said("indexes_deferred") is None
    await require_all(url)
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_kill_while_they_are_made_leaves_none_half_made(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        async with following(url, node.url, until_block=LAST, **SOON) as running:
            await running.says("index_made")
            running.task.cancel()
        assert (await report(url)).invalid == []
        await indexed(url, node.url)
    await require_all(url)


async def test_a_database_in_use_keeps_them(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        await indexed(url, node.url, until_block=20)
        running = await indexed(url, node.url)
    assert running.said("indexes_deferred") is None
    await require_all(url)


async def test_a_reader_that_holds_the_table_keeps_them(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        reader = await asyncpg.connect(url)
        try:
            async with reader.transaction():
                await reader.execute("LOCK TABLE vesu_positions IN ACCESS SHARE MODE")
                kept = (await indexed(url, node.url)).said("indexes_kept")
        finally:
            await reader.close()
    assert kept is not None
    assert "lock timeout" in kept["reason"]
    await require_all(url)


@contextlib.asynccontextmanager
async def limited_role(url: str) -> AsyncIterator[str]:
    """The database's URL for a role that may do everything with rows, and owns no table."""
    owner = await asyncpg.connect(url)
    name = f"deferring_{uuid.uuid4().hex}"
    try:
        await owner.execute(f"CREATE ROLE {name} LOGIN")
        for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            await owner.execute(f"GRANT ALL ON ALL {what} IN SCHEMA public TO {name}")
        host = url.rpartition("@")[2].split("/")[0]
        yield parse.urlunsplit(parse.urlsplit(url)._replace(netloc=f"{name}@{host}"))
    finally:
        await owner.execute(f"DROP OWNED BY {name}")
        await owner.execute(f"DROP ROLE {name}")
        await owner.close()


async def test_a_role_that_does_not_own_the_table_keeps_them(url: str) -> None:
    async with (
        limited_role(url) as writer,
        serving(Playhead.at_block(recording(), LAST)) as node,
    ):
        kept = (await indexed(writer, node.url)).said("indexes_kept")
    assert kept is not None
    assert "must be owner" in kept["reason"]


async def test_an_index_that_somebody_makes_meanwhile_stays(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        await filled_until_dropped(url, node.url)
        await postgres.execute(url, indexes.statements()["idx_vesu_positions_status"])
        await indexed(url, node.url)
    await require_all(url)


async def test_a_role_that_may_not_make_them_goes_on_and_says_so(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        await filled_until_dropped(url, node.url)
        async with limited_role(url) as writer:
            running = await indexed(writer, node.url)
        refused = running.said("indexes_not_made", log_level="warning")
        assert refused is not None
        assert "must be owner" in refused["reason"]
        await indexed(url, node.url)
    await require_all(url)


async def test_a_writer_of_another_session_puts_them_off(url: str) -> None:
    """Rows can be written beside it, and no index can be made."""
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        await filled_until_dropped(url, node.url)
        other = await asyncpg.connect(url)
        try:
            async with other.transaction():
                await other.execute("LOCK TABLE vesu_positions IN ROW EXCLUSIVE MODE")
                running = await indexed(url, node.url)
        finally:
            await other.close()
        assert running.said("indexes_put_off") is not None
        await indexed(url, node.url)
    await require_all(url)


async def test_an_index_that_somebody_else_dropped_is_left_to_them(url: str) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        await indexed(url, node.url, until_block=20)
        await postgres.execute(url, "DROP INDEX idx_vesu_positions_status")
        await indexed(url, node.url)
    assert (await report(url)).missing == ["vesu_positions.idx_vesu_positions_status"]


async def test_a_repair_after_the_first_fill_drops_nothing(url: str) -> None:
    """The first fill is over once it arrived, though the daemon is still the same."""
    nearly_all = "SELECT count(*)::text FROM events WHERE block_number <= $1"
    async with daemon_stage.filled(Playhead.at_block(recording(), LAST), LAST) as made:
        late = {"VESU_INGEST_DEFER_INDEXES_FROM": await postgres.value(made, nearly_all, LAST - 10)}
    async with (
        serving(Playhead.at_block(recording(), LAST)) as node,
        following(url, node.url, **SOON | late) as running,
    ):
        await running.committed(LAST)
        assert running.said("indexes_deferred") is None
        await postgres.execute(
            url,
            "INSERT INTO completeness_gaps (block_number, transaction_index, event_index, "
            "transaction_hash, from_address, difference) VALUES (5, 0, 0, '0x1', '0x2', 'missing')",
        )
        await running.says("repairing")
        await running.committed(LAST)
        assert running.said("indexes_deferred") is None
