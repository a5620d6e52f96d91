"""The fold: what each event means, by histories made by hand.

Recorded histories: test_vesu_fold_recorded.py; whose events count at all: test_vesu_discovery.py.
"""

from __future__ import annotations

import re

import msgspec
import pytest

from indexer.vesu import accrual, discovery, events, fold, kinds, ledgers, state
from indexer.vesu.v2 import events as events_v2
from tests.unit.history import (
    ALICE,
    BOB,
    CREATE_POOL,
    ETH,
    FACTORY,
    MODEL,
    NOW,
    OTHER_POOL,
    POOL,
    SCALE,
    USDC,
    V_ETH,
    V_ETH_2,
    History,
    config,
    context,
    made_pool,
    modify,
)

ORACLE = 0x0AC1E


@pytest.fixture
def history() -> History:
    return made_pool()


def test_the_owner_told_before_create_pool_is_kept() -> None:
    """The pool's constructor speaks before the factory does, in the same transaction."""
    made = History()
    made.registry.learn(FACTORY, CREATE_POOL)
    made.folding.apply(state.EventKey(1, 0, 0), NOW, POOL, events.OwnershipTransferred(0, 7))
    made.folding.apply(state.EventKey(1, 0, 1), NOW, FACTORY, CREATE_POOL)
    made.folding.apply(state.EventKey(1, 0, 2), NOW, POOL, events.OwnershipTransferred(1, 8))
    told = made.world.contracts[POOL]
    assert (told.name, told.owner, told.curator, told.oracle) == ("Prime", 8, FACTORY, 3)
    assert (told.kind, told.pool, told.created_at) == (
        kinds.Kind.POOL_V2,
        state.v2_pool(POOL),
        NOW,
    )
    assert [at.event_index for at, _, _ in made.journal.contracts] == [0, 1, 2]


def test_the_curator_is_nominated_before_it_is_one(history: History) -> None:
    history.emit(POOL, events_v2.NominateCurator(9))
    assert history.world.contracts[POOL].curator == FACTORY
    history.emit(POOL, events_v2.SetCurator(9))
    assert history.world.contracts[POOL].curator == 9


def test_settings_and_pause(history: History) -> None:
    history.emit(
        POOL,
        events_v2.SetOracle(11),
        events_v2.SetFeeRecipient(12),
        events_v2.SetPausingAgent(13),
        events.ContractUpgraded(14),
        events_v2.ContractPaused(13),
    )
    told = history.world.contracts[POOL]
    assert (told.oracle, told.fee_recipient, told.pausing_agent, told.class_hash) == (
        11,
        12,
        13,
        14,
    )
    assert told.is_paused
    history.emit(POOL, events_v2.ContractUnpaused(13))
    assert not history.world.contracts[POOL].is_paused


def test_a_position_opens_grows_and_closes(history: History) -> None:
    history.emit(POOL, modify(ALICE, 10**18, 10**20))
    history.emit(POOL, modify(ALICE, 0, -(10**20)))
    history.emit(POOL, modify(ALICE, -(10**18)))
    assert [
        (p.status, p.collateral_shares, p.nominal_debt) for _, _, p in history.journal.positions
    ] == [("active", 10**18, 10**20), ("active", 10**18, 0), ("closed", 0, 0)]
    assert [(t.type, t.leg, t.amount) for t in history.journal.transactions] == [
        ("supply", 0, 10**18),
        ("borrow", 1, 10**8),
        ("repay", 1, -(10**8)),
        ("withdraw", 0, -(10**18)),
    ]
    pair = history.world.pairs[state.PairKey(state.v2_pool(POOL), ETH, USDC)]
    assert (pair.total_collateral_shares, pair.total_nominal_debt) == (0, 0)
    assert not pair.is_configured
    created = {p.created_at for _, _, p in history.journal.positions}
    assert len(created) == 1


def test_an_interaction_that_moves_nothing_is_no_transaction(history: History) -> None:
    history.emit(POOL, modify(ALICE, 0))
    assert history.journal.transactions == []
    position = history.position(ALICE)
    assert (position.collateral_shares, position.nominal_debt) == (0, 0)


def test_a_liquidation_with_bad_debt(history: History) -> None:
    """Price halves, all collateral goes, the liquidator pays 900 of 1,200 owed."""
    history.emit(POOL, modify(ALICE, 10**18, 1_200 * SCALE))
    history.emit(POOL, context(1_000, 1))
    history.emit(
        POOL,
        events_v2.LiquidatePosition(
            ETH,
            USDC,
            ALICE,
            BOB,
            -(10**18),
            -(10**18),
            -1_200 * 10**6,
            -1_200 * SCALE,
            bad_debt=300 * 10**6,
        ),
    )
    assert history.position(ALICE).status == "liquidated"
    (liquidation,) = history.journal.liquidations
    assert liquidation.liquidator == BOB
    assert (liquidation.collateral_seized, liquidation.debt_repaid) == (10**18, 900 * 10**6)
    assert liquidation.bad_debt == 300 * 10**6
    assert liquidation.bonus == 10**17, "one ETH at 1,000 for 900"
    assert (liquidation.collateral_price, liquidation.debt_price) == (1_000 * SCALE, SCALE)
    legs = [t for t in history.journal.transactions if t.type == "liquidation"]
    assert [(t.leg, t.asset, t.amount) for t in legs] == [
        (0, ETH, -(10**18)),
        (1, USDC, -1_200 * 10**6),
    ]


def test_a_partial_liquidation_leaves_the_position_active(history: History) -> None:
    history.emit(POOL, modify(ALICE, 10**18, 100 * SCALE))
    history.emit(
        POOL,
        events_v2.LiquidatePosition(
            ETH, USDC, ALICE, BOB, -1, -1, -50 * 10**6, -50 * SCALE, bad_debt=0
        ),
    )
    assert history.position(ALICE).status == "active"
    assert history.position(ALICE).nominal_debt == 50 * SCALE


@pytest.mark.parametrize(
    "change",
    [
        modify(ALICE, -1),
        modify(ALICE, 1, -1),
        events_v2.LiquidatePosition(ETH, USDC, ALICE, BOB, -1, -1, 0, 0, bad_debt=0),
    ],
)
def test_taking_more_than_a_position_holds_freezes_the_pool(
    history: History, change: events.Struct
) -> None:
    before = len(history.journal.positions)
    history.emit(POOL, change)
    assert re.match(
        rf"event \(3, 0, 0\) takes more from a position of {ALICE:#x} than it holds: "
        ".* would remain; the log is incomplete",
        history.frozen(),
    )
    assert len(history.journal.positions) == before


def test_taking_more_vtokens_than_held_freezes_the_pool(history: History) -> None:
    history.emit(V_ETH, events.Transfer(0, ALICE, 5))
    history.emit(V_ETH, events.Transfer(ALICE, BOB, 6))
    assert (
        f"takes more vTokens from {ALICE:#x} than it holds: -1 would remain; the log is incomplete"
        in history.frozen()
    )


def test_mint_transfer_and_burn_of_vtokens(history: History) -> None:
    history.emit(V_ETH, events.Transfer(0, ALICE, 100), events.Deposit(BOB, ALICE, 90, 100))
    history.emit(V_ETH, events.Transfer(ALICE, BOB, 40))
    history.emit(V_ETH, events.Transfer(BOB, 0, 40), events.Withdraw(BOB, ALICE, BOB, 37, 40))
    assert history.balance(ALICE).vtoken_balance == 60
    assert history.balance(BOB).vtoken_balance == 0
    assert (history.balance(ALICE).status, history.balance(BOB).status) == ("active", "closed")
    assert [(t.type, t.position.user, t.asset, t.amount) for t in history.journal.transactions] == [
        ("supply", ALICE, ETH, 90),
        ("transfer", ALICE, V_ETH, -40),
        ("transfer", BOB, V_ETH, 40),
        ("withdraw", BOB, ETH, -37),
    ]


def test_a_transfer_to_oneself_changes_no_balance(history: History) -> None:
    history.emit(V_ETH, events.Transfer(0, ALICE, 100), events.Deposit(ALICE, ALICE, 0, 100))
    history.emit(V_ETH, events.Transfer(ALICE, ALICE, 100))
    assert history.balance(ALICE).vtoken_balance == 100
    assert history.balance(ALICE).status == "active"
    rows = [(t.leg, t.amount) for t in history.journal.transactions]
    assert rows == [(0, -100), (1, 100)], "two rows that add up to nothing"


def test_a_transfer_of_nothing_is_nothing(history: History) -> None:
    before = len(history.journal.positions)
    history.emit(V_ETH, events.Transfer(ALICE, BOB, 0), events.Approval(ALICE, BOB, 7))
    assert len(history.journal.positions) == before
    assert history.journal.transactions == []


def test_a_vtoken_position_is_the_systems_and_tells_its_debt_asset(history: History) -> None:
    history.emit(POOL, modify(V_ETH, 10**18))
    assert history.position(V_ETH).kind == "system"
    assert history.journal.transactions == [], "nobody's transaction"
    assert history.world.contracts[V_ETH].debt_asset == USDC


def test_a_replaced_vtoken_stays_redeemable(history: History) -> None:
    history.emit(V_ETH, events.Transfer(0, ALICE, 100))
    history.emit(FACTORY, events_v2.UpdateVToken(POOL, ETH, V_ETH, V_ETH_2))
    assert not history.world.contracts[V_ETH].is_current
    assert history.world.contracts[V_ETH_2].is_current
    assert history.world.assets[state.AssetKey(state.v2_pool(POOL), ETH)].v_token == V_ETH_2
    history.emit(V_ETH, events.Transfer(ALICE, 0, 100))
    history.emit(V_ETH_2, events.Transfer(0, ALICE, 3))
    assert history.balance(ALICE).status == "closed"
    assert history.balance(ALICE, V_ETH_2).vtoken_balance == 3


def test_a_deposit_too_small_for_a_share_has_a_position_to_belong_to(history: History) -> None:
    """The vToken mints nothing and says so; whoever had no position gets an empty one."""
    history.emit(V_ETH, events.Transfer(0, BOB, 7), events.Deposit(BOB, BOB, 0, 7))
    told = events.Transfer(0, ALICE, 0), events.Deposit(ALICE, ALICE, 1, 0)
    history.emit(V_ETH, *told, events.Deposit(ALICE, BOB, 1, 0))
    assert history.balance(ALICE).vtoken_balance == 0
    assert history.balance(ALICE).status == "closed"
    assert history.balance(BOB).vtoken_balance == 7
    known = {key for _, key, _ in history.journal.positions}
    assert {t.position for t in history.journal.transactions} <= known
    assert [(t.type, t.position.user, t.amount) for t in history.journal.transactions] == [
        ("supply", ALICE, 1),
        ("supply", BOB, 1),
    ]


@pytest.mark.parametrize(
    "lie",
    [
        events.Transfer(ALICE, BOB, 1),
        events.Transfer(ALICE, 0, 1),
        events.Transfer(ALICE, ALICE, 1),
        events.Transfer(0, ALICE, 1 << 128),
        events.Transfer(0, ALICE, (1 << 256) - 1),
    ],
)
def test_a_vtoken_that_a_curator_named_cannot_stop_the_fold(
    history: History, lie: events.Transfer
) -> None:
    """UpdateVToken takes any address of any curator's choice, and anyone may be a curator."""
    history.emit(FACTORY, events_v2.UpdateVToken(POOL, ETH, V_ETH, V_ETH_2))
    before = dict(history.world.positions)
    history.emit(V_ETH_2, lie)
    assert history.world.positions == before
    assert history.journal.transactions == []
    ((at, reason),) = history.journal.refused
    assert at == state.EventKey(history.block, 0, 0)
    assert "a vToken that no CreateVToken named" in reason
    history.emit(V_ETH_2, events.Transfer(0, BOB, 3))
    assert history.balance(BOB, V_ETH_2).vtoken_balance == 3


@pytest.mark.parametrize(
    ("again", "told"),
    [
        (
            events_v2.CreatePool(POOL, 0x6D696E65, owner=7, curator=7, oracle=7),
            f"creates the pool {POOL:#x}, which was created before",
        ),
        (
            events_v2.CreateOracle(ORACLE, 7),
            f"creates the oracle {ORACLE:#x}, which was created before",
        ),
        (events_v2.CreateOracle(POOL, 7), f"names {POOL:#x}, which is known as a pool_v2"),
        (
            events_v2.UpdateVToken(OTHER_POOL, ETH, 0, V_ETH),
            f"names {V_ETH:#x}, which is known as a vtoken_v2",
        ),
    ],
)
def test_what_a_factory_made_it_makes_no_second_time(
    history: History, again: events.Struct, told: str
) -> None:
    """No class of Vesu's tells it; whoever upgrades the factory changes no pool that is there."""
    history.emit(FACTORY, events_v2.CreateOracle(ORACLE, 3))
    before = dict(history.world.contracts)
    history.emit(FACTORY, again)
    assert history.world.contracts == before
    assert [reason for _, reason in history.journal.refused] == [told]


def test_more_vtokens_than_a_pool_can_store_freeze_it(history: History) -> None:
    history.emit(V_ETH, events.Transfer(0, ALICE, (1 << 128) - 1))
    history.emit(V_ETH, events.Transfer(0, ALICE, 1))
    assert "more vTokens than a pool can store" in history.frozen()


def test_names_of_vtokens_are_made_fit_for_display() -> None:
    made = History()
    named = events_v2.CreateVToken(POOL, ETH, V_ETH, "a\u202eb\0c" + "x" * 99, "\u200bv\nE")
    made.emit(FACTORY, CREATE_POOL, named)
    told = made.world.contracts[V_ETH]
    assert told.name == "ab c" + "x" * 60
    assert told.symbol == "v E"


def test_a_new_rate_model_accrues_with_the_old_one_first(history: History) -> None:
    key = state.AssetKey(state.v2_pool(POOL), USDC)
    history.emit(POOL, events_v2.SetInterestRateConfig(USDC, MODEL))
    history.emit(POOL, modify(ALICE, 10**18))
    lent = msgspec.structs.replace(
        config(10**6, reserve=10**12), total_nominal_debt=500_000 * SCALE
    )
    history.emit(POOL, events_v2.SetAssetConfig(USDC, lent))
    before = history.world.assets[key]
    other = events.InterestRateConfig(1, 2, 3, 4, 5, 6, 7, 8)
    history.emit(POOL, events_v2.SetInterestRateConfig(USDC, other))
    after = history.world.assets[key]
    assert after.model == other
    expected = accrual.accrue(before, NOW + history.block)
    assert after.last_rate_accumulator == expected.last_rate_accumulator > SCALE
    assert after.fee_shares == expected.fee_shares > 0
    assert after.last_updated == NOW + history.block


def test_donations_and_claimed_fees_move_reserve_and_shares(history: History) -> None:
    key = state.AssetKey(state.v2_pool(POOL), ETH)
    earned = msgspec.structs.replace(config(SCALE), fee_shares=10**17)
    history.emit(POOL, events_v2.SetAssetConfig(ETH, earned))
    before = history.world.assets[key]
    history.emit(POOL, events_v2.Donate(ETH, 5 * 10**18))
    assert history.world.assets[key].reserve == before.reserve + 5 * 10**18
    history.emit(POOL, events_v2.ClaimFees(ETH, BOB, 10**17, 2 * 10**17))
    after = history.world.assets[key]
    assert after.reserve == before.reserve + 5 * 10**18 - 2 * 10**17
    assert after.total_collateral_shares == before.total_collateral_shares - 10**17
    assert history.journal.transactions == []


def test_events_without_meaning_for_the_state_change_nothing(history: History) -> None:
    before = len(history.journal.contracts), len(history.journal.assets)
    history.emit(
        POOL,
        events_v2.Flashloan(ALICE, ALICE, ETH, 1),
        events_v2.ModifyDelegation(ALICE, BOB, delegation=True),
        events.OwnershipTransferStarted(1, 2),
    )
    history.emit(FACTORY, events_v2.AddAsset(POOL, USDC))
    assert (len(history.journal.contracts), len(history.journal.assets)) == before
    assert history.journal.positions == history.journal.transactions == []


def test_an_oracle_of_the_factory_is_known_with_its_manager() -> None:
    made = History()
    made.emit(FACTORY, events_v2.CreateOracle(0x0AC1E, 5))
    assert made.registry.get(0x0AC1E) == discovery.Known(kinds.Kind.ORACLE_V2)
    made.emit(0x0AC1E, events_v2.SetManager(6), events.OwnershipTransferred(0, 7))
    told = made.world.contracts[0x0AC1E]
    assert (told.curator, told.owner, told.kind) == (6, 7, kinds.Kind.ORACLE_V2)


def test_touched_positions_are_those_that_the_fold_reads(history: History) -> None:
    def touched(emitter: int, event: events.Struct) -> tuple[state.PositionKey, ...]:
        known = history.registry.get(emitter)
        assert known is not None
        return fold.touched_positions(ledgers.Emitter(emitter, known, history.registry), event)

    key = state.PositionKey(state.v2_pool(POOL), ETH, USDC, 0, ALICE)
    assert touched(POOL, modify(ALICE, 1)) == (key,)
    assert touched(V_ETH, events.Transfer(0, BOB, 1)) == (
        state.PositionKey(state.v2_pool(POOL), ETH, 0, V_ETH, BOB),
    )
    assert len(touched(V_ETH, events.Transfer(ALICE, BOB, 1))) == 2
    owned = (state.PositionKey(state.v2_pool(POOL), ETH, 0, V_ETH, BOB),)
    assert touched(V_ETH, events.Deposit(ALICE, BOB, 1, 1)) == owned
    assert touched(V_ETH, events.Withdraw(1, ALICE, BOB, 1, 1)) == owned
    assert touched(POOL, events_v2.SetOracle(1)) == ()


def test_a_position_that_was_not_loaded_is_no_blank(history: History) -> None:
    """A handler that reads a position which it does not name would take it for an empty one."""
    history.world.loaded = frozenset()
    history.emit(POOL, modify(ALICE, 1))
    assert "0xa11ce is read that the event's handler does not name" in history.frozen()
