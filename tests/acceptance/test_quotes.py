"""Quotes at every recorded block, beside what the contracts' views answered there."""

from __future__ import annotations

import asyncpg

from indexer.vesu import amounts, quotes, state
from tests.acceptance import past_markets, truth


async def test_v_tokens_max_withdraw(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """`max_withdraw` of every holder of every V2 vToken; 0 where the pool takes no action."""
    histories = await past_markets.Histories.read(indexed)
    rules = past_markets.Rules(recorded)
    compared = limited = 0
    for block, v_token, (holder,), result in recorded.answered("max_withdraw"):
        entry = recorded.v_tokens[v_token]
        pool, asset = state.v2_pool(int(entry["pool"], 16)), int(entry["asset"], 16)
        end = (block + 1, 0, 0)
        debt = int(entry["debt_asset"], 16)
        own = past_markets.market_at(
            histories,
            state.PositionKey(pool, asset, debt, 0, v_token),
            end,
            recorded.timestamps[block],
        )
        found = past_markets.priced(own, *(rules.price(pool, one, block) for one in (asset, debt)))
        held = histories.positions.before(state.PositionKey(pool, asset, 0, v_token, holder), end)
        balance = held.vtoken_balance if held else 0
        ours = quotes.v_token_max_withdraw(balance, found)
        theirs = truth.u256s(result)[0]
        assert ours == theirs, f"{v_token:#x} of {holder:#x} at block {block}"
        compared += 1
        limited += 0 < theirs < amounts.collateral_of(balance, found.collateral)
    print(f"compared {compared} answers of max_withdraw, {limited} below the balance")
    assert compared > 2_900
    assert limited > 0
