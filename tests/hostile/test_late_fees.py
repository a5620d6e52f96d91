"""Fees that the background reads while a replay goes on are still there once it is live."""

from __future__ import annotations

import pytest

from indexer.log import facts
from indexer.projections import fees
from indexer.projections.shadow import build, swap
from indexer.store import database
from tests import postgres
from tests.hostile import chain

UNREAD = """
    CREATE TABLE read_later AS TABLE receipts;
    DELETE FROM receipts;
    UPDATE vesu_transactions SET gas_used = NULL, fee_unit = NULL
"""
SPOILED = "UPDATE vesu_transactions SET amount_raw = amount_raw + 1"


async def read_receipts(url: str) -> None:
    """What the background does, once it has the receipts of blocks that hold events."""
    await postgres.execute(url, "INSERT INTO receipts SELECT * FROM read_later")
    async with database.session(url) as connection:
        rows = await connection.fetch("SELECT * FROM receipts")
        found = {
            (row["block_number"], row["transaction_index"]): facts.Fee(
                int(row["actual_fee"]), row["fee_unit"]
            )
            for row in rows
        }
        assert found
        await fees.fill(connection, found)


@pytest.mark.parametrize("spoiled", ["SELECT", SPOILED], ids=["equal rows", "rows that differ"])
@pytest.mark.parametrize("is_compared", [False, True], ids=["before comparing", "after comparing"])
async def test_fees_that_came_after_the_fold_stay(spoiled: str, is_compared: bool) -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        whole = await chain.rows(url)
        await postgres.execute(url, f"{UNREAD}; {spoiled}")
        async with database.session(url) as connection:
            built = build.Shadow(connection, chain.engine())
            await built.open(1)
            span = await built.catch_up(lambda _: None)
            if is_compared:
                async with connection.transaction(isolation="repeatable_read"):
                    await swap.mark(built, span)
            await read_receipts(url)
            await swap.swap(built, lambda _: None)
        assert await chain.rows(url) == whole
