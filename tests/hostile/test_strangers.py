"""Grown by one event of a stranger's pool, a chain's other pools are what they were.

So for every cut of the batches, and for a replay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from tests import postgres
from tests.hostile import chain

U64, U128, U256 = 2**64 - 1, 2**128 - 1, 2**256 - 1
RATE = [50_000, 60_000, 55_000]

EXTREMES: dict[str, Sequence[chain.Sent]] = {
    "a rate of u64's maximum": [
        (
            chain.THEIRS,
            "SetInterestRateConfig",
            [],
            [chain.USDC, *chain.u256(*RATE, U64, U64, U64, 1, 10**18)],
        )
    ],
    "a rate of u256's maximum": [
        (
            chain.THEIRS,
            "SetInterestRateConfig",
            [],
            [chain.USDC, *chain.u256(*[U256] * 8)],
        )
    ],
    "a rate model of zeros": [
        (chain.THEIRS, "SetInterestRateConfig", [], [chain.USDC, *chain.u256(*[0] * 8)])
    ],
    "more shares than storage holds": [
        chain.context(chain.THEIRS, 3, total_collateral_shares=U128 + 1)
    ],
    "a reserve of u256's maximum": [chain.context(chain.THEIRS, 3, reserve=U256)],
    "interest up to the end of time": [chain.context(chain.THEIRS, 3, last_updated=U64)],
    "an accumulator of u256's maximum": [
        chain.context(chain.THEIRS, 3, last_rate_accumulator=U256, total_nominal_debt=2**122)
    ],
    "a scale of u256's maximum": [chain.context(chain.THEIRS, 3, scale=U256)],
    "a scale of nought": [chain.context(chain.THEIRS, 3, scale=0)],
    "a fee of more than all": [chain.context(chain.THEIRS, 3, fee_rate=U256)],
    "a price of u256's maximum": [
        chain.context(chain.THEIRS, 3, price=U256),
        chain.modify(chain.THEIRS, chain.MALLORY, 10**18, 10**17),
    ],
    "taking what is not there": [chain.modify(chain.THEIRS, chain.MALLORY, -1)],
    "a position of u256's maximum": [chain.modify(chain.THEIRS, chain.MALLORY, U256, U256)],
    "a donation of u256's maximum": [(chain.THEIRS, "Donate", [chain.ETH], chain.u256(U256))],
    "fees that nobody earned": [
        (chain.THEIRS, "ClaimFees", [chain.ETH], [1, *chain.u256(U256, U256)])
    ],
    "limits of u64's and u128's maximum": [
        (chain.THEIRS, "SetPairConfig", [chain.ETH, chain.USDC], [U64, U64, U128])
    ],
    "a liquidation of everything": [
        (
            chain.THEIRS,
            "LiquidatePosition",
            [chain.ETH, chain.USDC, chain.MALLORY, chain.MALLORY],
            [*chain.i257(-U256, -U256, -U256, -U256), *chain.u256(U256)],
        )
    ],
    "more vTokens than a pool stores": [
        (chain.V_THEIRS, "Transfer", [0, chain.MALLORY], chain.u256(U256))
    ],
    "vTokens out of nowhere": [
        (chain.V_THEIRS, "Transfer", [chain.MALLORY, chain.ALICE], chain.u256(1))
    ],
    "an event cut short": [(chain.THEIRS, "UpdateContext", [chain.ETH], [1, 2, 3])],
    "a class that nobody knows": [(chain.THEIRS, "ContractUpgraded", [], [0xDEAD])],
    "a wallet named as vToken": [
        (
            chain.FACTORY,
            "UpdateVToken",
            [chain.THEIRS, chain.ETH, chain.V_THEIRS, chain.ALICE],
            [],
        )
    ],
    "our own vToken named as theirs": [
        (
            chain.FACTORY,
            "UpdateVToken",
            [chain.THEIRS, chain.ETH, chain.V_THEIRS, chain.V_OURS],
            [],
        )
    ],
    "our vToken named as a pool": [(chain.FACTORY, "CreatePool", [chain.V_OURS, 1, 1, 2, 3], [])],
    "our pool created again": [
        (chain.FACTORY, "CreatePool", [chain.OURS, 0x6D696E65, chain.MALLORY, chain.MALLORY, 3], [])
    ],
    "our pool named as an oracle": [
        (chain.FACTORY, "CreateOracle", [chain.OURS, chain.MALLORY], [])
    ],
    "our pool named as their vToken": [
        (
            chain.FACTORY,
            "UpdateVToken",
            [chain.THEIRS, chain.ETH, chain.V_THEIRS, chain.OURS],
            [],
        )
    ],
    "a wallet named as a pool": [
        (chain.FACTORY, "CreatePool", [chain.ALICE, 1, chain.MALLORY, 2, 3], []),
        chain.context(chain.ALICE, 3),
    ],
}


@pytest.fixture(scope="module")
async def honest() -> AsyncIterator[dict[str, list[str]]]:
    """What the honest chain's tables hold of OURS."""
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        assert await chain.reasons(url) == {}
        yield await chain.rows(url, chain.OURS)


@pytest.mark.parametrize("name", EXTREMES)
async def test_one_event_of_a_stranger_changes_no_other_pool(
    name: str, honest: dict[str, list[str]]
) -> None:
    grown = chain.with_event(3, *EXTREMES[name])
    found, logs = [], []
    for cut in (1, 2, len(grown)):
        async with postgres.fresh_database(migrated=True) as url:
            await chain.index(url, grown, cut)
            assert await chain.rows(url, chain.OURS) == honest, f"cut {cut}"
            assert set(await chain.reasons(url)) <= {chain.THEIRS}
            found.append(await chain.rows(url, valued=False))
            logs.append(await chain.log(url))
            if cut == 1:
                await chain.replayed(url)
                assert await chain.rows(url, chain.OURS) == honest, "replayed"
                assert await chain.rows(url, valued=False) == found[0], "replayed"
    assert found[1:] == found[:-1]
    assert logs[1:] == logs[:-1]


@pytest.mark.parametrize(
    "name",
    [
        "more shares than storage holds",
        "interest up to the end of time",
        "taking what is not there",
        "fees that nobody earned",
        "vTokens out of nowhere",
    ],
)
async def test_a_pool_that_contradicts_itself_says_why(
    name: str, migrated_database_url: str
) -> None:
    later = chain.modify(chain.THEIRS, chain.MALLORY, 5)
    await chain.index(migrated_database_url, [*chain.with_event(3, *EXTREMES[name]), [later]])
    reasons = await chain.reasons(migrated_database_url)
    assert set(reasons) == {chain.THEIRS}
    assert reasons[chain.THEIRS].startswith("event (3, ")
    theirs = await chain.rows(migrated_database_url, chain.THEIRS)
    assert chain.users(theirs["vesu_positions"], chain.MALLORY) == []


async def test_a_wallet_that_is_named_stays_a_wallet(migrated_database_url: str) -> None:
    """Its positions are its own, and its events none of a vToken's."""
    wallet = (
        chain.FACTORY,
        "UpdateVToken",
        [chain.THEIRS, chain.ETH, chain.V_THEIRS, chain.ALICE],
        [],
    )
    says = (chain.ALICE, "Transfer", [0, chain.MALLORY], chain.u256(1))
    after = chain.modify(chain.OURS, chain.ALICE, 10**18)
    grown = [*chain.with_event(3, wallet, says), [says, chain.context(chain.OURS, 6), after]]
    await chain.index(migrated_database_url, grown, len(grown))
    ours = await chain.rows(migrated_database_url, chain.OURS)
    assert all(
        "'kind': 'system'" not in row for row in chain.users(ours["vesu_positions"], chain.ALICE)
    )
    assert len(chain.users(ours["vesu_transactions"], chain.ALICE)) == 4
    theirs = await chain.rows(migrated_database_url, chain.THEIRS)
    assert theirs["vesu_positions"] == []
    emitters = {emitter for *_, emitter in await chain.log(migrated_database_url)}
    assert f"0x{chain.ALICE:064x}" not in emitters


async def test_a_name_without_a_past_is_no_wallets_shelter(migrated_database_url: str) -> None:
    """An address that UpdateVToken alone named is a vToken, and its positions are people's."""
    named = (
        chain.FACTORY,
        "UpdateVToken",
        [chain.THEIRS, chain.ETH, chain.V_THEIRS, chain.NAMED],
        [],
    )
    grown = [
        *chain.with_event(3, named),
        [chain.context(chain.OURS, 6), chain.modify(chain.OURS, chain.NAMED, 7)],
    ]
    await chain.index(migrated_database_url, grown)
    ours = await chain.rows(migrated_database_url, chain.OURS)
    (row,) = chain.users(ours["vesu_positions"], chain.NAMED)
    assert "'kind': 'borrow'" in row


async def test_what_a_contract_emitted_before_its_name_is_no_part_of_the_log() -> None:
    """A vToken emits in block 3 and is named in block 5: so for every cut."""
    early = (chain.NAMED, "Transfer", [0, chain.MALLORY], chain.u256(9))
    named = (
        chain.FACTORY,
        "CreateVToken",
        [chain.THEIRS, chain.USDC, chain.NAMED, *chain.text(b"v"), *chain.text(b"v")],
        [],
    )
    grown = chain.with_event(3, early, blocks=chain.with_event(5, named, early))
    found = []
    for cut in (1, 2, len(grown)):
        async with postgres.fresh_database(migrated=True) as url:
            await chain.index(url, grown, cut)
            found.append((await chain.log(url), await chain.rows(url, valued=False)))
    assert found[1:] == found[:-1]
    events, rows = found[0]
    said = [block for block, *_, emitter in events if int(emitter, 16) == chain.NAMED]
    assert said == [5]
    (balance,) = chain.users(rows["vesu_positions"], chain.MALLORY)
    assert "'vtoken_balance_raw': Decimal('9')" in balance
