"""V1's shutdown by hand: who tells what, and what time and strangers do without an event."""

from __future__ import annotations

import msgspec
import pytest

from indexer.vesu import discovery, events, kinds, permissions, refusals, state
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v1 import shutdown
from tests.unit import test_vesu_fold_v1 as by_hand

Mode = refusals.ShutdownMode
SCALE, NOW, ID, ETH, USDC = by_hand.SCALE, by_hand.NOW, by_hand.ID, by_hand.ETH, by_hand.USDC
PAIR = state.PairKey(by_hand.POOL, ETH, USDC)
OTHER = state.PairKey(by_hand.POOL, USDC, ETH)
DAY = 86_400

Told = dict[tuple[int, str, tuple[int, ...]], tuple[int, ...] | None]


class Closing(by_hand.History):
    """A V1.0 pool with two pairs, three days of recovery and four of subscription."""

    def begin(self, singleton: int) -> None:
        super().begin(singleton)
        self.emit(singleton, events_v1.SetAssetConfig(ID, USDC))
        for pair in (PAIR, OTHER):
            self.emit(singleton, events_v1.SetLTVConfig(ID, *pair[1:], events_v1.LTVConfig(SCALE)))
        periods = events_v1.ShutdownConfig(3 * DAY, 4 * DAY)
        self.emit(by_hand.EXTENSION, events_v1.SetShutdownConfig(ID, periods))
        self.next_block()

    def act(self, after: int, is_valid: bool = True) -> None:
        """Somebody touches the first pair; its collateral's price is valid or not."""
        config = by_hand.config(10**21, 10**21, last_updated=NOW + after)
        prices = [events.AssetPrice(SCALE, one) for one in (is_valid, True)]
        context = events_v1.UpdateContext(ID, ETH, USDC, config, config, *prices)
        self.emit(by_hand.OLD, context, by_hand.modify(by_hand.ALICE, 10, debt=USDC), after=after)
        self.next_block()

    def mode(self, after: int, pair: state.PairKey = PAIR) -> Mode | None:
        """After everything so far, at a time."""
        self.fold()
        return shutdown.mode(self.world, pair, NOW + after)


def asked(pair: state.PairKey, block: int, *felts: int) -> Told:
    return {(block, "shutdown_status", (ID, *pair[1:])): felts}


def test_a_violation_ages_into_subscription_and_redemption_without_an_event() -> None:
    made = Closing()
    made.act(0)
    assert made.mode(0) is Mode.NONE
    made.act(DAY, is_valid=False)
    for pair in (PAIR, OTHER):
        assert made.mode(DAY, pair) is Mode.RECOVERY
        assert made.mode(4 * DAY - 1, pair) is Mode.RECOVERY
        assert made.mode(4 * DAY, pair) is Mode.SUBSCRIPTION
        assert made.mode(8 * DAY - 1, pair) is Mode.SUBSCRIPTION
        assert made.mode(8 * DAY, pair) is Mode.REDEMPTION


def test_recovery_ends_with_the_violation_and_subscription_never() -> None:
    made = Closing()
    made.act(0, is_valid=False)
    made.act(DAY)
    assert made.mode(DAY, OTHER) is Mode.NONE
    made.act(2 * DAY, is_valid=False)
    made.act(5 * DAY)
    assert made.mode(5 * DAY, OTHER) is Mode.SUBSCRIPTION
    made.act(9 * DAY)
    assert made.mode(9 * DAY, OTHER) is Mode.REDEMPTION


def test_a_touch_that_told_nothing_is_found_out_with_the_next_setting() -> None:
    """Anyone may have the contract look at a pair: then the time is in its answer alone."""
    owner = events_v1.SetPoolOwner(ID, 7)
    made = Closing(asked(PAIR, 2, 1, 1, NOW - DAY, 1) | asked(OTHER, 2, 1, 0, 0, 0))
    made.emit(by_hand.EXTENSION, owner)
    assert made.mode(0, OTHER) is Mode.RECOVERY
    assert made.mode(2 * DAY, OTHER) is Mode.SUBSCRIPTION
    made.next_block()
    made.answers |= asked(PAIR, 3, 0, 0, 0, 0) | asked(OTHER, 3, 0, 0, 0, 0)
    made.emit(by_hand.EXTENSION, owner)
    assert made.mode(2 * DAY, OTHER) is Mode.NONE


def test_a_mode_that_no_known_time_explains_is_kept_as_told() -> None:
    made = Closing(asked(PAIR, 2, 3, 0, 0, 0) | asked(OTHER, 2, 3, 0, 0, 0))
    made.emit(by_hand.EXTENSION, events_v1.SetPoolOwner(ID, 7))
    assert made.mode(0) is Mode.REDEMPTION


@pytest.mark.parametrize("felts", [(), (9, 0), (1, 2, 3, 4), (0, 0, 0), (2**250,) * 4])
def test_what_is_no_status_tells_nothing(felts: tuple[int, ...]) -> None:
    made = Closing(asked(PAIR, 2, *felts))
    made.emit(by_hand.EXTENSION, events_v1.SetPoolOwner(ID, 7))
    assert made.mode(0) is Mode.NONE
    assert not made.world.pools[by_hand.POOL].quarantine_reason


SET = (
    (Mode.NONE, Mode.RECOVERY),
    (Mode.RECOVERY, Mode.NONE),
    (Mode.NONE, Mode.RECOVERY),
    (Mode.RECOVERY, Mode.SUBSCRIPTION),
    (Mode.SUBSCRIPTION, Mode.REDEMPTION),
)
"""What V1.1b's owner sets, each with the mode before it, which is all that the event tells."""


def test_an_owner_sets_modes_in_the_later_class() -> None:
    """Where two modes are possible, the view decides."""
    pair, extension = PAIR._replace(pool=by_hand.NEW_POOL), 0xE1
    made = by_hand.History()
    made.registry.add(extension, discovery.Known(kinds.Kind.EXTENSION_V1_1))
    made.emit(by_hand.NEW, events_v1.SetExtension(ID, extension))
    for asset in (ETH, USDC):
        made.emit(by_hand.NEW, events_v1.SetAssetConfig(ID, asset))
    made.emit(by_hand.NEW, events_v1.SetLTVConfig(ID, ETH, USDC, events_v1.LTVConfig(SCALE)))
    made.emit(extension, events.ContractUpgraded(5))
    for before, after in SET:
        made.next_block()
        made.answers |= asked(pair, made.block, after, 0)
        made.emit(extension, events_v1.SetShutdownMode(ID, before, NOW))
        made.fold()
        assert shutdown.mode(made.world, pair, NOW + 100 * DAY) is after


def test_what_a_mode_lets_be_done() -> None:
    """`position_hooks.cairo`: each mode against a position with and one without debt."""
    made = Closing()
    made.act(0, is_valid=False)
    made.act(0)
    made.fold()
    key = state.PositionKey(*PAIR, 0, by_hand.ALICE)
    owing, free = state.PositionState("borrow", 5, 5), state.PositionState("borrow", 5)
    expected = {
        Mode.NONE: (
            ["supply", "withdraw", "borrow", "repay", "liquidate"],
            ["supply", "withdraw", "borrow"],
        ),
        Mode.RECOVERY: (["supply", "repay", "liquidate"], ["supply"]),
        Mode.SUBSCRIPTION: (["repay"], []),
        Mode.REDEMPTION: ([], ["withdraw"]),
    }
    for mode, both in expected.items():
        pool = msgspec.structs.replace(made.world.pools[PAIR.pool], shutdown_mode=mode)
        world = made.world.copy()
        world.pools[PAIR.pool] = pool
        found = [permissions.allowed_actions(world, key, one, NOW) for one in (owing, free)]
        assert tuple(found) == both, mode
