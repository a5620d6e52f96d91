"""Filtered lists are planned for the values asked for; what one index finds keeps its plan."""

from __future__ import annotations

from indexer.query import filters, listing, near, position_versions, records
from indexer.store import database
from tests import postgres

OFTEN = 12
"""From the sixth time on PostgreSQL would consider one plan for all values."""

ADDRESS = f"0x{1:064x}"
NO_ID = "00000000-0000-0000-0000-000000000000"


async def plans_of(listed: listing.Listing, *conditions: filters.Condition) -> tuple[int, int]:
    """How often a list that is asked OFTEN was planned for all values, and for the given ones."""
    async with postgres.fresh_database(migrated=True) as url:
        settings = database.DatabaseSettings(url, pool_min=1, pool_max=1)
        async with await database.connect_pool(settings) as pool, pool.acquire() as connection:
            for _ in range(OFTEN):
                page_query = filters.PageQuery(conditions)
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    await listing.records(connection, listed, 1_000, page_query)
            (plans,) = await connection.fetch(
                "SELECT generic_plans, custom_plans FROM pg_prepared_statements "
                "WHERE statement LIKE '%AS source%' AND statement NOT LIKE '%pg_prepared%'"
            )
    return plans["generic_plans"], plans["custom_plans"]


async def test_a_filtered_list_is_planned_for_its_values() -> None:
    asset = filters.Condition("asset_address", "=", (ADDRESS,))
    assert await plans_of(records.TRANSACTIONS, asset) == (0, OFTEN)


async def test_a_list_without_filters_keeps_its_plan() -> None:
    generic, _ = await plans_of(records.TRANSACTIONS)
    assert generic > 0


async def test_a_list_of_keys_keeps_its_plan() -> None:
    named = position_versions.of_keys(near.Candidates([ADDRESS], [NO_ID]))
    generic, _ = await plans_of(named, filters.Condition("kind", "=", ("borrow",)))
    assert generic > 0
