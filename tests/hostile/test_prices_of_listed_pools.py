"""Strangers' oracles that take their time keep no price of a listed pool from being sampled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from indexer.cairo import view_call
from indexer.chain import types
from indexer.daemon import price_sampler
from indexer.projections import listed_pools, rows
from indexer.store import database
from tests import postgres
from tests.hostile import chain

FIRST_POOL, FIRST_V_TOKEN, POOLS = 0x10, 0x500, 12
"""Their addresses are below those of the listed ones: anyone can look for such addresses."""


class Node(chain.Node):
    """Never answers for a stranger's pool; `asked` are the pools of each request."""

    def __init__(self) -> None:
        super().__init__([*chain.u256(10**18), 1])
        self.asked: list[set[int]] = []

    async def header(self, number: int) -> types.BlockHeader:
        return chain.header(number)

    async def calls(
        self, calls: Sequence[view_call.ViewCall], hashes: Mapping[int, str] | object
    ) -> list[list[int]]:
        pools = {call.contract for call in calls}
        self.asked.append(pools)
        if any(FIRST_POOL <= pool < FIRST_POOL + POOLS for pool in pools):
            await asyncio.Event().wait()
        return await super().calls(calls, hashes)


async def test_listed_pools_are_sampled_first(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_sampler, "POOLS_AT_ONCE", 4)
    monkeypatch.setattr(price_sampler, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(price_sampler, "POINT_SECONDS", 0.3)
    url, number = migrated_database_url, len(chain.HONEST) + 1
    made: list[chain.Sent] = []
    for index in range(POOLS):
        made += chain.created(FIRST_POOL + index, FIRST_V_TOKEN + index, block=number)
    await chain.index(url, [*chain.HONEST, made])
    node = Node()
    async with database.session(url) as connection:
        ours = listed_pools.ListedPool(rows.padded(chain.OURS), None, "configuration")
        await listed_pools.apply(connection, [ours])
        sampler = price_sampler.Sampler(
            node,  # type: ignore[arg-type]
            connection,
            {},
            price_sampler.SamplerSettings(1),
        )
        await sampler.sample_newest()
    assert not node.asked[0] & set(range(FIRST_POOL, FIRST_POOL + POOLS))
    found = await postgres.fetch(url, "SELECT DISTINCT pool_id FROM vesu_sampled_prices")
    assert rows.padded(chain.OURS) in {row["pool_id"] for row in found}
