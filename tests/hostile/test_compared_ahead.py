"""A replay compares rows as it builds them; what changes afterwards is still put right."""

from __future__ import annotations

import pytest

from indexer.projections import replay
from indexer.projections.shadow import build, compared_ahead, swap
from indexer.store import database
from tests import postgres
from tests.hostile import chain

OTHER_BRANCH = [
    *chain.HONEST[:2],
    [chain.context(chain.OURS, 3), chain.modify(chain.OURS, chain.MALLORY, 3 * 10**18)],
    [(chain.V_OURS, "Transfer", [0, chain.MALLORY], chain.u256(900))],
    [chain.modify(chain.OURS, chain.BOB, 10**17)],
    [chain.context(chain.OURS, 6), chain.modify(chain.OURS, chain.ALICE, 10**18)],
]
"""After block 2 another history than that of the honest chain."""

SPOILED = {
    "amounts": "UPDATE vesu_transactions SET amount_raw = amount_raw + 1 WHERE block_number > 2",
    "a transaction less": "DELETE FROM vesu_transactions WHERE block_number = 4",
    "a transaction more": """
        INSERT INTO vesu_transactions SELECT (json_populate_record(t, json_build_object(
            'id', overlay(id::text PLACING 'f0f0f0f0' FROM 1), 'leg', 77))).*
        FROM vesu_transactions t WHERE block_number > 2
    """,
    "versions": """
        UPDATE position_versions SET collateral_shares = collateral_shares + 1
            WHERE block_number > 2;
        UPDATE asset_versions SET reserve = 0 WHERE block_number > 2
    """,
    "a version less": "DELETE FROM asset_versions WHERE block_number = 4",
    "a version more": """
        INSERT INTO position_versions (id, block_number, transaction_index, event_index,
            collateral_shares, nominal_debt, vtoken_balance_raw, status, changed_at)
        SELECT id, block_number, 77, event_index, collateral_shares, nominal_debt,
            vtoken_balance_raw, status, changed_at
        FROM position_versions WHERE block_number > 2
    """,
}


class Killed(Exception):  # noqa: N818
    """The process ends here."""


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
async def test_what_differs_while_it_builds_is_mended(spoiled: str) -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        whole = await chain.rows(url)
        await postgres.execute(url, spoiled)
        assert await chain.rows(url) != whole
        async with database.session(url) as connection:
            built = build.Shadow(connection, chain.engine(), batch_events=1)
            await built.open(1)
            await built.catch_up(lambda _: None)
            assert await compared_ahead.compared_to(connection) == len(chain.HONEST)
            assert await suspected(connection) > 0
            await swap.swap(built, lambda _: None)
        assert await chain.rows(url) == whole


async def test_what_is_equal_is_suspected_nowhere() -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        async with database.session(url) as connection:
            built = build.Shadow(connection, chain.engine(), batch_events=1)
            await built.open(1)
            await built.catch_up(lambda _: None)
            assert await suspected(connection) == 0
            assert (await swap.swap(built, lambda _: None)).rows_changed == 0


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
async def test_what_a_reorganisation_takes_back_is_compared_again(spoiled: str) -> None:
    """The rows of the given-up branch were equal; those of the new one are spoiled."""
    async with (
        postgres.fresh_database(migrated=True) as url,
        postgres.fresh_database(migrated=True) as undisturbed,
    ):
        await chain.index(undisturbed, OTHER_BRANCH)
        await chain.replayed(undisturbed)
        await chain.index(url, chain.HONEST)
        async with database.session(url) as connection:
            built = build.Shadow(connection, chain.engine(), batch_events=1)
            await built.open(1)
            await built.catch_up(lambda _: None)
            async with chain.writing(url) as writer:
                await writer.roll_back((2, hex(2)), chain.header(6), "chain")
            await chain.index(url, OTHER_BRANCH, first=3)
            await postgres.execute(url, spoiled)
            await swap.swap(built, lambda _: None)
        assert await chain.rows(url) == await chain.rows(undisturbed)


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
async def test_what_a_kill_left_written_and_not_compared_is_compared_later(
    spoiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = compared_ahead.compare

    async def killed(connection: build.Connection, live: str, last: int) -> None:
        if last > 2:
            raise Killed
        await compare(connection, live, last)

    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        whole = await chain.rows(url)
        await postgres.execute(url, spoiled)
        async with database.session(url) as connection:
            built = build.Shadow(connection, chain.engine(), batch_events=1)
            await built.open(1)
            with monkeypatch.context() as patched:
                patched.setattr(compared_ahead, "compare", killed)
                with pytest.raises(Killed):
                    await built.catch_up(lambda _: None)
            assert await compared_ahead.compared_to(connection) == 2
        async with database.session(url) as connection:
            done = await replay.replay(build.Shadow(connection, chain.engine(), 1), 1, None)
        assert done.resumed_at is not None
        assert done.resumed_at > 2
        assert await chain.rows(url) == whole


async def suspected(connection: build.Connection) -> int:
    """The number of keys that were found to differ while the shadow was built."""
    count = 0
    for table in compared_ahead.TABLES:
        name = f"vesu_shadow.suspected_{table.stored_name}"
        count += await connection.fetchval(f"SELECT count(*) FROM {name}")
    return count
