"""Chains of actions: order, amounts that depend on the position, standings, first refusal."""

from __future__ import annotations

from fractions import Fraction

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from indexer import errors
from indexer.vesu import amounts, events, market, maths, quotes, refusals, simulation, state
from tests.unit import test_vesu_quotes

SCALE = maths.SCALE
Kind, Size, Action = simulation.Kind, simulation.Size, simulation.Action
MODEL = events.InterestRateConfig(75_000, 85_000, 87_500, 10**9, 10**10, 10**8, 172_800, SCALE // 5)


def begun(variant: maths.Variant = maths.Variant.V2) -> market.Market:
    """A market of two assets with 6 decimals, 1 USD each, 60 % of the debt asset lent."""
    asset = msgspec.structs.replace(
        market.NO_ASSET,
        total_collateral_shares=1_000 * SCALE,
        reserve=400 * 10**6,
        total_nominal_debt=600 * SCALE,
        scale=10**6,
        last_updated=1,
        last_rate_accumulator=SCALE,
        last_full_utilization_rate=10**10,
        max_utilization=SCALE,
        fee_rate=SCALE // 10,
        price=SCALE,
        model=MODEL,
        variant=variant,
    )
    return market.Market(asset, asset, state.PairState(max_ltv=SCALE * 8 // 10))


def test_a_chain_of_all_four_actions() -> None:
    actions = [
        Action(Kind.SUPPLY, 100 * 10**6),
        Action(Kind.BORROW, 60 * 10**6),
        Action(Kind.REPAY, 20 * 10**6),
        Action(Kind.WITHDRAW, 50 * 10**6),
    ]
    found = simulation.run(begun(), begun(), actions)
    assert found.refusal is None
    assert [step.deltas.collateral for step in found.steps] == [10**8, 0, 0, -5 * 10**7]
    assert [step.deltas.debt for step in found.steps] == [0, 6 * 10**7, -2 * 10**7, 0]
    worth = found.after.worth
    assert (worth.collateral, worth.debt) == (50 * 10**6, 40 * 10**6)
    assert (worth.ltv, worth.health_factor) == (SCALE * 8 // 10, SCALE)
    assert worth.liquidation_price == SCALE
    assert found.before.worth.health_factor is None
    assert found.steps[-1].standing == found.after


def test_the_first_refused_action_ends_the_chain() -> None:
    actions = [
        Action(Kind.SUPPLY, 100 * 10**6),
        Action(Kind.BORROW, 80 * 10**6 + 1),
        Action(Kind.SUPPLY, 100 * 10**6),
    ]
    found = simulation.run(begun(), begun(), actions)
    assert found.refusal is refusals.Refusal.NOT_COLLATERALIZED
    assert len(found.steps) == 2
    assert found.steps[-1].deltas == amounts.Deltas()
    assert found.after == found.steps[0].standing


def test_all_and_max() -> None:
    actions = [
        Action(Kind.SUPPLY, 100 * 10**6),
        Action(Kind.BORROW, Size.MAX),
        Action(Kind.REPAY, Size.ALL),
        Action(Kind.BORROW, 40 * 10**6),
        Action(Kind.WITHDRAW, Size.MAX),
        Action(Kind.REPAY, Size.ALL),
        Action(Kind.WITHDRAW, Size.ALL),
    ]
    found = simulation.run(begun(), begun(), actions)
    assert found.refusal is None
    moved = [(step.deltas.collateral, step.deltas.debt) for step in found.steps]
    assert moved[1:5] == [(0, 80 * 10**6), (0, -80 * 10**6), (0, 40 * 10**6), (-50 * 10**6, 0)]
    assert (found.after.collateral_shares, found.after.nominal_debt) == (0, 0)


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([Action(Kind.SUPPLY, 1)] * 11, "at most 10"),
        ([Action(Kind.SUPPLY, Size.ALL)], "supply all has no meaning"),
        ([Action(Kind.BORROW, Size.ALL)], "borrow all has no meaning"),
        ([Action(Kind.REPAY, Size.MAX)], "repay max has no meaning"),
        ([Action(Kind.REPAY, 0)], "above 0"),
        ([Action(Kind.WITHDRAW, -1)], "above 0"),
    ],
)
def test_what_is_no_action(actions: list[simulation.Action], words: str) -> None:
    with pytest.raises(errors.QuestionError, match=words):
        simulation.run(begun(), begun(), actions)


def test_a_v_token_burns_no_more_than_there_is() -> None:
    held = msgspec.structs.replace(begun(), collateral_shares=10 * SCALE)
    for amount, refusal in (
        (10 * 10**6, None),
        (10 * 10**6 + 1, refusals.Refusal.INSUFFICIENT_BALANCE),
    ):
        action = Action(Kind.WITHDRAW, amount)
        assert simulation.run(held, held, [action], is_v_token=True).refusal is refusal
        assert simulation.run(held, held, [action]).refusal is None  # a position: as much as it has
    with pytest.raises(errors.QuestionError, match="no debt"):
        simulation.run(held, held, [Action(Kind.BORROW, 1)], is_v_token=True)


@test_vesu_quotes.examples
@hypothesis.given(test_vesu_quotes.markets(), st.integers(0, SCALE), st.integers(0, SCALE))
def test_net_apy(found: market.Market, earns: int, costs: int) -> None:
    worth = simulation.standing(found).worth
    ours = simulation.net_apy(worth, earns, costs)
    pool = test_vesu_quotes.again(found)
    own = pool.collateral_usd() - pool.debt_usd()
    if own <= 0:
        assert ours is None
    else:
        exact = Fraction(earns * pool.collateral_usd() - costs * pool.debt_usd(), own)
        assert ours is not None
        assert ours <= exact < ours + 1


def test_a_shock_moves_the_price_and_what_hangs_on_it() -> None:
    loan = simulation.run(
        begun(), begun(), [Action(Kind.SUPPLY, 100 * 10**6), Action(Kind.BORROW, 60 * 10**6)]
    )
    held = msgspec.structs.replace(
        begun(),
        collateral_shares=loan.after.collateral_shares,
        nominal_debt=loan.after.nominal_debt,
    )
    price = simulation.shocked(held.collateral.price, -SCALE // 4)
    assert price == SCALE * 3 // 4
    fallen = simulation.at_price(held, collateral=price)
    assert simulation.standing(fallen).worth.health_factor == SCALE
    assert quotes.max_borrow(fallen).amount == 0
    lower = simulation.at_price(held, collateral=price - 1)
    health = simulation.standing(lower).worth.health_factor
    assert health is not None
    assert health < SCALE
    assert simulation.shocked(SCALE, -2 * SCALE) == 0
    assert simulation.shocked(None, SCALE) is None
