"""Each felt of each event that a pool's stranger can emit, at the limits of its types.

Every case has a pool of its own, so the chain has hundreds of pools that were made in one block.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests import postgres
from tests.acceptance import api_client
from tests.hostile import chain, questions
from tests.hostile.chain import ETH, FACTORY, MALLORY, USDC, i257, u256

LIMITS = (0, 1, 2**64 - 1, 2**128 - 1, 2**251 + 17 * 2**192)
"""Nothing, the least, and the most of a u64, of a u256's half and of a felt."""

FIRST_POOL, FIRST_V_TOKEN = 0xA0000, 0xB0000
SEED = 20261128
RATES = [20_000, 40_000, 30_000, 10**9, 10**11, 10**8, 86_400, 10**17]


def of_pool(pool: int, v_token: int) -> list[chain.Sent]:
    """One of each event that the pool, its vToken or the factory for it may emit in block 3."""
    pair = [ETH, USDC]
    return [
        chain.context(pool, 3),
        chain.modify(pool, MALLORY, 10**17, 10**16),
        (pool, "LiquidatePosition", [*pair, MALLORY, 0x11], [*i257(-1, -1, -1, -1), *u256(0)]),
        (pool, "SetAssetConfig", [ETH], chain.config(3)),
        (pool, "SetInterestRateConfig", [], [USDC, *u256(*RATES)]),
        (pool, "SetPairConfig", pair, [8 * 10**17, 9 * 10**17, 10**20]),
        (pool, "Donate", [ETH], u256(5)),
        (pool, "ClaimFees", [ETH], [1, *u256(0, 0)]),
        (pool, "SetFeeRecipient", [0x12], []),
        (pool, "ContractPaused", [], [0x12]),
        (pool, "ContractUpgraded", [], [0x12]),
        (v_token, "Transfer", [0, MALLORY], u256(500)),
        (v_token, "Deposit", [MALLORY, MALLORY], u256(500, 500)),
        (v_token, "Withdraw", [MALLORY, MALLORY, MALLORY], u256(0, 0)),
        (FACTORY, "UpdateVToken", [pool, ETH, v_token, v_token + 0x10000], []),
    ]


def cases(share: float) -> Iterator[tuple[int, chain.Sent]]:
    """Each of these with one felt changed, and the pool that it belongs to; a share of them."""
    pool, dice = FIRST_POOL, random.Random(SEED)
    for place, (_, _, keys, data) in enumerate(of_pool(0, 0)):
        for field in range(len(keys) + len(data)):
            for limit in LIMITS:
                if dice.random() >= share:
                    continue
                emitter, name, own_keys, own_data = of_pool(pool, pool + 0x10000)[place]
                felts = [*own_keys, *own_data]
                felts[field] = limit
                count = len(own_keys)
                yield pool, (emitter, name, felts[:count], felts[count:])
                pool += 1


def grown(share: float) -> list[chain.Block]:
    """The honest chain, with a pool for each case that is used before it and after."""
    made, used, changed, later = [], [], [], []
    for pool, sent in cases(share):
        made += chain.created(pool, pool + 0x10000)
        used += [chain.context(pool, 2), chain.modify(pool, MALLORY, 10**18, 10**17)]
        changed.append(sent)
        later += [chain.context(pool, 4), chain.modify(pool, MALLORY, 10**18)]
    more = {1: made, 2: used, 3: changed, 4: later}
    return [[*one, *more.get(number, ())] for number, one in enumerate(chain.HONEST, 1)]


@pytest.fixture(scope="module")
async def honest() -> Any:
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, chain.HONEST)
        return await chain.rows(url, chain.OURS, valued=False)


@pytest.mark.parametrize("share", [0.2, pytest.param(1.0, marks=pytest.mark.heavy)])
async def test_no_field_at_its_limits_changes_another_pool(honest: Any, share: float) -> None:
    """So for both cuts and for a replay; and every list and sum answers with all of it."""
    blocks = grown(share)
    pools = sum(name == "CreatePool" for _, name, _, _ in blocks[0])
    print(f"{pools} pools")
    found = []
    for cut in (1, len(blocks)):
        async with postgres.fresh_database(migrated=True) as url:
            await chain.index(url, blocks, cut)
            assert await chain.rows(url, chain.OURS, valued=False) == honest, f"cut {cut}"
            reasons = await chain.reasons(url)
            assert chain.OURS not in reasons
            assert 0 < len(reasons) < pools / 2
            chain.require_plain(reasons.values())
            found.append(await chain.rows(url, valued=False))
            if cut == 1:
                await chain.replayed(url)
                assert await chain.rows(url, chain.OURS, valued=False) == honest, "replayed"
                assert await chain.rows(url, valued=False) == found[0], "replayed"
                await answered(url, share)
    assert found[0] == found[1]


async def answered(url: str, share: float) -> None:
    """Every list and sum is answered, and so are questions about pools of the strangers'."""
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    chosen = chance.sample([pool for pool, _ in cases(share)], 30)
    async with api_client.serving(url) as client:
        refused = await questions.unanswered(client, MALLORY, 3, chosen)
    assert not refused, "\n".join(f"{key}: {body}" for key, body in refused.items())
