"""After a first fill PostgreSQL knows its tables at once; it would a minute later by itself."""

from __future__ import annotations

import asyncpg
import pytest

from indexer.daemon import deferred_indexes
from tests import postgres
from tests.integration import daemon_stage
from tests.integration.daemon_stage import LAST, Playhead, following, recording, serving

HELD = "pool_versions"


async def known(url: str) -> set[str]:
    """The tables of which PostgreSQL has statistics, apart from those that hold nothing."""
    rows = await postgres.fetch(
        url, "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = current_schema()"
    )
    return {row["tablename"] for row in rows}


async def index(url: str) -> None:
    async with (
        serving(Playhead.at_block(recording(), LAST)) as node,
        following(url, node.url, until_block=LAST) as running,
    ):
        assert await running.ended() is None


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded chain has few events."""
    monkeypatch.setattr(deferred_indexes, "STATISTICS_FROM", 10)


TABLES = {"contracts", "contract_history", "vesu_assets", "asset_versions", "vesu_pools"}


@pytest.mark.usefixtures("few")
async def test_a_first_fill_gathers_them(url: str, undisturbed: str) -> None:
    await index(url)
    assert await known(url) >= {*TABLES, HELD}
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_short_one_leaves_them_to_postgresql(url: str) -> None:
    connection = await asyncpg.connect(url)
    for table in TABLES:
        await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    await connection.close()
    await index(url)
    assert not await known(url) & TABLES


@pytest.mark.usefixtures("few")
async def test_a_table_that_another_session_holds_is_passed_over(
    url: str, undisturbed: str
) -> None:
    holder = await asyncpg.connect(url)
    await holder.execute(f"ALTER TABLE {HELD} SET (autovacuum_enabled = false)")
    async with holder.transaction():
        await holder.execute(f"COMMENT ON COLUMN {HELD}.id IS 'held'")
        await index(url)
    await holder.close()
    found = await known(url)
    assert HELD not in found
    assert found >= TABLES
    assert await daemon_stage.digest_at(url, LAST) == undisturbed
