"""`indexer.query` simulations, quotes and opportunities, against recorded blocks still to come."""

from __future__ import annotations

import collections
import datetime
import decimal
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from indexer import errors
from indexer.query import (
    assets,
    markets,
    opportunities,
    opportunity,
    pools,
    positions,
    quotes,
    simulate,
    totals,
)
from indexer.store import database
from indexer.vesu import amounts, simulation, state
from tests.acceptance import action_stage, past_markets, recorded_calls, tables_v1, truth

KINDS = {
    "supply": simulation.Kind.SUPPLY,
    "withdraw": simulation.Kind.WITHDRAW,
    "borrow": simulation.Kind.BORROW,
    "repay": simulation.Kind.REPAY,
}


def wanted_of(key: state.PositionKey) -> markets.PositionRef:
    return markets.PositionRef(key.pool.id, key.collateral, key.debt, key.user)


def unchanged_since(
    stage: action_stage.Stage,
    call: recorded_calls.Call,
    place: past_markets.Place,
    stored: set[int],
) -> int | None:
    """The stored block below the call's whose state it met; None where its own had changed it."""
    histories, key = stage.histories, call.position
    earlier = max((number for number in stored if number < call.block), default=None)
    assets = [
        histories.assets.before(state.AssetKey(key.pool, asset), place)
        for asset in (key.collateral, key.debt)
        if asset
    ]
    changed = [asset.block_number for asset in assets if asset is not None]
    held = histories.positions.before(key, place)
    if held is not None:
        changed.append(held.last_event_block)
    return earlier if earlier is not None and max(changed, default=0) <= earlier else None


async def compare_ahead(
    connection: asyncpg.Connection, stage: action_stage.Stage
) -> collections.Counter[str]:
    """What each action moved, simulated at the block before it, with the time until then."""
    stored = {row["number"] for row in await connection.fetch("SELECT number FROM blocks")}
    compared: collections.Counter[str] = collections.Counter()
    times = stage.recorded.timestamps
    for call in recorded_calls.of(stage.recorded):
        if call.is_reverted:
            continue
        place, told, _ = stage.change(call)
        earlier = unchanged_since(stage, call, place, stored)
        actions = actions_of(call)
        if earlier is None or not actions or call.position.user in stage.recorded.v_tokens:
            continue
        conditions = markets.Conditions(times[call.block] - times[earlier])
        found = await simulate.simulate(
            connection, wanted_of(call.position), actions, earlier, conditions
        )
        if not found.is_allowed:
            compared[str(found.refusal)] += 1
            continue
        moved = amounts.Deltas(
            *(
                sum(int(getattr(step, field)) for step in found.steps if step.action in kinds)
                for kinds in (("supply", "withdraw"), ("borrow", "repay"))
                for field in ("amount_raw", "shares_or_nominal_debt")
            )
        )
        if stage.is_silent(call, place):
            compared["silent accrual"] += 1  # one unit off, as accrual_mismatches says
            continue
        assert moved == told, call.title
        compared["equal"] += 1
    print(dict(compared))
    return compared


def actions_of(call: recorded_calls.Call) -> list[simulate.Action]:
    """The call's legs as actions; none where it names shares or nominal debt."""
    actions = []
    for wanted, adds, takes in (
        (call.collateral, "supply", "withdraw"),
        (call.debt, "borrow", "repay"),
    ):
        if wanted is recorded_calls.EVERYTHING:
            actions.append(simulate.Action(KINDS[takes], simulate.Size.ALL))
        elif wanted.value and wanted.is_native:
            return []
        elif wanted.value:
            kind = KINDS[adds if wanted.value > 0 else takes]
            actions.append(simulate.Action(kind, abs(wanted.value)))
    return actions


async def test_ahead_v2(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    stage = await action_stage.Stage.read(recorded, indexed)
    assert await compare_ahead(indexed, stage) == {"equal": 46, "invalid-oracle": 2}


V1_AHEAD = {
    "devnet-v10-genesis": {
        "equal": 30,
        "in-recovery": 1,
        "not-collateralized": 1,
        "silent accrual": 1,
    },
    "devnet-v10-migration": {"equal": 59, "not-collateralized": 1},
    "devnet-v11": {"equal": 75, "not-collateralized": 2},
}
"""Refused are those whose prices, or whose pool's shutdown mode, changed in their own block."""


@pytest.fixture
async def connected(indexed_v1: tables_v1.Indexed) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect(indexed_v1.url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_ahead_v1(indexed_v1: tables_v1.Indexed, connected: asyncpg.Connection) -> None:
    stage = await action_stage.Stage.open(indexed_v1.recorded, indexed_v1.url)
    assert await compare_ahead(connected, stage) == V1_AHEAD[indexed_v1.recorded.name]


# --- what stands before: positions, their limits and who is beyond them ------------------------


async def compare_standings(connection: asyncpg.Connection, blocks: list[int]) -> int:
    """`before` has the numbers of the position as it is asked for alone; returns how many."""
    compared = 0
    for block in blocks:
        for one in (await positions.find(connection, at=block)).positions:
            if one.migrated_block is not None or one.v_token:
                continue
            wanted = markets.PositionRef(  # type: ignore[call-arg]
                *(int(text or "0x0", 16) for text in (one.pool_id, one.collateral_address)),
                int(one.debt_address or "0x0", 16),
                int(one.user_id, 16),
            )
            before = (await simulate.simulate(connection, wanted, [], block)).before
            for name in SAME:
                assert getattr(before, name) == getattr(one, name), (block, one.id, name)
                compared += 1
    return compared


SAME = (
    "collateral_shares",
    "nominal_debt",
    "collateral_raw",
    "debt_raw",
    "collateral_amount",
    "debt_amount",
    "collateral_value_usd",
    "debt_value_usd",
    "ltv",
    "health_factor",
    "liquidation_price",
)


async def compare_listed(connection: asyncpg.Connection, blocks: list[int]) -> int:
    """Listed are exactly those whose health is below 1; returns how many."""
    listed = 0
    for block in blocks:
        low = positions.PositionFilter(max_health=decimal.Decimal(1))
        found = await positions.find(connection, low, block)
        ours = await opportunities.find(connection, at=block)
        theirs = {
            (one.pool_id, one.collateral_address, one.debt_address, one.user_id): one.health_factor
            for one in found.positions
        }
        told = {
            (one.pool_id, one.collateral_address, one.debt_address, one.user_id): one.health_factor
            for one in ours.opportunities
        }
        assert told.items() <= theirs.items(), block
        assert len(told) + ours.refused == len(theirs), block
        for one in ours.opportunities:
            compare_profit(one)
        listed += len(told)
    return listed


def compare_profit(one: opportunity.Opportunity) -> None:
    """Gross profit is the value seized less the value repaid, at the prices that are named."""
    collateral, debt = (decimal.Decimal(price.used or 0) for price in one.prices)
    for repayment in (one.full, one.partial):
        if repayment is not None and repayment.refusal is None:
            seized = decimal.Decimal(repayment.seized) * collateral
            paid = decimal.Decimal(repayment.repaid) * debt
            difference = decimal.Decimal(repayment.gross_profit_usd) - (seized - paid)
            assert abs(difference) < decimal.Decimal("1e-17"), one


async def test_standings_and_opportunities_v2(
    indexed: asyncpg.Connection, recorded: truth.Recorded
) -> None:
    stored = [row["number"] for row in await indexed.fetch("SELECT number FROM blocks ORDER BY 1")]
    compared = await compare_standings(indexed, stored[:: len(stored) // 6])
    listed = await compare_listed(indexed, stored)
    print(f"compared {compared} numbers of standings and {listed} opportunities")
    assert compared > 1_000
    assert listed == 12


async def test_standings_and_opportunities_v1(connected: asyncpg.Connection) -> None:
    stored = [
        row["number"] for row in await connected.fetch("SELECT number FROM blocks ORDER BY 1")
    ]
    compared = await compare_standings(connected, stored[:: len(stored) // 4])
    listed = await compare_listed(connected, stored)
    print(f"compared {compared} numbers of standings and {listed} opportunities")
    assert compared > 500
    assert listed > 5


async def test_what_repays_all_equals_the_debt_that_the_contract_tells(
    indexed: asyncpg.Connection, recorded: truth.Recorded
) -> None:
    """`position()` at a block, and at the next with the time until then as the margin."""
    stored = {row["number"] for row in await indexed.fetch("SELECT number FROM blocks")}
    debts = {
        (block, state.PositionKey(state.v2_pool(pool), collateral, debt, 0, user)): truth.u256s(
            result
        )
        for block, pool, (collateral, debt, user), result in recorded.answered("position")
    }
    exact = later = 0
    for (block, key), (_, nominal, _, owed) in debts.items():
        following = debts.get((block + 1, key))
        if block not in stored or not nominal or block % 3:
            continue
        seconds = recorded.timestamps.get(block + 1, 0) - recorded.timestamps[block]
        found = await quotes.total_repay(indexed, wanted_of(key), block, max(seconds, 0))
        assert int(found.amount_raw) == owed, (block, key)
        exact += 1
        if following is not None and following[1] == nominal and block + 1 not in stored:
            assert int(found.with_margin_raw) == following[3], (block, key)
            later += 1
    print(f"compared {exact} debts, {later} of them a block later")
    assert exact > 300
    assert later > 5


# --- other prices, other modes, and what cannot be asked ----------------------------------------


async def first_loan(connection: asyncpg.Connection) -> positions.Position:
    found = (await positions.find(connection)).positions
    return next(one for one in found if one.health is not None and one.health > 1)


async def test_a_position_at_its_liquidation_price(indexed: asyncpg.Connection) -> None:
    """A fall to just below the liquidation price makes an opportunity, a smaller one does not."""
    one = await first_loan(indexed)
    asset, user = int(one.collateral_address, 16), one.user_id
    priced = await simulate.simulate(indexed, wanted(one), [])
    price = decimal.Decimal(priced.prices[0].used or 0)
    limit = decimal.Decimal(one.liquidation_price or 0)
    for factor, is_listed in (("1.001", False), ("0.999", True)):
        change = (limit * decimal.Decimal(factor) / price - 1).quantize(decimal.Decimal("1e-12"))
        conditions = markets.Conditions(price_changes={asset: change})
        found = await opportunities.find(
            indexed, conditions=conditions, pool=int(one.pool_id, 16), limit=500
        )
        mine = [
            told
            for told in found.opportunities
            if (told.user_id, told.collateral_address, told.debt_address)
            == (user, one.collateral_address, one.debt_address)
        ]
        assert bool(mine) is is_listed
        after = await simulate.simulate(indexed, wanted(one), [], conditions=conditions)
        assert (decimal.Decimal(after.begun.health_factor or 0) < 1) is is_listed
        assert after.before.health_factor == one.health_factor


def wanted(one: positions.Position) -> markets.PositionRef:
    return markets.PositionRef(
        int(one.pool_id, 16),
        int(one.collateral_address, 16),
        int(one.debt_address or "0x0", 16),
        int(one.user_id, 16),
    )


async def test_costs_and_capital(indexed: asyncpg.Connection) -> None:
    """Gas and slippage come off the profit; little capital makes the repayment a partial one."""
    one = await first_loan(indexed)
    conditions = markets.Conditions(
        price_changes={int(one.collateral_address, 16): decimal.Decimal("-0.5")}
    )
    free = await opportunities.find(indexed, conditions=conditions)
    costs = opportunities.Terms(decimal.Decimal("0.5"), decimal.Decimal("0.01"))
    dear = await opportunities.find(indexed, costs, conditions=conditions)
    by_user = {(told.user_id, told.debt_address): told for told in dear.opportunities}
    whole = [told for told in free.opportunities if told.full.refusal is None]
    assert whole
    for told in whole:
        other = by_user[told.user_id, told.debt_address]
        seized_usd = decimal.Decimal(told.full.seized) * decimal.Decimal(told.prices[0].used or 0)
        net = (
            decimal.Decimal(told.full.gross_profit_usd) - seized_usd / 100 - decimal.Decimal("0.5")
        )
        assert abs(decimal.Decimal(other.full.net_profit_usd) - net) < decimal.Decimal("1e-17")
    poor = opportunities.Terms(capital_usd=decimal.Decimal(50))
    for told in (await opportunities.find(indexed, poor, conditions=conditions)).opportunities:
        chosen = told.full if told.best == "full" else told.partial
        assert chosen is not None
        paid = decimal.Decimal(chosen.repaid) * decimal.Decimal(told.prices[1].used or 0)
        assert paid <= 50


async def test_a_strangers_rate_model_fails_no_other_answer(indexed_copy: str) -> None:
    """A rate of u64's maximum overflows within minutes; the other pools answer as before."""
    connection = await database.connect(indexed_copy)
    try:
        one = await first_loan(connection)
        spoiled = one.pool_id
        settings = "SELECT settings_id FROM asset_versions JOIN vesu_assets USING (id)"
        for table, where in (
            ("asset_settings", f"id IN ({settings} WHERE pool_id = $1)"),
            ("vesu_assets", "pool_id = $1"),
        ):
            await connection.execute(
                f"UPDATE {table} SET zero_utilization_rate = 18446744073709551615, "
                "min_full_utilization_rate = 18446744073709551615, "
                f"max_full_utilization_rate = 18446744073709551615 WHERE {where}",
                spoiled,
            )
        month = markets.Conditions(ahead_seconds=30 * 86_400)
        found = await opportunities.find(connection, conditions=month)
        assert all(told.pool_id != spoiled for told in found.opportunities)
        with pytest.raises(errors.QuestionError, match="overflows"):
            await simulate.simulate(connection, wanted(one), [], conditions=month)
        later = found.block_time + datetime.timedelta(days=30)
        assert (await pools.find(connection, at=later)).pools
        assert (await assets.find(connection, at=later)).assets
        assert (await totals.find(connection, at=later)).pools
        unknown = [
            told
            for told in (await positions.find(connection, at=later)).positions
            if told.pool_id == spoiled and told.collateral_raw is None
        ]
        assert unknown
        other = next(
            told
            for told in (await positions.find(connection)).positions
            if told.pool_id != spoiled and told.health is not None
        )
        fine = await simulate.simulate(connection, wanted(other), [], conditions=month)
        assert decimal.Decimal(fine.begun.debt_amount or 0) > decimal.Decimal(
            other.debt_amount or 0
        )
    finally:
        await connection.close()


async def test_what_cannot_be_asked(indexed: asyncpg.Connection) -> None:
    one = wanted(await first_loan(indexed))
    replaced = msgspec.structs.replace
    supply = [simulate.Action(simulation.Kind.SUPPLY, 1)]
    for asked, actions, conditions, words in (
        (one, supply * 11, markets.AS_RECORDED, "at most 10"),
        (replaced(one, debt=one.collateral), supply, markets.AS_RECORDED, "the same asset"),
        (replaced(one, debt=0), supply, markets.AS_RECORDED, "has a debt asset"),
        (replaced(one, collateral=7), supply, markets.AS_RECORDED, "has no asset"),
        (replaced(one, pool=7), supply, markets.AS_RECORDED, "has no asset"),
        (one, supply, markets.Conditions(-1), "seconds ahead"),
        (
            one,
            supply,
            markets.Conditions(price_changes={1: decimal.Decimal("-1.1")}),
            "between -1 and",
        ),
        (
            one,
            [simulate.Action(simulation.Kind.SUPPLY, decimal.Decimal("0." + "1" * 30))],
            markets.AS_RECORDED,
            "more decimals",
        ),
    ):
        with pytest.raises(errors.QuestionError, match=words):
            await simulate.simulate(indexed, asked, actions, conditions=conditions)
    with pytest.raises(errors.QuestionError, match="without a debt asset"):
        await quotes.max_borrow(indexed, replaced(one, debt=0))
    with pytest.raises(errors.QuestionError, match="above 0"):
        await quotes.supply_estimate(indexed, one, 0)
    with pytest.raises(errors.QuestionError, match="slippage"):
        await opportunities.find(indexed, opportunities.Terms(slippage=decimal.Decimal(2)))
