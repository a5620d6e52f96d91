"""Every recorded liquidation, simulated; and whom the contracts let be liquidated at each block."""

from __future__ import annotations

import collections

import asyncpg

from indexer.cairo import selector
from indexer.vesu import calls, liquidation, market, refusals, state
from tests.acceptance import action_stage, recorded_calls, tables_v1, truth


def compare(stage: action_stage.Stage) -> collections.Counter[str]:
    """Simulate every liquidation; how many passed, with bad debt, and were refused, by reason."""
    compared: collections.Counter[str] = collections.Counter()
    for call in recorded_calls.liquidations(stage.recorded):
        compare_calldata(call)
        if call.is_reverted:
            found = stage.market(call, (call.block, call.transaction, 0))
            one = liquidation.liquidate(found, call.offered, call.least)
            assert one.refusal == call.reason, call.title
            assert liquidation.opportunity(found) is None, call.title
            compared[call.reason] += 1
        else:
            compared["bad debt" if compare_allowed(stage, call) else "allowed"] += 1
    print(dict(compared))
    return compared


def compare_calldata(call: recorded_calls.Liquidation) -> None:
    """The call that we would send is the one that was sent, but for the wish to keep shares."""
    ours = calls.liquidate(call.position, call.offered, call.least)
    theirs = list(call.calldata)
    if len(theirs) > len(("collateral", "debt", "user")) + 4:
        theirs[4] = 0
    assert list(ours.calldata) == theirs, call.title
    assert ours.contract == call.position.pool.address


def compare_allowed(stage: action_stage.Stage, call: recorded_calls.Liquidation) -> int:
    """What was paid, seized, lost and left as the tokens and events say; returns the bad debt."""
    place, told, bad_debt = stage.change(call, contexts=2 if call.keeps_shares else 1)
    (operation,) = call.operations
    found = stage.market(call, place)
    one = liquidation.liquidate(found, call.offered, call.least)
    assert one.refusal is None, call.title
    assert (one.paid, one.bad_debt) == (operation["assets"], bad_debt), call.title
    assert one.paid + one.bad_debt == operation["debt_removed"] == -told.debt, call.title
    if not call.keeps_shares:
        assert one.seized == operation["collateral_assets"] == -told.collateral, call.title
        assert found.collateral_shares - one.after.collateral_shares == -told.shares, call.title
    assert found.nominal_debt - one.after.nominal_debt == -told.nominal, call.title
    stage.compare_assets(call.position, one.after, place)
    return bad_debt


async def test_v2(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    compared = compare(await action_stage.Stage.read(recorded, indexed))
    assert compared == {"allowed": 5, "bad debt": 2, "not-undercollateralized": 6}


V1 = {
    "devnet-v10-genesis": {"allowed": 4, "bad debt": 2, "not-undercollateralized": 1},
    "devnet-v10-migration": {"allowed": 2, "bad debt": 3},
    "devnet-v11": {"allowed": 6, "bad debt": 4, "not-undercollateralized": 3},
}


async def test_v1(indexed_v1: tables_v1.Indexed) -> None:
    stage = await action_stage.Stage.open(indexed_v1.recorded, indexed_v1.url)
    assert compare(stage) == V1[indexed_v1.recorded.name]


# --- who may be liquidated, at every recorded block --------------------------------------------


def compare_opportunities(stage: action_stage.Stage, view: str) -> collections.Counter[str]:
    """An opportunity exactly where check_collateralization says no and the pool liquidates."""
    compared: collections.Counter[str] = collections.Counter()
    for block, contract, calldata, result in truth.Recorded.answered(stage.recorded, view):
        pool = (
            state.v2_pool(contract) if len(calldata) == 3 else state.PoolKey(contract, calldata[0])
        )
        key = state.PositionKey(pool, calldata[-3], calldata[-2], 0, calldata[-1])
        found = stage.market_at_end(key, block)
        one = liquidation.opportunity(found)
        where = f"{calldata} at block {block}"
        is_safe, worth, owed = bool(result[0]), *truth.u256s(result[1:])
        assert (found.is_collateralized, found.collateral_usd, found.debt_usd) == (
            is_safe,
            worth,
            owed,
        ), where
        if is_safe:
            assert one is None, where
            compared["safe"] += 1
        elif one is None:
            refusal = liquidation.liquidate(found, found.debt_owed).refusal
            compared[str(refusal)] += 1
        else:
            compare_choice(found, one, where)
            compared["in part" if one.full.refusal else "in full"] += 1
    print(dict(compared))
    return compared


def compare_choice(found: market.Market, one: liquidation.Opportunity, where: str) -> None:
    """All is repaid, unless the collateral that it takes is lent out; then as much as there is."""
    if one.full.refusal is None:
        assert one.full.after.nominal_debt == 0, where
        assert one.full.gross <= one.full.seized_usd, where
    else:
        assert one.full.refusal is refusals.Refusal.INSUFFICIENT_RESERVE, where
        assert one.partial is not None, where
        taken = liquidation.sizes(found, one.partial.paid + 1).seized
        assert one.partial.seized <= found.collateral.reserve < taken, where


async def test_v2_opportunities(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    stage = await action_stage.Stage.read(recorded, indexed)
    assert compare_opportunities(stage, "check_collateralization") == {
        "safe": 4080,
        "in full": 43,
        "invalid-oracle": 3,
    }


V1_OPPORTUNITIES = {
    "devnet-v10-genesis": {"safe": 1282, "in full": 9, "in part": 11, "emergency-mode": 3},
    "devnet-v10-migration": {"safe": 3967, "in full": 143, "not-allowed": 312},
    "devnet-v11": {"safe": 4667, "in full": 16},
}
"""What V1.0 handed on to V1.1 is liquidated there, and not allowed in V1.0 any more."""


async def test_v1_opportunities(indexed_v1: tables_v1.Indexed) -> None:
    stage = await action_stage.Stage.open(indexed_v1.recorded, indexed_v1.url)
    compared = compare_opportunities(stage, "check_collateralization_unsafe")
    assert compared == V1_OPPORTUNITIES[indexed_v1.recorded.name]


def test_selectors() -> None:
    assert calls.approve(1, 2, 3).selector == selector.of("approve")
    assert calls.approve(1, 2, 1 << 130).calldata == (2, 0, 4)
    assert selector.of("liquidate_position") == calls.LIQUIDATE_POSITION
