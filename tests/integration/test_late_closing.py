"""At the head a block is folded and written while its hash is asked again, and committed after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from indexer.chain import closing
from tests.integration import daemon_stage, fork_stage
from tests.integration.daemon_stage import Fault, Following, Playhead, following, serving

BELOW = fork_stage.COMMON
BLOCK = BELOW + 1
"""The first block of which there are two."""

WRITING = """
SELECT count(*) FROM pg_locks
WHERE relation = 'vesu_transactions'::regclass AND mode = 'RowExclusiveLock' AND granted
"""


def hash_on(branch: int) -> str:
    return str(daemon_stage.recording().branch(branch).blocks[BLOCK].hash)


@contextlib.asynccontextmanager
async def one_more(
    url: str, closes: Callable[[Playhead], Fault | None], **settings: str
) -> AsyncIterator[tuple[Following, str, list[int]]]:
    """A daemon that is at the head when the block appears; the node's URL; the closings asked.

    `closes` answers the first question that closes it, or passes with None.
    """
    head = fork_stage.on_main(BELOW)
    asked: list[int] = []

    def fault(method: str, params: Any) -> Fault | None:
        if method != "starknet_getBlockWithTxHashes" or params["block_id"] == "latest":
            return None
        if params["block_id"] != {"block_number": BLOCK}:
            return None
        asked.append(BLOCK)
        return closes(head) if len(asked) == 1 else None

    async with (
        serving(head, fault=fault) as served,
        following(url, served.url, **settings) as running,
    ):
        await running.committed(BELOW)
        head.go_to(BLOCK)
        yield running, served.url, asked


async def stored(running: Following) -> str:
    return str(await running.ask("SELECT hash FROM blocks WHERE number = $1", BLOCK))


async def test_nothing_is_committed_before_the_answer(url: str) -> None:
    def late(_: Playhead) -> Fault:
        return Fault(delay=1.0)

    async with one_more(url, late) as (running, _, asked):

        async def writes() -> bool:
            return bool(asked and await running.ask(WRITING))

        await running.until(writes)
        await asyncio.sleep(0.3)
        assert running.worker.position.block_number == BELOW
        assert await running.ask("SELECT block_number FROM cursor") == BELOW
        assert asked == [BLOCK]
        await running.committed(BLOCK)
        assert int(await stored(running), 16) == int(hash_on(0), 16)


@pytest.mark.parametrize("verify", ["events", "off"])
async def test_a_block_that_became_another_is_never_committed(url: str, verify: str) -> None:
    def parts(head: Playhead) -> None:
        head.go_to(BLOCK, branch=1)

    async with one_more(url, parts, VESU_INGEST_VERIFY=verify) as (running, node, asked):
        await running.committed(BLOCK)
        assert int(await stored(running), 16) == int(hash_on(1), 16) != int(hash_on(0), 16)
        assert await fork_stage.forks(running) == 0
        assert len(asked) > 1
    assert daemon_stage.count(node, "fork", "again") == 1
    assert daemon_stage.count(node, "fork", "wait") == 0
    other = Playhead.at_block(daemon_stage.recording(), BELOW, story=True)
    other.go_to(BLOCK, branch=1)
    async with daemon_stage.filled(other, BLOCK) as truth:
        await fork_stage.equal(url, truth, BLOCK)


async def test_a_transaction_is_not_held_open_for_long(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "HELD_SECONDS", 0.1)

    def never(_: Playhead) -> Fault:
        return Fault(delay=600)

    async with one_more(url, never) as (running, node, asked):
        async with asyncio.timeout(daemon_stage.QUICK.request_timeout_seconds - 1):
            await running.committed(BLOCK)
        assert int(await stored(running), 16) == int(hash_on(0), 16)
        assert len(asked) > 1
        assert daemon_stage.count(node, "unreachable", "again") == 1
        assert daemon_stage.count(node, "fork", "wait") == 0


async def test_a_write_that_fails_leaves_no_question_behind(url: str) -> None:
    """The database refuses the block while its closing is still awaited."""

    def late(_: Playhead) -> Fault:
        return Fault(delay=600)

    connection = await asyncpg.connect(url)
    await connection.execute(
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON blocks
        FOR EACH ROW WHEN (NEW.number = {BLOCK}) EXECUTE FUNCTION refuse()
        """
    )
    await connection.close()
    async with one_more(url, late) as (running, _, asked):
        error = await running.ended()
        assert "no space" in str(error)
        assert asked
        assert await running.ask("SELECT block_number FROM cursor") == BELOW
        assert not [task for task in asyncio.all_tasks() if "chain/windows.py" in repr(task)]
