"""V2's contexts prove the fold; V1.1's pools say with which maths, and no owner decides alone."""

from __future__ import annotations

import msgspec
import pytest

from indexer.projections import contracts
from indexer.vesu import accrual, discovery, kinds, ledgers, maths, state
from indexer.vesu.v1 import selfproof
from indexer.vesu.v2 import events as events_v2
from tests.unit.history import (
    ALICE,
    MODEL,
    NOW,
    POOL,
    SCALE,
    USDC,
    History,
    config,
    context,
    made_pool,
    modify,
)

V = maths.Variant
SINGLETON, EXTENSION = 0x51, 0xE7
QUIET = state.PoolKey(SINGLETON, 5)


def voting() -> tuple[ledgers.Ledger, ledgers.Origin]:
    """An upgraded V1.1 singleton with a market in each of five pools of four owners."""
    known = discovery.Known(kinds.Kind.SINGLETON_V1_1)
    world = state.World(
        assets={
            state.AssetKey(state.PoolKey(SINGLETON, pool), 1): accrual.AssetState(variant=V.V1_0)
            for pool in range(1, 6)
        },
        pools={
            state.PoolKey(SINGLETON, pool): state.ContractState(
                kinds.Kind.POOL_V1_1, owner=0xA0 + min(pool, 4)
            )
            for pool in range(1, 6)
        },
    )
    book = ledgers.Ledger(world, discovery.Registry({SINGLETON: known}))
    origin = ledgers.Origin(state.EventKey(5, 0, 0), NOW, SINGLETON, known)
    book.contract(origin, SINGLETON, class_hash=1)
    selfproof.upgraded(book, origin)
    return book, origin


def ask(ledger: ledgers.Ledger, origin: ledgers.Origin, *votes: tuple[int, V]) -> list[V]:
    """The variant that pool 5 is computed with, which tells nothing itself, after each vote."""
    used = []
    for pool, variant in votes:
        selfproof.vote(ledger, origin, state.PoolKey(SINGLETON, pool), (variant,))
        for key, asset in ledger.world.assets.items():
            assert asset.variant is selfproof.variants(ledger, key.pool)[0]
        used.append(selfproof.variants(ledger, QUIET)[0])
    return used


def test_one_pool_outvotes_nobody() -> None:
    """Its owner can change a rate model without an event, so that another variant fits."""
    book, origin = voting()
    honest = [(1, V.V1_1C), (2, V.V1_1C)]
    assert ask(book, origin, *honest) == [V.V1_1C, V.V1_1C]
    assert ask(book, origin, (3, V.V1_0), (3, V.V1_1B), (3, V.V1_0)) == [V.V1_1C] * 3


def test_pools_of_one_owner_are_one_vote() -> None:
    book, origin = voting()
    owned = [state.PoolKey(SINGLETON, pool) for pool in range(100, 200)]
    book.world.pools |= dict.fromkeys(owned, state.ContractState(kinds.Kind.POOL_V1_1, owner=0xBAD))
    ask(book, origin, (1, V.V1_1C), (2, V.V1_1C))
    assert set(ask(book, origin, *((pool.id, V.V1_0) for pool in owned))) == {V.V1_1C}
    assert selfproof.variants(book, owned[-1])[0] is V.V1_0


def test_a_pool_is_computed_with_what_fits_it_whatever_the_others_tell() -> None:
    book, origin = voting()
    ask(book, origin, (1, V.V1_1C), (2, V.V1_0), (3, V.V1_0), (4, V.V1_0))
    first = state.PoolKey(SINGLETON, 1)
    assert selfproof.variants(book, first)[0] is V.V1_1C
    assert book.world.assets[state.AssetKey(first, 1)].variant is V.V1_1C


def test_a_variant_that_lost_can_win_again() -> None:
    book, origin = voting()
    assert ask(book, origin, (3, V.V1_0)) == [V.V1_0]
    assert ask(book, origin, (1, V.V1_1C), (2, V.V1_1C)) == [V.V1_1C, V.V1_1C]
    assert set(selfproof.variants(book, QUIET)) == set(selfproof.AFTER_UPGRADE)


def test_what_fits_every_variant_is_no_vote() -> None:
    book, origin = voting()
    selfproof.vote(book, origin, state.PoolKey(SINGLETON, 1), selfproof.AFTER_UPGRADE)
    assert book.world.contracts[SINGLETON].variant_votes == ()


def test_an_upgrade_opens_the_vote_again() -> None:
    book, origin = voting()
    ask(book, origin, (1, V.V1_0))
    selfproof.upgraded(book, origin)
    assert selfproof.variants(book, QUIET) == selfproof.AFTER_UPGRADE
    assert book.world.contracts[SINGLETON].variant_votes == ()


def test_votes_are_stored_as_they_are() -> None:
    book, origin = voting()
    selfproof.vote(book, origin, state.PoolKey(SINGLETON, 2), (V.V1_1B, V.V1_1C))
    ask(book, origin, (1, V.V1_0))
    votes = book.world.contracts[SINGLETON].variant_votes
    text = contracts.columns(SINGLETON, book.world.contracts[SINGLETON])["variant_votes"]
    assert text == "0x1=v1.0 0x2=v1.1b|v1.1c"
    assert contracts._votes(text) == votes


def lent() -> tuple[History, events_v2.AssetConfig]:
    """A V2 pool whose USDC is lent out, and that market's state an hour of blocks later."""
    made = made_pool()
    made.emit(POOL, events_v2.SetInterestRateConfig(USDC, MODEL))
    owed = msgspec.structs.replace(
        config(10**6, reserve=10**12), total_nominal_debt=500_000 * SCALE
    )
    made.emit(POOL, events_v2.SetAssetConfig(USDC, owed))
    made.block += 3_600
    before = made.world.assets[state.AssetKey(state.v2_pool(POOL), USDC)]
    after = accrual.accrue(before, NOW + made.block + 1)
    fields = events_v2.AssetConfig.__struct_fields__
    return made, events_v2.AssetConfig(**{name: getattr(after, name) for name in fields})


def test_a_context_that_the_fold_predicted_is_taken() -> None:
    made, due = lent()
    made.emit(POOL, msgspec.structs.replace(context(2_000, 1), debt_asset_config=due))
    assert not made.frozen()
    assert made.journal.checks == 1


@pytest.mark.parametrize("field", ["last_rate_accumulator", "last_full_utilization_rate"])
def test_a_context_that_no_class_of_ours_tells_freezes_the_pool(field: str) -> None:
    made, due = lent()
    before = dict(made.world.assets)
    wrong = msgspec.structs.replace(due, **{field: getattr(due, field) + 1})
    made.emit(POOL, msgspec.structs.replace(context(2_000, 1), debt_asset_config=wrong))
    assert f"tells a {field} of {getattr(wrong, field)}, where" in made.frozen()
    assert made.world.assets == before
    made.emit(POOL, modify(ALICE, 1))
    assert state.PositionKey(state.v2_pool(POOL), 0xE, USDC, 0, ALICE) not in made.world.positions
