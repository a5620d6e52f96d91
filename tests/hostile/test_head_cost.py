"""What a block at the head costs follows from what changed in it, not from strangers' pools.

Work is counted, not timed: accruals, samples laid over, ids made, and rows valued.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import pytest

from indexer.projections import listed_pools, revaluation, rows, samples
from indexer.store import database
from indexer.vesu import accrual
from tests import postgres
from tests.hostile import chain, sampling
from tests.hostile.chain import ETH, MALLORY, USDC, i257, u256

FIRST_POOL, FIRST_V_TOKEN = 0xA0000, 0xB0000
CAROL = 0xCA401
FEW, MANY = 300, 450
"""Pools with a loan each: more than are all valued at every block."""

COUNTED = (
    (accrual, "accrue"),
    (accrual, "with_sample"),
    (rows, "asset_id"),
    (rows, "pair_id"),
    (samples, "newest"),
)
NEAR = 7 * 10**17
"""Debt for one of collateral, where 0.8 of it may be owed: a health of 1.14."""


def lent(pool: int, number: int, user: int) -> list[chain.Sent]:
    """A loan near its limit, and prices of one."""
    debt = chain.config(number, total_nominal_debt=NEAR)
    data = [*chain.config(number), *debt, *u256(10**18), 1, *u256(10**18), 1]
    moved = i257(10**18, 10**18, NEAR, NEAR)
    return [
        (pool, "UpdateContext", [ETH, USDC], data),
        (pool, "ModifyPosition", [ETH, USDC, user], moved),
    ]


def grown(pools: int, later: int) -> list[chain.Block]:
    """The honest chain with a loan, a block with so many pools, and blocks that touch one pool."""
    number = len(chain.HONEST) + 1
    made: list[chain.Sent] = lent(chain.OURS, number, CAROL)
    for index in range(pools):
        made += chain.created(FIRST_POOL + index, FIRST_V_TOKEN + index, block=number)
        made += lent(FIRST_POOL + index, number, MALLORY)
    touch = [chain.modify(chain.THEIRS, chain.BOB, 10**15)]
    return [*chain.HONEST, made, *([touch] * later)]


async def listed(url: str) -> None:
    """Only the honest pools are listed."""
    async with database.session(url) as connection:
        await listed_pools.apply(
            connection,
            [
                listed_pools.ListedPool(rows.padded(pool), None, "configuration")
                for pool in (chain.OURS, chain.THEIRS)
            ],
        )


async def counted(
    url: str, monkeypatch: pytest.MonkeyPatch, blocks: list[chain.Block]
) -> collections.Counter[str]:
    """How often each of COUNTED is called while the last block is committed by a running writer."""
    found: collections.Counter[str] = collections.Counter()

    def counting(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            found[name] += 1
            return inner(*arguments, **named)

        return call

    async with chain.writing(url) as writer:
        await chain.commit(writer, len(blocks) - 1, [blocks[-2]])
        with monkeypatch.context() as patching:
            for module, name in COUNTED:
                patching.setattr(module, name, counting(name, getattr(module, name)))
            await chain.commit(writer, len(blocks), [blocks[-1]])
    return found


async def test_a_block_costs_the_same_with_half_as_many_pools_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = []
    for pools in (FEW, MANY):
        async with postgres.fresh_database(migrated=True) as url:
            await listed(url)
            blocks = grown(pools, later=3)
            await chain.index(url, blocks[:-2])
            await sampling.sampled(url, len(blocks) - 2)
            works.append(await counted(url, monkeypatch, blocks))
    print(*works, sep="\n")
    assert works[0]["accrue"] > 0 < works[0]["with_sample"]
    assert works[0].keys() == works[1].keys()
    for name, few in works[0].items():
        # Which of equally old rows the slice of the oldest takes is up to PostgreSQL, and so
        # whether these are of one asset more.
        assert abs(works[1][name] - few) <= 5, name


async def test_every_pool_has_its_turn_and_the_listed_ones_have_every_block() -> None:
    turns = -(-FEW // revaluation.UNLISTED_PAIRS)
    async with postgres.fresh_database(migrated=True) as url:
        await listed(url)
        blocks = grown(FEW, later=turns)
        last = len(blocks)
        first = last - turns + 1
        await chain.index(url, blocks[: first - 1])
        async with chain.writing(url) as writer:
            for number in range(first, last + 1):
                await chain.commit(writer, number, [blocks[number - 1]])
                found = dict(await postgres.fetch(url, VALUED, number))
                assert found[f"0x{chain.OURS:064x}"] == number
                theirs = sum(block == number for block in found.values()) - 1
                most = revaluation.UNLISTED_PAIRS * revaluation.UNLISTED_ROWS
                assert 0 < theirs <= most + revaluation.SMALLEST_SLICE
        assert min(found.values()) >= first


VALUED = """
SELECT pool_id, valued_at_block FROM vesu_positions
WHERE status = 'active' AND nominal_debt > 0 AND health_factor < 1.3 AND valued_at_block <= $1
"""


async def test_of_a_new_asset_alone_samples_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    newest = samples.newest

    async def counting(connection: Any, ids: samples.Ids, *arguments: Any) -> Any:
        asked.append(len(ids))
        return await newest(connection, ids, *arguments)

    monkeypatch.setattr(samples, "newest", counting)
    number = len(chain.HONEST) + 1
    more = [chain.created(FIRST_POOL + index, FIRST_V_TOKEN + index, number + index)
            for index in range(2)]  # fmt: skip
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        asked.clear()
        async with chain.writing(url) as writer:
            for index, block in enumerate(more):
                await chain.commit(writer, number + index, [block])
    assert asked == [6, 2]
