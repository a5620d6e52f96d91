"""Lists are planned for the values they are filtered by, however often they are asked."""

from __future__ import annotations

from indexer.query import filters, listing, records
from indexer.store import database
from tests import postgres

OFTEN = 12
"""From the sixth time on PostgreSQL would consider one plan for all values."""


async def test_no_plan_serves_all_values() -> None:
    async with postgres.fresh_database(migrated=True) as url:
        settings = database.DatabaseSettings(url, pool_min=1, pool_max=1)
        async with await database.connect_pool(settings) as pool, pool.acquire() as connection:
            for number in range(OFTEN):
                asset = filters.Condition("asset_address", "=", (f"0x{number:064x}",))
                page_query = filters.PageQuery((asset,))
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    await listing.records(connection, records.TRANSACTIONS, 1_000, page_query)
            plans = await connection.fetch(
                "SELECT generic_plans, custom_plans FROM pg_prepared_statements "
                "WHERE statement LIKE '%vesu_transactions%' AND statement NOT LIKE '%pg_prepared%'"
            )
    assert [tuple(row) for row in plans] == [(0, OFTEN)]
