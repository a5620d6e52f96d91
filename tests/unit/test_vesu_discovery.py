"""Discovery and the fold refuse what no factory of ours has a right to name."""

from __future__ import annotations

import pytest

from indexer import errors
from indexer.vesu import discovery, events, kinds, state
from indexer.vesu.v2 import events as events_v2
from tests.unit.history import (
    ALICE,
    CREATE_POOL,
    ETH,
    FACTORY,
    OTHER_POOL,
    POOL,
    STRANGER,
    USDC,
    V_ETH,
    V_ETH_2,
    History,
    made_pool,
)


@pytest.fixture
def history() -> History:
    return made_pool()


@pytest.mark.parametrize(
    "fake",
    [
        events_v2.CreateVToken(STRANGER, ETH, V_ETH, "fake", "FAKE"),
        events_v2.AddAsset(STRANGER, ETH),
        events_v2.UpdateVToken(STRANGER, ETH, 0, V_ETH),
        events_v2.UpdateVToken(STRANGER, ETH, V_ETH, V_ETH_2),
    ],
)
def test_a_pool_that_no_create_pool_named_is_refused(fake: events.Struct) -> None:
    made = History()
    made.emit(FACTORY, fake)
    assert made.registry.addresses() == {FACTORY}
    assert made.journal == state.Journal()
    assert made.world == state.World()


def test_a_later_create_pool_does_not_legitimise_what_came_before() -> None:
    """In one batch discovery knows the pool before the fold reaches the fake."""
    made = History()
    made.emit(FACTORY, events_v2.CreateVToken(POOL, ETH, STRANGER, "early", "E"), CREATE_POOL)
    assert made.registry.get(STRANGER) is None
    assert made.world.assets == {}
    assert set(made.world.contracts) == {POOL}


def test_a_known_address_named_again_stays_what_it_is(history: History) -> None:
    before = dict(history.world.contracts)
    history.emit(
        FACTORY,
        events_v2.CreatePool(OTHER_POOL, 0x41, 1, 2, 3),
        events_v2.CreateVToken(OTHER_POOL, USDC, V_ETH, "stolen", "S"),
        events_v2.UpdateVToken(OTHER_POOL, USDC, V_ETH, POOL),
        events_v2.UpdateVToken(POOL, USDC, 0, V_ETH),
        events_v2.CreateVToken(POOL, USDC, FACTORY, "factory", "F"),
        events_v2.CreateVToken(POOL, USDC, 0, "nobody", "N"),
    )
    assert history.registry.get(V_ETH) == discovery.Known(
        kinds.Kind.VTOKEN_V2, state.v2_pool(POOL), ETH
    )
    assert history.registry.get(POOL) == discovery.Known(kinds.Kind.POOL_V2, state.v2_pool(POOL))
    assert history.registry.get(FACTORY) == discovery.Known(kinds.Kind.POOL_FACTORY_V2)
    assert history.registry.get(0) is None
    changed = {a for a, one in history.world.contracts.items() if before.get(a) != one}
    assert changed == {OTHER_POOL}
    assert history.world.assets[state.AssetKey(state.v2_pool(POOL), ETH)].v_token == V_ETH
    assert history.world.assets[state.AssetKey(state.v2_pool(POOL), USDC)].v_token is None
    assert state.AssetKey(state.v2_pool(OTHER_POOL), USDC) not in history.world.assets


def test_an_event_of_a_stranger_is_an_error(history: History) -> None:
    with pytest.raises(errors.ProjectionError, match="no known contract 0xbad"):
        history.emit(STRANGER, events.Transfer(0, ALICE, 1))
