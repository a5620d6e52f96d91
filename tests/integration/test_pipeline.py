"""A range is folded while the one before it is being written, and the tables are the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer import errors
from indexer.daemon import ingestor
from indexer.daemon import writer as writers
from tests.integration import daemon_stage
from tests.integration.daemon_stage import Following, Playhead, following, recording, serving

LAST = 110
FEW = {"VESU_INGEST_BATCH_EVENTS": "10"}
"""So few events a range that there are many ranges."""


@pytest.fixture(scope="module")
async def undisturbed() -> AsyncIterator[str]:
    async with daemon_stage.filled(Playhead.at_block(recording(), LAST), LAST) as made:
        yield await daemon_stage.digest_at(made, LAST)


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The last block of each range that was prepared."""
    found: list[int] = []
    prepare = writers.Writer.prepare

    async def noting(
        self: writers.Writer, part: object, reading: asyncpg.Connection
    ) -> writers.Ready:
        ready = await prepare(self, part, reading)  # type: ignore[arg-type]
        found.append(ready.part.to_block)
        return ready

    monkeypatch.setattr(writers.Writer, "prepare", noting)
    return found


@contextlib.asynccontextmanager
async def writing_held(url: str) -> AsyncIterator[None]:
    """No transaction gets to write its effects while inside."""
    holder = await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE vesu_transactions IN SHARE MODE")
            yield
    finally:
        await holder.close()


async def is_folded_ahead(running: Following, prepared: list[int]) -> None:
    """Wait until a range is folded on top of one that is not committed."""

    async def is_ahead() -> bool:
        return len(prepared) > 1 and prepared[-2] > running.worker.position.block_number

    await running.until(is_ahead)


@pytest.mark.parametrize("events", ["1", "10", "40"])
async def test_ranges_of_any_size_give_the_same_tables(
    url: str, undisturbed: str, events: str
) -> None:
    few = {"VESU_INGEST_BATCH_EVENTS": events}
    async with (
        serving(Playhead.at_block(recording(), LAST)) as node,
        following(url, node.url, until_block=LAST, **few) as running,
    ):
        assert await running.ended() is None
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_the_next_range_is_folded_while_one_is_being_written(
    url: str, undisturbed: str, prepared: list[int]
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        node = await stack.enter_async_context(serving(Playhead.at_block(recording(), LAST)))
        async with writing_held(url):
            running = await stack.enter_async_context(
                following(url, node.url, until_block=LAST, **FEW)
            )
            await is_folded_ahead(running, prepared)
        assert await running.ended() is None
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_no_range_waits_for_a_look_at_the_head(
    url: str, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node tells its head once, and is then asked in vain until the last block is committed."""
    monkeypatch.setattr(ingestor, "LOOK_SECONDS", 0.0)
    asked = 0

    def silent(method: str, params: Any) -> daemon_stage.Fault | None:
        nonlocal asked
        if method != "starknet_getBlockWithTxHashes" or params["block_id"] != "latest":
            return None
        asked += 1
        return daemon_stage.Fault(delay=600) if asked > 1 else None

    async with (
        serving(Playhead.at_block(recording(), LAST), fault=silent) as node,
        following(url, node.url, until_block=LAST, **FEW) as running,
    ):
        assert await running.ended() is None
    assert asked > 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_head_that_moves_while_catching_up_is_noted(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each of many ranges, although all that is new is read up to the head of before."""
    monkeypatch.setattr(ingestor, "LOOK_SECONDS", 0.0)
    head = Playhead.at_block(recording(), LAST)

    def move(method: str, _: Any) -> None:
        if method == "starknet_getEvents":
            head.go_to(LAST + 5)

    async with (
        serving(head, fault=move) as node,
        following(url, node.url, until_block=LAST, **FEW) as running,
    ):
        assert await running.ended() is None
        noted = await running.connection.fetchval("SELECT block_number FROM chain_head")
    assert noted == LAST + 5


async def test_a_range_that_fails_takes_the_one_folded_on_top_of_it_along(
    url: str, undisturbed: str, prepared: list[int]
) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON vesu_transactions
        FOR EACH ROW WHEN (NEW.block_number > 60) EXECUTE FUNCTION refuse()
        """
    )
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        async with following(url, node.url, until_block=LAST, **FEW) as running:
            failure = await running.ended()
            committed = running.worker.position.block_number
        assert isinstance(failure, errors.DatabaseRefusalError)
        assert committed <= 60 < prepared[-1]
        assert committed == await connection.fetchval("SELECT block_number FROM cursor")
        assert committed >= await connection.fetchval("SELECT max(block_number) FROM events")
        await connection.execute("DROP TRIGGER refuse ON vesu_transactions")
        async with following(url, node.url, until_block=LAST, **FEW) as running:
            assert await running.ended() is None
    await connection.close()
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_range_cancelled_while_it_is_written_leaves_nothing(
    url: str, undisturbed: str, prepared: list[int]
) -> None:
    async with serving(Playhead.at_block(recording(), LAST)) as node:
        async with (
            writing_held(url),
            following(url, node.url, until_block=LAST, **FEW) as running,
        ):
            await is_folded_ahead(running, prepared)
            running.task.cancel()
            await asyncio.wait([running.task])
        found = await asyncpg.connect(url)
        # A commit that the cancellation met on its way may have happened.
        committed = await found.fetchval("SELECT block_number FROM cursor")
        assert committed in (prepared[-2], *prepared[-3:-2], -1)
        assert not await found.fetchval(
            "SELECT count(*) FROM events WHERE block_number > $1", committed
        )
        await found.close()
        async with following(url, node.url, until_block=LAST, **FEW) as running:
            assert await running.ended() is None
    assert await daemon_stage.digest_at(url, LAST) == undisturbed
