"""Positions are valued with the prices known when they are written, not when they were encoded."""

from __future__ import annotations

import decimal

from indexer.projections import rows, storage
from indexer.store import database
from tests import postgres
from tests.hostile import chain, sampling
from tests.hostile.chain import ETH, MALLORY, USDC, i257, u256

POOLS = storage.STAGED_FROM + 10
FIRST_POOL, FIRST_V_TOKEN = 0xA0000, 0xB0000
OWED = 10**17
MORE = 10**15


def lent(pool: int, number: int) -> list[chain.Sent]:
    """One of collateral and a tenth of debt, with prices of one."""
    debt = chain.config(number, total_nominal_debt=OWED)
    told = [*chain.config(number), *debt, *u256(10**18), 1, *u256(10**18), 1]
    return [
        (pool, "UpdateContext", [ETH, USDC], told),
        (pool, "ModifyPosition", [ETH, USDC, MALLORY], i257(10**18, 10**18, OWED, OWED)),
    ]


async def test_prices_sampled_after_positions_were_encoded_count() -> None:
    made: list[chain.Sent] = []
    number = len(chain.HONEST) + 1
    for index in range(POOLS):
        made += chain.created(FIRST_POOL + index, FIRST_V_TOKEN + index, block=number)
        made += lent(FIRST_POOL + index, number)
    more = [chain.modify(FIRST_POOL + index, MALLORY, MORE) for index in range(POOLS)]
    async with postgres.fresh_database(migrated=True) as url:
        await chain.index(url, [*chain.HONEST, made])
        async with chain.writing(url) as writer:
            part = await chain.read(writer, number + 1, [more])
            ready = await writer.prepare(part, writer.connection)
            assert ready.prepared.encoded is not None
            assert ready.prepared.encoded.positions is not None, "too few to be encoded ahead"
            await sampling.sampled(url, number, {ETH: 3 * sampling.ONE})
            await writer.start(ready, is_at_head=False)
        async with database.session(url) as connection:
            found = await connection.fetch(
                "SELECT sampling, collateral_value_usd, debt_value_usd FROM vesu_positions"
                " WHERE user_id = $1 AND status = 'active'",
                rows.padded(MALLORY),
            )
    assert len(found) == POOLS
    assert {tuple(row.values()) for row in found} == {
        (1, 3 * decimal.Decimal(10**18 + MORE) / 10**18, decimal.Decimal(OWED) / 10**18)
    }
