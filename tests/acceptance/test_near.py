"""Positions near their limit: none is left out, at any block, time or generation."""

from __future__ import annotations

import datetime
from decimal import Decimal

import asyncpg
import pytest

from indexer import errors
from indexer.query import markets, near, opportunities, point_in_time, positions
from indexer.store import database
from tests.acceptance import tables_v1
from tests.acceptance.api_client import Client

HEALTHS = tuple(map(Decimal, ("0.5", "1", "1.05", "1.3", "2", "10")))
MOST = 10_000


async def blocks(connection: asyncpg.Connection) -> list[int]:
    found = await connection.fetch("SELECT number FROM blocks ORDER BY number")
    return [row["number"] for row in found]


async def check(connection: asyncpg.Connection, at: point_in_time.When) -> tuple[int, int]:
    """Every position of so low a health is a candidate; returns how many were, and of how many."""
    async with point_in_time.steady(connection):
        whole = (await positions.find(connection, at=at)).positions
        snapshot = await point_in_time.snapshot(connection, at)
        fewest = len(whole)
        for health in HEALTHS:
            found = await near.candidates(connection, snapshot, health, MOST)
            assert found is not None
            low = {one.id for one in whole if one.health is not None and one.health <= health}
            assert low <= set(found.ids), f"health {health} at {at}"
            fewest = min(fewest, len(found.ids))
    return fewest, len(whole)


async def test_no_low_health_is_left_out(indexed: asyncpg.Connection) -> None:
    """At every stored block, and 30 days after the last one: index and changes since together."""
    every = await blocks(indexed)
    for number in every:
        await check(indexed, number)
    time = await indexed.fetchval("SELECT block_timestamp FROM cursor")
    await check(indexed, time + datetime.timedelta(days=30))
    fewest, of = await check(indexed, None)
    assert fewest < of / 5, "at the head the index leaves most of them out"


async def test_the_same_of_earlier_generations(indexed_v1: tables_v1.Indexed) -> None:
    async with database.session(indexed_v1.url) as connection:
        for number in (await blocks(connection))[::3]:
            await check(connection, number)
        await check(connection, None)


async def test_too_many_are_said_to_be(indexed: asyncpg.Connection) -> None:
    snapshot = await point_in_time.snapshot(indexed, None)
    assert await near.candidates(indexed, snapshot, Decimal(10), 3) is None
    early = await point_in_time.snapshot(indexed, (await blocks(indexed))[10])
    assert await near.candidates(indexed, early, Decimal("0.5"), 20) is None, "too much changed"


@pytest.mark.parametrize("ahead", [0, 86_400 * 365])
async def test_opportunities_are_those_of_a_look_at_every_position(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """At every tenth block, at recorded prices and after a fall: the answer with no index."""
    first = await indexed.fetch(
        "SELECT asset_address, min(block_number) FROM vesu_asset_history GROUP BY 1 ORDER BY 1"
    )
    changes = list(zip(first, (Decimal("-0.3"), Decimal("0.2")), strict=False))
    asked = [
        (number, markets.Conditions(ahead, fall))
        for number in (*(await blocks(indexed))[::10], None)
        # The price of an asset that no pool has yet is refused.
        for fall in (
            {},
            {
                int(asset, 16): change
                for (asset, block), change in changes
                if number is None or block <= number
            },
        )
    ]
    found = [await opportunities.find(indexed, at=at, conditions=said) for at, said in asked]
    monkeypatch.setattr(opportunities, "MOST_CANDIDATES", -1)
    whole = [await opportunities.find(indexed, at=at, conditions=said) for at, said in asked]
    assert found == whole
    assert sum(len(one.opportunities) for one in whole) > 3


async def test_more_positions_than_an_answer_judges_are_refused(
    indexed: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the index does not tell them apart, all that have debt are judged."""
    owing = await indexed.fetch(
        "SELECT pool_id, count(*) AS positions FROM vesu_positions WHERE nominal_debt > 0 "
        "GROUP BY 1"
    )
    every = sum(one["positions"] for one in owing)
    monkeypatch.setattr(opportunities, "MOST_CANDIDATES", -1)
    monkeypatch.setattr(opportunities, "MOST_JUDGED", every - 1)
    with pytest.raises(errors.QuestionError, match="name a pool") as refused:
        await opportunities.find(indexed)
    assert refused.value.parameter == "pool"
    for one in owing:
        await opportunities.find(indexed, pool=int(one["pool_id"], 16))
    monkeypatch.setattr(opportunities, "MOST_JUDGED", every)
    assert (await opportunities.find(indexed)).opportunities


async def test_the_first_pages_by_health(api: Client, indexed: asyncpg.Connection) -> None:
    """Valued below one ceiling after another: the same rows as of all positions at once."""
    for number in (await blocks(indexed))[::15]:
        asked = {"kind": "borrow", "order": "health_factor", "at_block": number}
        whole = await api.walk("/v1/positions", limit=500, **asked)
        assert await api.walk("/v1/positions", limit=3, **asked) == whole
        known = [one["health_factor"] for one in whole if one["health_factor"] is not None]
        for limit in known[:: max(1, len(known) // 4)]:
            below = await api.walk("/v1/positions", limit=4, health_factor_lte=limit, **asked)
            assert below == [
                one
                for one in whole
                if one["health_factor"] is not None
                and Decimal(one["health_factor"]) <= Decimal(limit)
            ]
