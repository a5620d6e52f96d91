"""Every recorded change of a position, simulated: what passed passes with the same amounts.

The calls are what users sent, what they moved is what the tokens' own transfers say, and a
reverted one names the reason that the contract gave.
"""

from __future__ import annotations

import collections

import asyncpg

from indexer.vesu import amounts, market, quotes, refusals
from tests.acceptance import action_stage, recorded_calls, tables_v1, truth

OWNERSHIP = "no-delegation"
"""Whether a caller may act for an owner is not simulated."""

OVERFLOWS = frozenset({refusals.Refusal.INSUFFICIENT_RESERVE, refusals.Refusal.INFLATION_FEE})
"""What V1.0 reverts with as `u256_sub Overflow`: it subtracts without a check of its own."""


def simulate(found: market.Market, call: recorded_calls.Call) -> market.ActionResult:
    return market.modify(
        found,
        call.amount_of(call.collateral, found.collateral_shares),
        call.amount_of(call.debt, found.nominal_debt),
    )


def compare(stage: action_stage.Stage) -> collections.Counter[str]:
    """Simulate every call of a recording; how many passed, and were refused, by reason."""
    compared: collections.Counter[str] = collections.Counter()
    for call in recorded_calls.of(stage.recorded):
        if call.is_reverted:
            compared[compare_refused(stage, call)] += 1
        else:
            compare_allowed(stage, call)
            compared["allowed"] += 1
    print(dict(compared))
    return compared


def compare_allowed(stage: action_stage.Stage, call: recorded_calls.Call) -> None:
    """Nothing refused, and the deltas and both assets as the contract's events say."""
    place, told, _ = stage.change(call)
    found = stage.market(call, place)
    outcome = simulate(found, call)
    assert outcome.refusal is None, call.title
    assert outcome.deltas == told, call.title
    compare_quotes(found, told, call)
    stage.compare_assets(call.position, outcome.market, place)
    for leg in call.operations:
        if leg["assets"] is not None:
            side = told.collateral if leg["op"] in ("supply", "withdraw") else told.debt
            assert abs(side) == leg["assets"] or leg["op"] == "touch", (call.title, leg)


def compare_quotes(found: market.Market, told: amounts.Deltas, call: recorded_calls.Call) -> None:
    """What the contract gave is within the quotes of that moment."""
    if told.debt > 0 and not told.collateral:
        assert quotes.max_borrow(found).amount >= told.debt, call.title
    if told.collateral < 0 and not told.debt:
        assert quotes.max_withdraw(found).amount >= -told.collateral, call.title
    if told.collateral > 0 and not call.collateral.is_native:
        assert quotes.supply(found, told.collateral).shares == told.shares, call.title
    if call.debt is recorded_calls.EVERYTHING:
        assert found.debt_owed == -told.debt, call.title


def compare_refused(stage: action_stage.Stage, call: recorded_calls.Call) -> str:
    """Refused for the reason that the contract gave, where the recording has all its words."""
    found = stage.market(call, (call.block, call.transaction, 0))
    outcome = simulate(found, call)
    if call.reason == OWNERSHIP:
        assert outcome.refusal is None, call.title
        return OWNERSHIP
    assert outcome.refusal is not None, call.title
    compare_refused_quotes(found, call)
    is_panic = call.reason == "u256_sub Overflow"
    named = OVERFLOWS if is_panic else {call.reason or outcome.refusal.value}
    assert outcome.refusal in named, (call.title, outcome.refusal, call.reason)
    return outcome.refusal.value


def compare_refused_quotes(found: market.Market, call: recorded_calls.Call) -> None:
    """What the contract refused is more than the quotes of that moment."""
    if call.collateral and call.collateral.value < 0 and not call.debt.value:
        left = quotes.max_withdraw(found)
        asked = amounts.collateral_deltas(
            call.collateral, found.collateral_shares, found.collateral
        )
        assert left.amount < -asked[0] or left.amount == 0, call.title
    if call.debt and call.debt.value > 0 and not call.collateral.value:
        assert quotes.max_borrow(found).amount < call.debt.value, call.title


async def test_v2(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    compared = compare(await action_stage.Stage.read(recorded, indexed))
    assert compared == {
        "allowed": 172,
        "invalid-oracle": 3,
        "contract-paused": 1,
        "insufficient-reserve": 1,
        OWNERSHIP: 1,
    }


V1 = {
    "devnet-v10-genesis": {
        "allowed": 67,
        "in-recovery": 2,
        "in-subscription": 2,
        "in-redemption": 1,
        "not-collateralized": 1,
        "insufficient-reserve": 1,
        "inflation-fee-gt-collateral-shares-delta": 1,
    },
    "devnet-v10-migration": {
        "allowed": 99,
        "not-collateralized": 2,
        "insufficient-reserve": 1,
        "not-allowed": 6,
    },
    "devnet-v11": {
        "allowed": 139,
        "not-collateralized": 2,
        "in-recovery": 1,
        "in-subscription": 1,
        "in-redemption": 1,
    },
}
"""How many calls of each recording passed, and what refused the others."""


async def test_v1(indexed_v1: tables_v1.Indexed) -> None:
    stage = await action_stage.Stage.open(indexed_v1.recorded, indexed_v1.url)
    assert compare(stage) == V1[indexed_v1.recorded.name]
