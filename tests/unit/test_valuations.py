"""Which positions are near a liquidation: the bound of a pair leaves none of them out."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st

from indexer.projections import valuations
from indexer.vesu import accrual, state
from tests.unit.test_vesu_maths import SCALE

POOL = state.PoolKey(1, 2)
PAIR = state.PairKey(POOL, 3, 4)
KEY = state.PositionKey(POOL, 3, 4, 0, 5)
ROUNDED = 10**15
"""Below it the index sorts a row as 0, which every bound is above."""

amounts = st.integers(ROUNDED, 10**30)
prices = st.integers(10**9, 10**24)


def world(
    shares: int, reserve: int, accumulator: int, places: tuple[int, int], told: tuple[int, int]
) -> state.World:
    collateral = accrual.AssetState(
        total_collateral_shares=shares,
        reserve=reserve,
        scale=10 ** places[0],
        price=told[0],
        last_updated=1,
    )
    debt = accrual.AssetState(
        last_rate_accumulator=accumulator, scale=10 ** places[1], price=told[1], last_updated=1
    )
    return state.World(
        assets={state.AssetKey(POOL, 3): collateral, state.AssetKey(POOL, 4): debt},
        pairs={PAIR: state.PairState(max_ltv=SCALE * 3 // 4)},
    )


@hypothesis.given(
    amounts,
    amounts,
    st.integers(1, 5),
    st.integers(SCALE, 3 * SCALE),
    st.tuples(st.sampled_from([0, 6, 8, 18]), st.sampled_from([0, 6, 8, 18])),
    st.tuples(prices, prices),
)
def test_no_health_below_the_edge_lies_above_the_bound(
    shares: int,
    debt: int,
    worth: int,
    accumulator: int,
    places: tuple[int, int],
    told: tuple[int, int],
) -> None:
    """Shares are worth at least a token's 10^-18 each, as the contract issues them."""
    reserve = 10**40 // SCALE * 10 ** places[0] * worth
    held = world(10**40, reserve, accumulator, places, told)
    valuer = valuations.Valuer(held, valuations.Block(1, 1))
    position = state.PositionState("borrow", collateral_shares=shares, nominal_debt=debt)
    health = valuer.worth(KEY, position).health_factor
    bound = valuer.edge(PAIR)
    assert bound is not None
    if health is not None and health < valuations.EDGE_HEALTH:
        assert shares * valuations.RATIO_SCALE // debt < bound


@hypothesis.given(amounts, st.integers(2, 50))
def test_the_bound_lies_near_the_edge(debt: int, times: int) -> None:
    """A healthy position is not valued at every block."""
    held = world(10**40, 10**40, SCALE, (18, 18), (SCALE, SCALE))
    valuer = valuations.Valuer(held, valuations.Block(1, 1))
    shares = debt * times
    health = valuer.worth(
        KEY, state.PositionState("borrow", collateral_shares=shares, nominal_debt=debt)
    ).health_factor
    assert health is not None
    bound = valuer.edge(PAIR)
    assert bound is not None
    assert (shares * valuations.RATIO_SCALE // debt < bound) == (
        health < valuations.EDGE_HEALTH * 1002 // 1000
    )


def test_without_a_price_there_is_no_edge() -> None:
    held = world(10**40, 10**40, SCALE, (18, 18), (SCALE, SCALE))
    held.assets[state.AssetKey(POOL, 3)] = accrual.AssetState(scale=SCALE)
    assert valuations.Valuer(held, valuations.Block(1, 1)).edge(PAIR) is None


def test_an_active_position_is_left_unvalued_and_an_emptied_one_is_not() -> None:
    block = valuations.Block(1, 1)
    held = world(1, 1, SCALE, (18, 18), (1, 1))
    valued, unvalued = valuations.Valuer(held, block), valuations.Unvalued(held, block)
    position = state.PositionState(kind="borrow", collateral_shares=ROUNDED)
    found = unvalued.columns(KEY, position)
    assert {name for name, value in found.items() if value is not None} == {
        *("has_invalid_price", "valued_at", "valued_at_block", "sampling")
    }
    assert found["valued_at_block"] < 0 < valued.columns(KEY, position)["valued_at_block"]
    emptied = state.PositionState(kind="borrow", status="closed", last_event_block=7)
    assert unvalued.values(KEY, emptied) == valued.values(KEY, emptied)
