"""Of a pool that is frozen, or of unknown rates, no number is given for what would happen."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from indexer.vesu import accrual, maths
from tests import postgres
from tests.acceptance import api_client
from tests.hostile import chain, chain_v1
from tests.hostile.chain import ALICE, ETH, MALLORY, USDC, u256
from tests.hostile.chain_v1 import FIRST_THEIRS, SINGLETON, STRANGER

MODEL = [20_000, 40_000, 30_000, 10**9, 10**11, 10**8, 86_400, 10**17]
LENT = {"total_nominal_debt": 5 * 10**20, "reserve": 5 * 10**20}

QUESTIONS = (
    ("/v1/simulate", {"actions": "withdraw=raw:1"}),
    ("/v1/quotes/max-borrow", {}),
    ("/v1/quotes/max-withdraw", {}),
    ("/v1/quotes/total-repay", {}),
    ("/v1/quotes/supply-estimate", {"amount_raw": 1000}),
)


def lent(pool: int, block: int, **changes: int) -> chain.Sent:
    """A V1 context of a market that owes something."""
    price = [*u256(10**18), 1]
    told = chain_v1.config(block, **(LENT | changes))
    data = [*chain_v1.config(block), *told, *price, *price]
    return (SINGLETON, "UpdateContext", [pool, ETH, USDC], data)


FROZEN = chain.with_event(3, chain.modify(chain.THEIRS, MALLORY, -(10**30)))
"""A pool of V2 that takes more than is there."""

RATES = accrual.rates_at(
    accrual.AssetState(
        scale=10**18,
        last_updated=chain.START + 3,
        last_rate_accumulator=10**18,
        last_full_utilization_rate=10**9,
        model=accrual.RateModel(*MODEL),
        variant=maths.Variant.V1_0,
        **LENT,
    ),
    chain.START + 4,
)
"""What Vesu's class tells of a lent market a second later."""

HONEST_V1: list[chain.Block] = [
    [
        *chain_v1.created(chain_v1.OURS, v_token=chain_v1.V_OURS),
        chain_v1.rates(chain_v1.OURS, *MODEL),
        (chain_v1.EXTENSION, chain_v1.rates(0)[1], [], [chain_v1.OURS, ETH, *u256(*MODEL)]),
    ],
    [],
    [lent(chain_v1.OURS, 3), chain_v1.modify(chain_v1.OURS, ALICE, 10**18, 10**17)],
    [],
]


def of_a_strangers_extension() -> list[chain.Block]:
    """A V1 pool whose rates its own extension alone knows."""
    return [
        [*HONEST_V1[0], *chain_v1.created(FIRST_THEIRS, STRANGER)],
        [],
        [
            *HONEST_V1[2],
            lent(FIRST_THEIRS, 3),
            chain_v1.modify(FIRST_THEIRS, MALLORY, 10**18, 10**17),
        ],
        [],
    ]


def contradicted() -> list[chain.Block]:
    """A V1 pool whose accrual no rate model explains, while its extension names none."""
    settings = chain_v1.rates(FIRST_THEIRS, *MODEL)
    eth = (settings[0], settings[1], [], [FIRST_THEIRS, ETH, *u256(*MODEL)])
    return [
        [*HONEST_V1[0], *chain_v1.created(FIRST_THEIRS, v_token=0x7000), settings, eth],
        [],
        [
            *HONEST_V1[2],
            lent(FIRST_THEIRS, 3),
            chain_v1.modify(FIRST_THEIRS, MALLORY, 10**18, 10**17),
        ],
        [lent(FIRST_THEIRS, 4, last_rate_accumulator=RATES[0] + 1)],
    ]


CASES: dict[str, tuple[Any, chain.Roots, int, int, str]] = {
    "frozen": (
        FROZEN,
        chain.OF_V2,
        chain.OURS,
        chain.THEIRS,
        "it is frozen, because it contradicted itself",
    ),
    "a stranger's extension": (
        of_a_strangers_extension(),
        chain_v1.GENERATIONS["v1.1"],
        chain_v1.OURS,
        FIRST_THEIRS,
        "extension",
    ),
    "contradicted rates": (
        contradicted(),
        chain_v1.GENERATIONS["v1.1"],
        chain_v1.OURS,
        FIRST_THEIRS,
        "fits no rate model that is known",
    ),
}


@contextlib.asynccontextmanager
async def asking(name: str) -> AsyncIterator[tuple[api_client.Client, int, int, str]]:
    blocks, roots, ours, theirs, reason = CASES[name]
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, blocks, roots=roots)
        async with api_client.serving(url) as client:
            yield client, ours, theirs, reason


def position(pool: int, user: int) -> dict[str, str]:
    named = {"pool": pool, "collateral": ETH, "debt": USDC, "user": user}
    return {name: hex(value) for name, value in named.items()}


@pytest.mark.parametrize("name", CASES)
async def test_questions_about_it_are_refused_with_the_reason(name: str) -> None:
    async with asking(name) as (client, ours, theirs, reason):
        for path, more in QUESTIONS:
            assert (await client.ask(path, **position(ours, ALICE), **more)).status == 200
            said = await client.ask(path, **position(theirs, MALLORY), **more)
            assert said.status == 409, (path, said.body)
            assert reason in said.body["detail"]
            assert said.body["parameter"] == "pool"


@pytest.mark.parametrize("name", CASES)
async def test_opportunities_name_it(name: str) -> None:
    async with asking(name) as (client, ours, theirs, reason):
        found = await client.data("/v1/liquidations/opportunities")
        assert [int(one["pool_id"], 16) for one in found["unknown"]] == [theirs]
        assert reason in found["unknown"][0]["reason"]
        assert all(int(one["pool_id"], 16) != theirs for one in found["opportunities"])
        other = await client.data("/v1/liquidations/opportunities", pool=hex(ours))
        assert other["unknown"] == []
