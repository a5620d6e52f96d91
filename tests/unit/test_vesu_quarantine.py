"""One pool's contradictions freeze that pool alone, as it stood before, and no arithmetic hangs."""

from __future__ import annotations

import time

import msgspec
import pytest

from indexer.projections import valuations
from indexer.vesu import accrual, events, maths, state, valuation
from indexer.vesu.v2 import events as events_v2
from tests.unit.history import (
    ALICE,
    BOB,
    ETH,
    FACTORY,
    NOW,
    OTHER_POOL,
    POOL,
    SCALE,
    USDC,
    V_ETH,
    History,
    config,
    context,
    made_pool,
    modify,
)

U64 = 2**64 - 1
MONTH = 30 * 86_400
NAMED = 0x7E9
"""A contract that the curator names as vToken."""

IMPOSSIBLE = {
    "shares that no storage holds": {"total_collateral_shares": 2**128},
    "nominal debt that no storage holds": {"total_nominal_debt": 2**123},
    "a reserve that no storage holds": {"reserve": 2**256 - 1},
    "interest of the future": {"last_updated": U64},
    "a debt that overflows": {
        "total_nominal_debt": 2**123 - 1,
        "last_rate_accumulator": 2**256 - 1,
        "scale": 10**77,
    },
}


@pytest.fixture
def history() -> History:
    """Two pools with one market each; Alice lends in both."""
    made = made_pool()
    made.emit(FACTORY, events_v2.CreatePool(OTHER_POOL, 0x4F, owner=1, curator=2, oracle=3))
    made.emit(OTHER_POOL, context(2_000, 1), modify(ALICE, 10**18))
    made.emit(POOL, modify(ALICE, 10**18))
    return made


def of_pool(world: state.World, address: int) -> dict[object, object]:
    """Everything that the world holds of a pool."""
    pool = state.v2_pool(address)
    parts = (world.assets, world.pairs, world.positions)
    return {key: value for part in parts for key, value in part.items() if key.pool == pool}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_state_that_no_pool_can_store_freezes_it(history: History, name: str) -> None:
    before, other = of_pool(history.world, POOL), of_pool(history.world, OTHER_POOL)
    told = msgspec.structs.replace(config(SCALE), **IMPOSSIBLE[name])
    history.emit(POOL, events_v2.SetAssetConfig(ETH, told))
    assert history.frozen()
    history.emit(POOL, modify(ALICE, 5), context(1, 1))
    history.emit(V_ETH, events.Transfer(0, BOB, 5))
    assert of_pool(history.world, POOL) == before
    assert of_pool(history.world, OTHER_POOL) == other
    history.emit(OTHER_POOL, modify(BOB, 7))
    assert not history.frozen(OTHER_POOL)
    assert of_pool(history.world, OTHER_POOL) != other
    assert [pool for _, pool, _ in history.journal.quarantined] == [state.v2_pool(POOL)]


def test_what_an_event_did_before_it_went_wrong_is_taken_back(history: History) -> None:
    """An UpdateContext whose second side cannot be: the first side is as it was."""
    before, noted = of_pool(history.world, POOL), history.journal.lengths()
    good = context(2_500, 1)
    impossible = msgspec.structs.replace(good.debt_asset_config, reserve=2**128)
    history.emit(POOL, msgspec.structs.replace(good, debt_asset_config=impossible))
    assert of_pool(history.world, POOL) == before
    # One change more is noted: the pool's own, that it is frozen.
    assert history.journal.lengths() == (noted[0] + 1, *noted[1:])


def market(rate: int, nominal: int = 10**30) -> accrual.AssetState:
    """A market that is lent out to the last unit at one fixed rate a second, x 10^18."""
    model = events.InterestRateConfig(0, 99_999, 99_999, rate, rate, rate, 1, SCALE)
    return accrual.AssetState(
        total_collateral_shares=10**30,
        total_nominal_debt=nominal,
        scale=SCALE,
        last_updated=NOW,
        last_rate_accumulator=SCALE,
        last_full_utilization_rate=rate,
        price=SCALE,
        model=model,
    )


@pytest.mark.parametrize("rate", [10**14, 10**15, 10**18, U64, 2**128, 2**256 - 1])
def test_no_rate_takes_long_or_gives_a_number_without_end(rate: int) -> None:
    lent = market(rate)
    began = time.process_time()
    yields = valuation.borrow_apy(lent), valuation.supply_apy(lent)
    for elapsed in (1, 86_400, MONTH, 2**32):
        try:
            later = accrual.accrue(lent, NOW + elapsed)
        except maths.RevertedError:
            continue
        assert later.last_rate_accumulator < 2**256
    assert time.process_time() - began < 1
    assert yields == (valuation.APY_LIMIT, valuation.APY_LIMIT)


@pytest.mark.parametrize("seconds", [MONTH, 2**32])
def test_a_months_dust_that_overflows_has_no_worth_and_a_reason(seconds: int) -> None:
    pool = state.v2_pool(POOL)
    key = state.PositionKey(pool, ETH, USDC, 0, ALICE)
    dust = state.PositionState("borrow", collateral_shares=1, nominal_debt=1)
    world = state.World(
        assets={state.AssetKey(pool, ETH): market(0), state.AssetKey(pool, USDC): market(10**14)},
        pairs={state.PairKey(pool, ETH, USDC): state.PairState(max_ltv=SCALE)},
    )
    assert valuations.value_at(key, dust, world, NOW).debt == 1
    worth = valuations.value_at(key, dust, world, NOW + seconds)
    assert worth == valuation.Valuation(
        None, None, unvalued_reason="the contract's arithmetic overflows: its views revert"
    )


@pytest.mark.parametrize("exponent", [1, 2, 3, 1_000, 31_536_000])
@pytest.mark.parametrize("base", [SCALE, SCALE + 1_000_000_000, SCALE + 10**12, 2 * SCALE])
def test_powers_are_exact_where_a_u256_holds_every_product(base: int, exponent: int) -> None:
    result, square, left = SCALE, base, exponent
    fits = True
    while left > 1:
        if left % 2:
            fits &= result * square < 2**256
            result = result * square // SCALE
        fits &= square * square < 2**256
        if not fits:
            break
        square = square * square // SCALE
        left //= 2
    fits = fits and result * square < 2**256
    if not fits:
        with pytest.raises(maths.RevertedError):
            maths.pow_scale(base, exponent)
    else:
        assert maths.pow_scale(base, exponent) == result * square // SCALE


def test_overflow_is_told_with_the_event_that_meets_it(history: History) -> None:
    endless = events.InterestRateConfig(0, 99_999, 99_999, U64, U64, U64, 1, SCALE)
    history.emit(POOL, events_v2.SetInterestRateConfig(USDC, endless))
    lent = msgspec.structs.replace(config(10**6), total_nominal_debt=10**18)
    history.emit(POOL, events_v2.SetAssetConfig(USDC, lent))
    history.block += MONTH
    history.emit(POOL, events_v2.Donate(USDC, 1))
    assert history.frozen() == (
        f"event ({history.block}, 0, 0) cannot be computed: "
        "the contract's arithmetic overflows: its views revert"
    )


def test_a_fault_of_our_own_is_called_one(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyError("debt")

    monkeypatch.setattr(accrual, "accrue", fails)
    history.emit(POOL, events_v2.Donate(ETH, 1))
    assert history.frozen() == (
        f"event ({history.block}, 0, 0) meets a fault of the indexer (KeyError: 'debt'): "
        "a release that mends it needs a replay of this pool"
    )


@pytest.mark.parametrize("event", [events.Deposit(ALICE, 0, 5, 5), events.Withdraw(1, 2, 0, 5, 5)])
def test_vtokens_of_nobody_freeze_a_pool_by_a_vtoken_of_vesu_alone(
    history: History, event: events.Struct
) -> None:
    """What a curator's own contract says against itself is refused, as its transfers are."""
    history.emit(FACTORY, events_v2.UpdateVToken(POOL, ETH, V_ETH, NAMED))
    history.emit(NAMED, event)
    assert history.frozen() == ""
    ((_, refused),) = history.journal.refused
    assert refused.startswith("tells of vTokens of 0x0, which can hold none; ")
    history.emit(V_ETH, event)
    assert history.frozen() == (
        f"event ({history.block}, 0, 0) tells of vTokens of 0x0, which can hold none; "
        "the log is incomplete"
    )
