"""A replay that folds a batch before the one it builds on is in the shadow gives the same rows."""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from indexer import errors
from indexer.log import facts
from indexer.projections import engine as engines
from indexer.projections import replay, stored_valuations
from indexer.projections.shadow import build, swap
from indexer.store import database
from tests import postgres
from tests.hostile import chain

OTHER_BRANCH = [
    *chain.HONEST[:2],
    [(chain.V_OURS, "Transfer", [0, chain.MALLORY], chain.u256(900))],
    [chain.context(chain.OURS, 4), chain.modify(chain.OURS, chain.MALLORY, 3 * 10**18)],
    [chain.modify(chain.OURS, chain.ALICE, 10**17)],
    [chain.context(chain.OURS, 6), chain.modify(chain.OURS, chain.BOB, 10**18)],
]
"""After block 2 another history than that of the honest chain."""

SPOIL = "UPDATE vesu_positions SET collateral_shares = collateral_shares + 1"


class Ahead(engines.Engine):
    """Writes nothing of a batch before the next one, up to block `last`, is prepared.

    `prepared` is called with each batch that is.
    """

    def __init__(self, last: int, prepared: Callable[[facts.Batch], Awaitable[None]]) -> None:
        super().__init__(list(chain.OF_V2))
        self.last = last
        self.overlapped = 0
        self._prepared = prepared
        self._next = asyncio.Event()

    async def prepare_logged(
        self, connection: Any, batch: facts.Batch, *more: Any
    ) -> engines.Prepared:
        found = await super().prepare_logged(connection, batch, *more)
        await self._prepared(batch)
        self._next.set()
        return found

    def advance(self, prepared: engines.Prepared) -> Any:
        self._next = asyncio.Event()
        return super().advance(prepared)

    async def project(self, connection: Any, prepared: engines.Prepared, *rest: Any) -> Any:
        if prepared.batch.to_block < self.last:
            await self._next.wait()
            self.overlapped += 1
        return await super().project(connection, prepared, *rest)


async def nothing(_: facts.Batch) -> None:
    """Lets a replay go on."""


async def replayed(
    url: str, engine: engines.Engine, open_second: Any, batch_events: int = 1
) -> replay.Done:
    """Replay the whole log."""
    async with database.session(url) as connection:
        built = build.Shadow(connection, engine, batch_events, open_second)
        return await replay.replay(built, 1, None)


@pytest.mark.parametrize("blocks", [chain.HONEST, chain.NAMED_LATER], ids=["honest", "named later"])
@pytest.mark.parametrize("batch_events", [1, 3])
async def test_the_rows_are_those_of_one_batch_after_the_other(
    blocks: list[chain.Block], batch_events: int
) -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, blocks)
        await chain.replayed(url)
        plain = await chain.rows(url)
        await postgres.execute(url, SPOIL)
        engine = Ahead(len(blocks), nothing)
        open_second = functools.partial(database.session, url)
        done = await replayed(url, engine, open_second, batch_events)
        assert engine.overlapped > 1
        assert done.rows_changed == len(plain["vesu_positions"])
        assert await chain.rows(url) == plain


async def test_the_next_batch_is_read_before_the_one_in_hand_is_prepared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading: dict[int, asyncio.Event] = collections.defaultdict(asyncio.Event)
    read_batch = facts.read_batch

    async def noting(connection: Any, first: int, *more: int) -> facts.Batch:
        reading[first].set()
        return await read_batch(connection, first, *more)

    async def wait_for_the_next(batch: facts.Batch) -> None:
        if batch.to_block < len(chain.HONEST):
            await asyncio.wait_for(reading[batch.to_block + 1].wait(), 60)

    monkeypatch.setattr(facts, "read_batch", noting)
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        before = await chain.rows(url)
        engine = Ahead(0, wait_for_the_next)
        await replayed(url, engine, functools.partial(database.session, url))
        assert len(reading) > 3
        assert await chain.rows(url) == before


async def test_without_a_free_connection_batches_are_written_in_turn() -> None:
    def refused() -> Any:
        raise errors.DatabaseUnavailableError("no connection left")

    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        before = await chain.rows(url)
        await postgres.execute(url, SPOIL)
        done = await replayed(url, chain.engine(), refused)
        assert (done.to_block, done.rows_changed) == (5, len(before["vesu_positions"]))
        assert await chain.rows(url) == before


@pytest.mark.parametrize("has_second", [True, False])
async def test_every_wrong_valuation_is_mended(
    has_second: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of which no example is kept."""
    monkeypatch.setattr(stored_valuations, "EXAMPLES", 1)
    monkeypatch.setattr(stored_valuations, "ROWS_AT_ONCE", 2)
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        before = await chain.rows(url)
        await postgres.execute(url, "UPDATE vesu_positions SET collateral_raw = 77")
        open_second = functools.partial(database.session, url) if has_second else None
        done = await replayed(url, chain.engine(), open_second)
        assert done.rows_changed == len(before["vesu_positions"]) > 2
        assert await chain.rows(url) == before


@pytest.mark.parametrize("at", [3, 4, 5])
async def test_a_reorganisation_between_reading_and_writing_is_followed(at: int) -> None:
    """Block `at` is read of a branch that is gone before it is written."""
    async with (
        postgres.fresh_database(migrated=True) as url,
        postgres.fresh_database(migrated=True) as undisturbed,
    ):
        await chain.index(url, chain.HONEST)
        await postgres.execute(url, SPOIL)
        forked = False

        async def fork(batch: facts.Batch) -> None:
            nonlocal forked
            if batch.from_block <= at <= batch.to_block and not forked:
                forked = True
                async with chain.writing(url) as writer:
                    await writer.roll_back((2, hex(2)), chain.header(6), "chain")
                await chain.index(url, OTHER_BRANCH, first=3)

        engine = Ahead(at, fork)
        done = await replayed(url, engine, functools.partial(database.session, url))
        assert forked
        assert done.to_block == 6
        await chain.index(undisturbed, OTHER_BRANCH)
        await chain.replayed(undisturbed)
        assert await chain.rows(url) == await chain.rows(undisturbed)


async def test_positions_of_a_shadow_are_valued_once_they_are_to_go_live() -> None:
    count = """
        SELECT count(*) FILTER (WHERE valued_at_block < 0), count(*)
        FROM vesu_shadow.vesu_positions WHERE status = 'active'
    """
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        await postgres.execute(
            url,
            f"{SPOIL} WHERE id = (SELECT id FROM vesu_positions WHERE status = 'active' LIMIT 1)",
        )
        async with database.session(url) as connection:
            built = build.Shadow(connection, chain.engine())
            await built.open(1)
            span = await built.catch_up(lambda _: None)
            unvalued, active = await connection.fetchrow(count)
            assert unvalued == active > 1
            async with connection.transaction(isolation="repeatable_read"):
                await swap.mark(built, span)
            assert await connection.fetchrow(count) == (active - 1, active)
