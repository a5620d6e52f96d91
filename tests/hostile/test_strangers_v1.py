"""V1: grown by one event or answer of a stranger's pool, other pools are what they were.

So for every cut of the batches, and for a replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from indexer import errors
from indexer.vesu import discovery, kinds
from tests import postgres
from tests.hostile import chain, chain_v1
from tests.hostile.chain import ALICE, ETH, MALLORY, USDC, i257, u256
from tests.hostile.chain_v1 import (
    EXTENSION,
    FIRST_THEIRS,
    FIRST_V_THEIRS,
    OURS,
    SINGLETON,
    STRANGER,
)

U64, U128, U256 = 2**64 - 1, 2**128 - 1, 2**256 - 1
FELT = 2**251


def parameter(name: str) -> int:
    return int.from_bytes(name.encode())


def of_both(pool: int) -> dict[str, Sequence[chain.Sent]]:
    """What a singleton tells of any stranger's pool, whoever decides for it."""
    pair = [pool, ETH, USDC]
    return {
        "more shares than storage holds": [
            chain_v1.context(pool, 4, total_collateral_shares=U128 + 1)
        ],
        "a reserve of u256's maximum": [chain_v1.context(pool, 4, reserve=U256)],
        "interest up to the end of time": [chain_v1.context(pool, 4, last_updated=U64)],
        "an accumulator of u256's maximum": [
            chain_v1.context(pool, 4, last_rate_accumulator=U256, total_nominal_debt=2**122)
        ],
        "a scale of u256's maximum": [chain_v1.context(pool, 4, scale=U256)],
        "a scale of nought": [chain_v1.context(pool, 4, scale=0)],
        "a fee of more than all": [chain_v1.context(pool, 4, fee_rate=U256)],
        "a price of u256's maximum": [
            chain_v1.context(pool, 4, price=U256),
            chain_v1.modify(pool, MALLORY, 10**18, 10**17),
        ],
        "a price of nought that counts": [
            chain_v1.context(pool, 4, price=0),
            chain_v1.modify(pool, MALLORY, 10**18, 10**17),
        ],
        "a price that is called invalid": [
            chain_v1.context(pool, 4, valid=0),
            chain_v1.modify(pool, MALLORY, 10**18, 10**17),
        ],
        "taking what is not there": [chain_v1.modify(pool, MALLORY, -(10**30))],
        "a position of u256's maximum": [chain_v1.modify(pool, MALLORY, U256, U256)],
        "a donation of u256's maximum": [(SINGLETON, "Donate", [pool, ETH], u256(U256))],
        "fees of u256's maximum": [(SINGLETON, "AccrueFees", [pool, ETH, EXTENSION], u256(U256))],
        "a reserve that goes nobody knows where": [
            (SINGLETON, "RetrieveReserve", [pool, ETH, MALLORY], [])
        ],
        "a floor of u256's maximum": [
            (SINGLETON, "SetAssetParameter", [pool, ETH, parameter("floor")], u256(U256))
        ],
        "all of it lent": [
            (
                SINGLETON,
                "SetAssetParameter",
                [pool, ETH, parameter("max_utilization")],
                u256(10**18),
            )
        ],
        "a parameter of no name": [
            (SINGLETON, "SetAssetParameter", [pool, ETH, FELT - 1], u256(U256))
        ],
        "a limit of u64's maximum": [(SINGLETON, "SetLTVConfig", pair, [U64])],
        "a liquidation of everything": [
            (
                SINGLETON,
                "LiquidatePosition",
                [*pair, MALLORY, MALLORY],
                [*i257(-U256, -U256, -U256, -U256), *u256(U256)],
            )
        ],
        "a liquidation without a context": [
            (
                SINGLETON,
                "LiquidatePosition",
                [*pair, MALLORY, ALICE],
                [*i257(-1, -1, -1, -1), *u256(U256)],
            )
        ],
        "an event cut short": [(SINGLETON, "UpdateContext", pair, [1, 2, 3])],
        "the extension of nobody": [(SINGLETON, "SetExtension", [pool, 0xDEAD], [])],
        "the pool created again": [(SINGLETON, "CreatePool", [pool, EXTENSION, 9], [])],
        "an asset of the pool that is added again": [
            (SINGLETON, "SetAssetConfig", [pool, ETH], [])
        ],
    }


def through_the_extension(pool: int, v_token: int) -> dict[str, Sequence[chain.Sent]]:
    """What Vesu's own extension, and a vToken of its, tell of a stranger's pool."""
    return {
        "a rate of u64's maximum": [
            chain_v1.rates(pool, 50_000, 60_000, 55_000, U64, U64, U64, 1, 10**18)
        ],
        "a rate of u256's maximum": [chain_v1.rates(pool, *[U256] * 8)],
        "a rate model of zeros": [chain_v1.rates(pool, *[0] * 8), chain_v1.context(pool, 4)],
        "a rate model that no context fits": [
            chain_v1.rates(pool, 50_000, 60_000, 55_000, 10**9, 10**10, 10**8, 1, 10**18),
            chain_v1.context(pool, 4, last_rate_accumulator=10**18 + 7),
        ],
        "waiting periods of u64's maximum": [
            chain_v1.hooks("SetShutdownConfig", pool, data=[U64, U64]),
            chain_v1.context(pool, 4, valid=0),
            chain_v1.modify(pool, MALLORY, 1),
        ],
        "no waiting periods": [
            chain_v1.hooks("SetShutdownConfig", pool, data=[0, 0]),
            chain_v1.context(pool, 4, valid=0),
            chain_v1.modify(pool, MALLORY, 1),
        ],
        "a shutdown limit of one": [
            chain_v1.hooks("SetShutdownLTVConfig", pool, ETH, USDC, data=[1])
        ],
        "a factor of u64's maximum": [
            chain_v1.hooks("SetLiquidationConfig", pool, ETH, USDC, data=[U64])
        ],
        "a cap of u256's maximum": [chain_v1.hooks("SetDebtCap", pool, ETH, USDC, data=u256(U256))],
        "an owner of nobody": [(EXTENSION, "SetPoolOwner", [pool, 0], [])],
        "more vTokens than a pool stores": [(v_token, "Transfer", [0, MALLORY], u256(U256))],
        "vTokens out of nowhere": [(v_token, "Transfer", [MALLORY, ALICE], u256(1))],
        "a wallet named as vToken": [
            (EXTENSION, "TokenizationEvents/CreateVToken", [ALICE, pool, ETH], [])
        ],
        "our own vToken named as theirs": [
            (EXTENSION, "TokenizationEvents/CreateVToken", [chain_v1.V_OURS, pool, ETH], [])
        ],
    }


def cases(extension: int) -> list[Sequence[chain.Sent]]:
    """All of these, each of a pool of its own."""
    count, found = 0, []
    while True:
        pool, v_token = FIRST_THEIRS + count, FIRST_V_THEIRS + count
        known = list(of_both(pool).values())
        if extension == EXTENSION:
            known += through_the_extension(pool, v_token).values()
        if count == len(known):
            return found
        found.append(known[count])
        count += 1


ANSWERS: dict[str, Sequence[int] | errors.RpcError] = {
    "nothing": [],
    "felts of the field's maximum": [2**251 + 17 * 2**192] * 20,
    "a text": [0x12],
    "a million felts": [1] * 1_000_000,
    "zeros": [0] * 20,
    "redemption since ever": [3, 0, 0, 0],
    "a violation at the end of time": [1, 1, U64, U128],
    "a refusal": errors.RpcError("Contract error", 40),
}

Rows = dict[str, list[Any]]


@pytest.fixture(scope="module", params=chain_v1.GENERATIONS)
async def honest(request: pytest.FixtureRequest) -> AsyncIterator[tuple[chain.Roots, Rows]]:
    """A generation, and what the honest chain's tables hold of OURS."""
    roots = chain_v1.GENERATIONS[request.param]
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain_v1.HONEST, roots=roots)
        assert await chain.reasons(url) == {}
        rows = await chain.rows(url, OURS)
        assert len(rows["vesu_positions"]) == 4
        yield roots, rows


async def compare(
    roots: chain.Roots, honest_rows: Rows, grown: list[chain.Block], node: chain_v1.Node
) -> dict[int, str]:
    """The chain in every cut, and once by replay: OURS as it was, all else the same each time.

    Why pools of strangers are frozen, by their id.
    """
    found, logs = [], []
    for cut in (1, 2, len(grown)):
        async with postgres.fresh_database(migrated=True) as url:
            async with asyncio.timeout(120):
                await chain.index(url, grown, cut, node, roots=roots)
            assert await chain.rows(url, OURS) == honest_rows, f"cut {cut}"
            reasons = await chain.reasons(url)
            assert OURS not in reasons
            chain.require_plain(reasons.values())
            found.append(await chain.rows(url, valued=False))
            logs.append(await chain.log(url))
            if cut == 1:
                await chain.replayed(url, roots)
                assert await chain.rows(url, OURS) == honest_rows, "replayed"
                assert await chain.rows(url, valued=False) == found[0], "replayed"
    assert found[1:] == found[:-1]
    assert logs[1:] == logs[:-1]
    return reasons


@pytest.mark.parametrize("extension", [EXTENSION, STRANGER])
async def test_events_of_strangers_change_no_other_pool(
    extension: int, honest: tuple[chain.Roots, Rows]
) -> None:
    """Where a stranger's extension decides, nothing that would run it is ever asked."""
    known = cases(extension)
    node = chain_v1.Node(is_endless=extension == STRANGER)
    reasons = await compare(*honest, chain_v1.with_strangers(known, extension), node)
    frozen = {FIRST_THEIRS + list(of_both(0)).index(name) for name in CONTRADICTING}
    assert frozen <= set(reasons)
    assert len(reasons) < len(known)


CONTRADICTING = (
    "more shares than storage holds",
    "interest up to the end of time",
    "taking what is not there",
    "fees of u256's maximum",
    "a scale of u256's maximum",
    "a scale of nought",
)
"""What no pool of Vesu's class can tell."""


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_to_strangers_change_no_other_pool(
    name: str, honest: tuple[chain.Roots, Rows]
) -> None:
    """To all that the fold asks of a pool: its names, market, rates, owner and shutdown."""
    pool = FIRST_THEIRS
    asking = [
        (SINGLETON, "SetAssetParameter", [pool, ETH, parameter("floor")], u256(1)),
        (SINGLETON, "RetrieveReserve", [pool, USDC, MALLORY], []),
        (SINGLETON, "AccrueFees", [pool, USDC, EXTENSION], u256(7)),
        (EXTENSION, "SetPoolOwner", [pool, MALLORY], []),
        chain_v1.context(pool, 4, valid=0),
        chain_v1.modify(pool, MALLORY, 5),
    ]
    await compare(*honest, chain_v1.with_strangers([asking]), chain_v1.Node(ANSWERS[name]))


GENESIS: chain.Roots = [
    (SINGLETON, discovery.Known(kinds.Kind.SINGLETON_V1_0)),
    (EXTENSION, discovery.Known(kinds.Kind.EXTENSION_V1_0_GENESIS)),
]


@pytest.mark.parametrize("assets", [(ETH, USDC), (USDC, ETH)])
async def test_a_vtoken_that_a_view_names_twice_is_the_first_assets(
    assets: tuple[int, int], migrated_database_url: str
) -> None:
    """Whatever order the views are asked in: so a replay finds what the daemon found."""
    pool = FIRST_THEIRS
    made: list[chain.Sent] = [
        (SINGLETON, "SetExtension", [pool, EXTENSION], []),
        *((SINGLETON, "SetAssetConfig", [pool, asset], []) for asset in assets),
        (SINGLETON, "CreatePool", [pool, EXTENSION, 1], []),
    ]
    await chain.index(
        migrated_database_url, [made], node=chain.Node([FIRST_V_THEIRS]), roots=GENESIS
    )
    statement = "SELECT asset_address FROM contracts WHERE kind = 'vtoken_v1_0'"
    assert await postgres.value(migrated_database_url, statement) == f"0x{min(assets):064x}"
    rows = await chain.rows(migrated_database_url)
    await chain.replayed(migrated_database_url, GENESIS)
    assert await chain.rows(migrated_database_url) == rows


def of_no_pool(event: str, generation: str) -> chain.Sent:
    """An event of a pool that nothing created."""
    if event == "SetAssetConfig":
        return (SINGLETON, event, [FIRST_THEIRS, ETH], [])
    moved = i257(-1, -1, 0, 0) if generation == "v1.1" else []
    return (SINGLETON, event, [FIRST_THEIRS, ETH, USDC, ETH, USDC, MALLORY, ALICE], moved)


@pytest.mark.parametrize("event", ["SetAssetConfig", "TransferPosition"])
@pytest.mark.parametrize("generation", chain_v1.GENERATIONS)
async def test_an_event_of_a_pool_that_nothing_created_is_refused(
    generation: str, event: str, migrated_database_url: str
) -> None:
    """No class of Vesu's tells it, so there is no pool that could be frozen for it."""
    roots = chain_v1.GENERATIONS[generation]
    said = of_no_pool(event, generation)
    await chain.index(migrated_database_url, [*chain_v1.HONEST, [said]], roots=roots)
    statement = "SELECT count(*) FROM contracts WHERE quarantine_reason > ''"
    assert await postgres.value(migrated_database_url, statement) == 0
    rows = await chain.rows(migrated_database_url, FIRST_THEIRS)
    assert not any(rows.values())
