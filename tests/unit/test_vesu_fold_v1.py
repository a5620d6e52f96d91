"""The fold of V1: what its events leave out, by histories made by hand.

The recorded histories, view by view, are in tests/acceptance/test_exactness_v1.py.
"""

from __future__ import annotations

import msgspec
import pytest

from indexer.cairo import view_call
from indexer.vesu import accrual, discovery, events, fold, kinds, maths, state, valuation
from indexer.vesu.v1 import events as events_v1

SCALE = maths.SCALE
OLD, NEW, EXTENSION, STRANGER = 0x10, 0x11, 0xE0, 0xBAD
ETH, USDC, V_ETH = 0xE, 0xC, 0x7E
ALICE, BOB, CAROL = 0xA11CE, 0xB0B, 0xCA401
ID = 77
POOL, NEW_POOL = state.PoolKey(OLD, ID), state.PoolKey(NEW, ID)
NOW = 1_700_000_000
PRICE = events.AssetPrice(2_000 * SCALE, is_valid=True)
MODEL = events.InterestRateConfig(75_000, 85_000, 80_000, 10**9, 10**10, 10**8, 172_800, SCALE // 5)


def config(shares: int, reserve: int, nominal: int = 0, **more: int) -> events_v1.AssetConfig:
    """An asset of 18 decimals, accrued to `last_updated`."""
    told = {
        "last_updated": NOW,
        "last_rate_accumulator": SCALE,
        "last_full_utilization_rate": 10**9,
        "fee_rate": 0,
    } | more
    return events_v1.AssetConfig(shares, nominal, reserve, SCALE, 0, SCALE, False, **told)


BLANK = events_v1.AssetConfig(0, 0, 0, 0, 0, 0, False, 0, 0, 0, 0)
NO_PRICE = events.AssetPrice(0, is_valid=True)


def context(collateral: events_v1.AssetConfig, pool_id: int = ID) -> events_v1.UpdateContext:
    """What an action on ETH alone leaves: supply without a debt asset."""
    return events_v1.UpdateContext(pool_id, ETH, 0, collateral, BLANK, PRICE, NO_PRICE)


def modify(user: int, shares: int, nominal: int = 0, debt: int = 0) -> events_v1.ModifyPosition:
    return events_v1.ModifyPosition(ID, ETH, debt, user, shares, shares, nominal, nominal)


def transfer(giver: int, taker: int, debt: int = USDC) -> events_v1.TransferPosition:
    return events_v1.TransferPosition(ID, ETH, debt, ETH, debt, giver, taker)


class History:
    """Events by block; each call of `emit` is one transaction."""

    def __init__(
        self, answers: dict[tuple[int, str, tuple[int, ...]], tuple[int, ...] | None] | None = None
    ) -> None:
        self.registry = discovery.Registry(
            {
                OLD: discovery.Known(kinds.Kind.SINGLETON_V1_0),
                NEW: discovery.Known(kinds.Kind.SINGLETON_V1_1),
                EXTENSION: discovery.Known(kinds.Kind.EXTENSION_V1_0),
                V_ETH: discovery.Known(kinds.Kind.VTOKEN_V1_0, POOL, ETH),
            }
        )
        self.answers = answers or {}
        self.said: list[tuple[state.EventKey, int, int, events.Struct]] = []
        self.begin(OLD)

    def begin(self, singleton: int) -> None:
        self.block, self.transaction = 1, 0
        self.emit(
            singleton, events_v1.SetExtension(ID, EXTENSION), events_v1.SetAssetConfig(ID, ETH)
        )
        self.emit(singleton, events_v1.CreatePool(ID, EXTENSION, 5))

    def emit(self, emitter: int, *emitted: events.Struct, after: int = 0) -> None:
        for index, event in enumerate(emitted):
            at = state.EventKey(self.block, self.transaction, index)
            self.said.append((at, NOW + after, emitter, event))
        self.transaction += 1

    def next_block(self) -> None:
        self.block, self.transaction = self.block + 1, 0

    def fold(self) -> fold.Fold:
        """Fold everything, as the engine does: again while something new comes to light."""
        moved: dict[state.EventKey, state.TransferAmounts] = {}
        while True:
            self.world = state.World()
            folding = fold.Fold(self.world, self.registry, _Answered(self.answers), moved)
            for said in self.said:
                folding.apply(*said)
            folding.finish()
            if not folding.settled:
                return folding
            moved |= folding.settled

    def held(self, user: int, debt: int = 0, pool: state.PoolKey = POOL) -> tuple[int, int]:
        found = self.world.positions[state.PositionKey(pool, ETH, debt, 0, user)]
        return found.collateral_shares, found.nominal_debt

    @property
    def eth(self) -> accrual.AssetState:
        return self.world.assets[state.AssetKey(POOL, ETH)]


class _Answered(dict[view_call.ViewCall, tuple[int, ...] | None]):
    """Answers by (block, view, calldata), whatever the contract; all others are refused."""

    def __init__(
        self, told: dict[tuple[int, str, tuple[int, ...]], tuple[int, ...] | None]
    ) -> None:
        super().__init__()
        self._told = told

    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, key: view_call.ViewCall) -> tuple[int, ...] | None:
        return self._told.get((key.block_number, key.view, key.calldata))


def position_answer(shares: int, nominal: int) -> tuple[int, ...]:
    return (shares, 0, nominal, 0, 0, 0, 0, 0)


def position_question(block: int, user: int) -> tuple[int, str, tuple[int, ...]]:
    return block, "position_unsafe", (ID, ETH, USDC, user)


# --- first deposit, last withdrawal ------------------------------------------------------


def test_a_first_deposit_leaves_the_inflation_fee_to_nobody() -> None:
    made = History()
    made.emit(OLD, context(config(5_000, 5_000)), modify(ALICE, 4_000))
    made.fold()
    assert made.held(ALICE) == (4_000, 0)
    assert made.held(0) == (1_000, 0)
    assert made.world.positions[state.PositionKey(POOL, ETH, 0, 0, 0)].kind == "system"
    assert made.eth.unowned_shares == 0


def test_the_last_withdrawal_is_forgotten_and_the_fee_paid_again_over_the_old_one() -> None:
    made = History()
    made.emit(OLD, context(config(5_000, 5_000)), modify(ALICE, 4_000))
    made.emit(OLD, context(config(0, 1_000)), modify(ALICE, -4_000))
    made.fold()
    assert made.held(0) == (1_000, 0)
    assert made.eth.unowned_shares == -1_000, "positions hold more than is counted"
    assert accrual.collateral_of(1_000, made.eth) == 1_000, "one share for one unit"
    made.emit(OLD, context(config(7_000, 7_000)), modify(BOB, 6_000))
    made.fold()
    assert made.held(0) == (1_000, 0), "overwritten, not added"
    total = made.held(BOB)[0] + made.held(0)[0] + made.eth.unowned_shares
    assert total == made.eth.total_collateral_shares == 7_000


# --- fees ----------------------------------------------------------------------------------


def fees_before(action: events.Struct) -> History:
    made = History()
    made.emit(OLD, context(config(10_000, 10_000)), modify(EXTENSION, 9_000))
    made.emit(OLD, context(config(19_000, 19_000)), modify(ALICE, 9_000))
    made.next_block()
    made.emit(OLD, events_v1.AccrueFees(ID, ETH, EXTENSION, 50), action, after=60)
    made.fold()
    return made


def test_fee_shares_go_to_the_extension() -> None:
    made = fees_before(events_v1.Donate(ID, ETH, 7))
    assert made.held(EXTENSION) == (9_050, 0)
    assert made.eth.total_collateral_shares == 19_050
    assert made.eth.reserve == 19_007
    assert made.eth.unowned_shares == 0


def test_fee_shares_are_lost_in_a_transfer_with_the_extension() -> None:
    action = events_v1.TransferPosition(ID, ETH, 0, ETH, 0, ALICE, EXTENSION, -100, -100, 0, 0)
    made = fees_before(action)
    assert made.held(EXTENSION) == (9_100, 0)
    assert made.held(ALICE) == (8_900, 0)
    assert made.eth.total_collateral_shares == 19_050
    assert made.eth.unowned_shares == 50


# --- transfers that tell no amounts ----------------------------------------------------


def with_debtors(answers: dict[int, tuple[int, int]]) -> History:
    """Alice and Bob hold 9000 shares each and owe 10 and 20; then a block of transfers."""
    made = History(
        {position_question(2, user): position_answer(*held) for user, held in answers.items()}
    )
    made.emit(OLD, context(config(10_000, 10_000)), modify(ALICE, 9_000, 10, USDC))
    made.emit(OLD, context(config(19_000, 19_000)), modify(BOB, 9_000, 20, USDC))
    made.next_block()
    return made


def test_a_chain_of_transfers_is_told_by_views_at_its_ends() -> None:
    made = with_debtors({CAROL: (4_000, 3), BOB: (6_000, 19), ALICE: (8_000, 8)})
    made.emit(OLD, transfer(ALICE, BOB))
    made.emit(OLD, transfer(BOB, CAROL))
    folding = made.fold()
    assert made.held(ALICE, USDC) == (8_000, 8)
    assert made.held(BOB, USDC) == (6_000, 19)
    assert made.held(CAROL, USDC) == (4_000, 3)
    assert not folding.journal.refused
    moved = [(t.position.user, t.leg, t.amount) for t in folding.journal.transactions][4:]
    assert moved[0][:2] == (ALICE, 0)
    assert sum(amount for user, leg, amount in moved if leg < 2) == 0


def test_a_change_in_the_same_block_is_not_taken_for_the_transfer() -> None:
    made = with_debtors({CAROL: (4_500, 3)})
    made.emit(OLD, transfer(ALICE, CAROL))
    made.emit(OLD, context(config(19_500, 19_500)), modify(CAROL, 500, 0, USDC))
    made.fold()
    assert made.held(ALICE, USDC) == (5_000, 7)
    assert made.held(CAROL, USDC) == (4_500, 3)


def test_transfers_in_a_circle_are_exact_at_the_end_of_the_block() -> None:
    made = with_debtors({ALICE: (8_500, 12), BOB: (9_500, 18)})
    made.emit(OLD, transfer(ALICE, BOB))
    made.emit(OLD, transfer(BOB, ALICE))
    folding = made.fold()
    assert made.held(ALICE, USDC) == (8_500, 12)
    assert made.held(BOB, USDC) == (9_500, 18)
    moved = [t.amount for t in folding.journal.transactions if t.type == "transfer"]
    assert moved == [-500, 500], "the other one is taken to have moved nothing"
    assert [reason for _, reason in folding.journal.refused] == [
        "moves in a circle: its amount is told by nothing"
    ]


def test_a_wrapped_position_is_told_by_its_vtokens() -> None:
    made = History()
    made.emit(EXTENSION, events_v1.CreateVToken(V_ETH, ID, ETH))
    made.emit(OLD, context(config(10_000, 10_000)), modify(ALICE, 9_000))
    made.emit(V_ETH, events.Transfer(0, ALICE, 300))
    made.transaction -= 1
    at = state.EventKey(made.block, made.transaction, 1)
    made.said.append((at, NOW, OLD, transfer(ALICE, EXTENSION, debt=0)))
    folding = made.fold()
    assert made.held(ALICE) == (8_700, 0)
    assert made.held(EXTENSION) == (300, 0)
    wrapped = [(t.type, t.asset, t.amount) for t in folding.journal.transactions][-2:]
    assert wrapped == [("transfer", ETH, -300), ("transfer", V_ETH, 300)]


def test_a_liquidator_may_keep_the_collateral_as_shares() -> None:
    made = with_debtors({})
    seized = events_v1.LiquidatePosition(ID, ETH, USDC, ALICE, CAROL, 0, 0, -10, -10, 0)
    both = events_v1.UpdateContext(ID, ETH, USDC, config(16_000, 16_000), BLANK, PRICE, PRICE)
    again = msgspec.structs.replace(both, collateral_asset_config=config(18_999, 19_001))
    made.emit(OLD, both, again, seized)
    folding = made.fold()
    assert made.held(ALICE, USDC) == (6_000, 0)
    assert made.held(CAROL, USDC) == (2_999, 0)
    (told,) = folding.journal.liquidations
    assert (told.collateral_seized, told.debt_repaid, told.liquidator) == (3_000, 10, CAROL)


# --- from V1.0 to V1.1 ---------------------------------------------------------------------


def migrated(*emitted: events.Struct) -> History:
    made = History()
    made.emit(OLD, context(config(10_000, 10_000)), modify(ALICE, 9_000))
    made.emit(OLD, events_v1.SetExtension(ID, STRANGER))
    made.begin(NEW)
    made.emit(NEW, *emitted)
    made.fold()
    return made


def test_a_pool_that_leaves_v1_0_is_frozen_and_counts_in_v1_1() -> None:
    made = migrated()
    assert made.eth.variant is maths.Variant.FROZEN
    later = accrual.accrue(made.eth, NOW + 10**6)
    assert later.last_rate_accumulator == made.eth.last_rate_accumulator
    assert made.world.market(POOL) == NEW_POOL
    taken_over = made.world.assets[state.AssetKey(NEW_POOL, ETH)]
    assert taken_over.total_collateral_shares == 10_000
    assert taken_over.variant is maths.Variant.V1_0


def test_a_migrated_position_keeps_its_numbers_and_is_worth_nothing() -> None:
    made = migrated(events_v1.MigratePosition(ID, ETH, 0, ALICE, ALICE, 9_000, 0))
    assert made.held(ALICE, pool=NEW_POOL) == (9_000, 0)
    old = made.world.positions[state.PositionKey(POOL, ETH, 0, 0, ALICE)]
    assert (old.collateral_shares, old.status, old.migrated_block) == (9_000, "closed", 1)
    assert valuation.value(old, made.eth, made.eth, 0).collateral == 0


def test_a_migration_of_nothing_makes_no_position() -> None:
    made = migrated(events_v1.MigratePosition(ID, ETH, 0, BOB, BOB, 0, 0))
    assert state.PositionKey(NEW_POOL, ETH, 0, 0, BOB) not in made.world.positions


# --- accrual proves itself -------------------------------------------------------------------

LENT = config(10**24, 10**23, 9 * 10**23, fee_rate=SCALE // 10)


def upgraded(variant: maths.Variant, spoil: int = 0) -> tuple[History, fold.Fold]:
    """A V1.1 market that accrues for a day with `variant`, as the chain tells it."""
    made = History()
    made.said.clear()
    made.registry = discovery.Registry(
        {
            NEW: discovery.Known(kinds.Kind.SINGLETON_V1_1),
            EXTENSION: discovery.Known(kinds.Kind.EXTENSION_V1_1),
        }
    )
    made.begin(NEW)
    made.emit(EXTENSION, events_v1.SetInterestRateConfig(ID, ETH, MODEL))
    made.emit(NEW, context(LENT), modify(ALICE, 0))
    made.emit(NEW, events.ContractUpgraded(0xC1A55))
    made.next_block()
    before = accrual.AssetState(**msgspec.structs.asdict(LENT), model=MODEL, variant=variant)
    after = accrual.accrue(before, NOW + 86_400)
    told = config(
        after.total_collateral_shares,
        after.reserve,
        after.total_nominal_debt,
        last_updated=after.last_updated,
        last_rate_accumulator=after.last_rate_accumulator + spoil,
        last_full_utilization_rate=after.last_full_utilization_rate,
        fee_rate=SCALE // 10,
    )
    fees = events_v1.AccrueFees(ID, ETH, EXTENSION, after.fee_shares)
    made.emit(NEW, context(told), fees, modify(ALICE, 0), after=86_400)
    return made, made.fold()


@pytest.mark.parametrize("variant", [maths.Variant.V1_0, maths.Variant.V1_1B, maths.Variant.V1_1C])
def test_the_variant_that_the_chain_computes_with_is_found(variant: maths.Variant) -> None:
    made, folding = upgraded(variant)
    assert not folding.journal.mismatches
    assert (made.world.contracts[NEW].variants or ())[0] is variant
    assert made.world.assets[state.AssetKey(NEW_POOL, ETH)].variant is variant
    assert folding.journal.checks >= 2


def test_what_no_variant_predicts_is_kept_as_told_and_noted() -> None:
    made, folding = upgraded(maths.Variant.V1_1B, spoil=1)
    (noted,) = folding.journal.mismatches
    assert (noted.field, noted.reported - noted.predicted) == ("last_rate_accumulator", 1)
    held = made.world.assets[state.AssetKey(NEW_POOL, ETH)]
    assert held.last_rate_accumulator == noted.reported
    assert maths.Variant.V1_1B in (made.world.contracts[NEW].variants or ())
