"""Worthless assets that a stranger hands out stay out of every sum; so for every cut and replay."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from indexer.projections import listed_pools
from indexer.query import portfolio, totals
from indexer.store import database
from tests import postgres
from tests.hostile import chain

OURS = listed_pools.ListedPool(f"0x{chain.OURS:064x}", None, "configuration")
WORTHLESS = [
    chain.context(chain.THEIRS, 3, price=10**30),
    (chain.V_THEIRS, "Transfer", [0, chain.ALICE], chain.u256(10**22)),
]


async def listed(url: str, *pools: listed_pools.ListedPool) -> list[str]:
    """Make these pools the listed ones, as the daemon does at its start."""
    async with database.session(url) as connection:
        return await listed_pools.apply(connection, pools)


async def sums(url: str) -> dict[str, Any]:
    """Alice's portfolio and all pools' totals, without the rows."""
    async with database.session(url) as connection:
        held = await portfolio.of(connection, chain.ALICE)
        whole = await totals.find(connection)
    found = msgspec.to_builtins(held) | {"totals": msgspec.to_builtins(whole)}
    for place in (found, found["totals"]):
        for rows in ("positions", "pools", "block_hash", "block_time", "valued_at"):
            place.pop(rows, None)
    return found


@pytest.mark.parametrize("is_listed_first", [True, False])
async def test_a_worthless_token_is_in_no_sum(is_listed_first: bool) -> None:
    async with postgres.fresh_database(migrated=True) as url:
        await listed(url, OURS)
        await chain.index(url, chain.HONEST)
        honest = await sums(url)
    assert Decimal(honest["collateral_usd"]) > 0
    grown = chain.with_event(3, *WORTHLESS)
    for cut in (1, len(grown)):
        async with postgres.fresh_database(migrated=True) as url:
            if is_listed_first:
                await listed(url, OURS)
            await chain.index(url, grown, cut)
            if not is_listed_first:
                everything = await sums(url)
                assert Decimal(everything["earn_usd"]) > 10**15
                assert await listed(url, OURS) == [f"0x{chain.THEIRS:064x}"]
            await _compare(url, honest)
            await chain.replayed(url)
            await _compare(url, honest)
            flags = await postgres.fetch(
                url, "SELECT DISTINCT pool_id, is_listed FROM vesu_positions ORDER BY pool_id"
            )
            assert [row["is_listed"] for row in flags] == [True, False]


async def _compare(url: str, honest: dict[str, Any]) -> None:
    found = await sums(url)
    unlisted = found.pop("unlisted")
    assert Decimal(unlisted["earn_usd"]) > 10**15
    assert Decimal(found["totals"].pop("unlisted")["supply_usd"]) > 10**15
    expected = honest | {"totals": dict(honest["totals"])}
    expected.pop("unlisted")
    expected["totals"].pop("unlisted")
    assert found == expected


async def test_the_list_changes_no_row_but_its_own_mark(migrated_database_url: str) -> None:
    """And taking the list away lists every pool again."""
    await chain.index(migrated_database_url, chain.with_event(3, *WORTHLESS))
    before = await chain.rows(migrated_database_url)
    await listed(migrated_database_url, OURS)
    marked = await chain.rows(migrated_database_url)
    theirs = f"0x{chain.THEIRS:064x}"
    for table, rows in before.items():
        expected = [
            row.replace("'is_listed': True", "'is_listed': False") if theirs in row else row
            for row in rows
        ]
        assert sorted(expected) == marked[table]
    assert await listed(migrated_database_url) == [theirs]
    assert await chain.rows(migrated_database_url) == before


async def test_an_invalid_price_marks_the_positions_that_rest_on_it(
    migrated_database_url: str,
) -> None:
    """The collateral's price turns invalid in block 6: Alice and Bob hold it; and valid again."""
    invalid = list(chain.context(chain.OURS, 6)[3])
    place = 2 * len(chain.config(6)) + 2
    assert invalid[place] == 1
    invalid[place] = 0
    turned = (chain.OURS, "UpdateContext", [chain.ETH, chain.USDC], invalid)
    blocks = [*chain.HONEST, [turned]]
    await chain.index(migrated_database_url, blocks)
    statement = (
        "SELECT DISTINCT has_invalid_price FROM vesu_positions "
        "WHERE pool_id = $1 AND status = 'active'"
    )
    ours = f"0x{chain.OURS:064x}"
    assert [tuple(row) for row in await postgres.fetch(migrated_database_url, statement, ours)] == [
        (True,)
    ]
    async with database.session(migrated_database_url) as connection:
        held = await portfolio.of(connection, chain.ALICE)
    assert {one.has_invalid_price for one in held.positions} == {True}
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, [*blocks, [chain.context(chain.OURS, 7)]])
        assert [tuple(row) for row in await postgres.fetch(url, statement, ours)] == [(False,)]
