"""Vesu V1.1: a stranger's pools, however many, do not decide on the maths of anybody else's.

Which variant of the maths an upgraded class runs is found by what its pools tell. An owner can
change a rate model without an event, so that another variant than the true one fits.
"""

from __future__ import annotations

import itertools
from typing import Any

from indexer.vesu import accrual, discovery, kinds, maths
from tests import postgres
from tests.hostile import chain, chain_v1
from tests.hostile.chain import ETH, USDC, u256
from tests.hostile.chain_v1 import EXTENSION, FIRST_THEIRS, FIRST_V_THEIRS, SINGLETON

V = maths.Variant
ROOTS = chain_v1.GENERATIONS["v1.1"]

FIRST, SECOND, QUIET = 0x101, 0x102, 0x103
"""Pools of two honest owners that tell the true variant, and one that tells nothing."""

MODEL = accrual.RateModel(20_000, 40_000, 30_000, 10**9, 10**11, 10**8, 86_400, 10**17)
"""Rates per second; above a target of 30 % the variants' slopes differ by far."""

LENT = {"total_nominal_debt": 9 * 10**20, "reserve": 10**20}
"""90 % of a market is lent."""


def lent_since(block: int, until: int, variant: V) -> dict[str, int]:
    """The rates that a class of this variant tells of such a market a few blocks later."""
    before = accrual.AssetState(
        total_collateral_shares=10**21,
        scale=10**18,
        fee_rate=10**17,
        last_updated=chain.START + block,
        last_rate_accumulator=10**18,
        last_full_utilization_rate=10**9,
        model=MODEL,
        variant=variant,
        **LENT,
    )
    accumulator, full = accrual.rates_at(before, chain.START + until)
    return {"last_rate_accumulator": accumulator, "last_full_utilization_rate": full}


def told(pool: int, block: int, **changes: int) -> chain.Sent:
    """A context whose debt side is lent out."""
    price = [*u256(10**18), 1]
    lent = chain_v1.config(block, **(LENT | changes))
    data = [*chain_v1.config(block), *lent, *price, *price]
    return (SINGLETON, "UpdateContext", [pool, ETH, USDC], data)


def made(pool: int, owner: int, v_token: int) -> list[chain.Sent]:
    model = [getattr(MODEL, name) for name in accrual.RateModel.__struct_fields__]
    return [
        *chain_v1.created(pool, v_token=v_token),
        chain_v1.rates(pool, *model),
        (EXTENSION, "SetPoolOwner", [pool, owner], []),
    ]


def grown(strangers: int, owner: int) -> list[chain.Block]:
    """The honest chain, and a stranger's pools that tell the other variant's rates in block 5."""
    theirs = range(FIRST_THEIRS, FIRST_THEIRS + strangers)
    honest = (FIRST, SECOND, QUIET)
    steep, flat = lent_since(2, 4, V.V1_1C), lent_since(2, 5, V.V1_1B)
    assert flat != lent_since(2, 5, V.V1_1C)
    return [
        [
            *(one for pool in honest for one in made(pool, 0xA000 + pool, 0x7E00 + pool)),
            *(one for pool in theirs for one in made(pool, owner, FIRST_V_THEIRS + pool)),
        ],
        [told(pool, 2) for pool in (*honest, *theirs)],
        [(SINGLETON, "ContractUpgraded", [], [0xC1A55])],
        [told(pool, 4, **steep) for pool in (FIRST, SECOND)],
        [told(pool, 5, **flat) for pool in theirs],
    ]


async def kept(blocks: list[chain.Block], cut: int) -> tuple[list[Any], set[str]]:
    """The rows of each honest pool, also after a replay, and the variants of the strangers'."""
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, blocks, cut, roots=ROOTS)
        assert await chain.reasons(url) == {}
        found = [await chain.rows(url, pool) for pool in (FIRST, SECOND, QUIET)]
        await chain.replayed(url, ROOTS)
        assert [await chain.rows(url, pool) for pool in (FIRST, SECOND, QUIET)] == found
        theirs = await postgres.fetch(
            url, f"SELECT variant FROM vesu_assets WHERE pool_id >= '0x{FIRST_THEIRS:064x}'"
        )
        return found, {row["variant"] for row in theirs}


async def test_a_hundred_pools_of_one_owner_outvote_nobody() -> None:
    """Neither the pools that told something, nor one that told nothing yet."""
    honest, _ = await kept(grown(0, 0), 1)
    for rows in honest:
        assert all("'variant': 'v1.1c'" in row for row in rows["vesu_assets"])
    hostile = grown(100, 0xBAD)
    for cut in (1, len(hostile)):
        found, theirs = await kept(hostile, cut)
        assert found == honest
        assert theirs == {"v1.1b"}


OLD_SINGLETON, OLD_EXTENSION = 0x50, 0xE6
BOTH: chain.Roots = [
    (OLD_SINGLETON, discovery.Known(kinds.Kind.SINGLETON_V1_0)),
    (OLD_EXTENSION, discovery.Known(kinds.Kind.EXTENSION_V1_0)),
    *ROOTS,
]


def on_the_old_singleton(pool: int) -> list[chain.Sent]:
    """A pool of V1.0, which V1.1 takes over where it makes one of the same id."""
    places = {SINGLETON: OLD_SINGLETON, EXTENSION: OLD_EXTENSION}
    return [
        (places[emitter], name, [places.get(key, key) for key in keys], data)
        for emitter, name, keys, data in chain_v1.created(pool)
    ]


async def test_a_hundred_owners_outvote_no_pool_that_was_taken_over() -> None:
    """Only Vesu takes pools over from V1.0, and anybody may be many owners."""
    blocks = grown(100, 0)
    owners = itertools.count(0xBAD0_0000)
    blocks[0] = [
        *on_the_old_singleton(FIRST),
        *(
            (emitter, name, [keys[0], next(owners)], data)
            if name == "SetPoolOwner" and keys[0] >= FIRST_THEIRS
            else (emitter, name, keys, data)
            for emitter, name, keys, data in blocks[0]
        ),
    ]
    for cut in (1, len(blocks)):
        async with postgres.fresh_database(migrated=True) as url:
            await chain.index(url, blocks, cut, roots=BOTH)
            assert await chain.reasons(url) == {}
            for pool in (FIRST, SECOND, QUIET):
                assets = (await chain.rows(url, pool))["vesu_assets"]
                told = [row for row in assets if f"0x{SINGLETON:064x}" in row]
                assert len(told) == 2
                assert all("'variant': 'v1.1c'" in row for row in told), (cut, pool)
            found = await chain.rows(url)
            await chain.replayed(url, BOTH)
            assert await chain.rows(url) == found
