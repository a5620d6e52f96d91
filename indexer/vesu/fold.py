"""The fold of Vesu: one event after another, from the old state to the new.

Pure: reads and replaces values in a `World`, notes every change in a `Journal`. What each
event means for the state: docs/protocol.md; the handlers: pool_events, factory_events,
vtoken_events, and for V1 singleton_events and extension_events.
"""

from __future__ import annotations

from collections.abc import Mapping

from indexer import errors
from indexer.vesu import accrual, discovery, events, kinds, ledger, state, transaction, vtoken
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v1 import extension, positions, singleton, transfers
from indexer.vesu.v2 import events as events_v2
from indexer.vesu.v2 import factory, pool

_HANDLERS: dict[kinds.Kind, ledger.Handlers] = {
    kinds.Kind.POOL_V2: pool.HANDLERS,
    kinds.Kind.POOL_FACTORY_V2: factory.HANDLERS,
    kinds.Kind.ORACLE_V2: factory.ORACLE_HANDLERS,
    kinds.Kind.VTOKEN_V2: vtoken.HANDLERS,
    kinds.Kind.SINGLETON_V1_0: singleton.HANDLERS,
    kinds.Kind.SINGLETON_V1_1: singleton.HANDLERS,
    kinds.Kind.EXTENSION_V1_0_GENESIS: extension.HANDLERS,
    kinds.Kind.EXTENSION_V1_0: extension.HANDLERS,
    kinds.Kind.EXTENSION_V1_1: extension.HANDLERS,
    kinds.Kind.VTOKEN_V1_0: vtoken.HANDLERS,
    kinds.Kind.VTOKEN_V1_1: vtoken.HANDLERS,
}


class Fold:
    """Folds located events into `world`; `journal` collects what changed.

    One Fold serves one batch. `registry` must already know every contract of the batch;
    `answers` and `moved`: see `ledger.Ledger`.
    """

    def __init__(
        self,
        world: state.World,
        registry: discovery.Registry,
        answers: state.Answers | None = None,
        moved: Mapping[state.EventKey, state.Moved] | None = None,
    ) -> None:
        self._ledger = ledger.Ledger(world, registry, answers, moved)

    @property
    def journal(self) -> state.Journal:
        """Everything that changed so far, in chain order."""
        return self._ledger.journal

    @property
    def settled(self) -> dict[state.EventKey, state.Moved]:
        """What transfers moved that did not tell it: if any, the batch must be folded again."""
        return self._ledger.settled

    def apply(self, at: state.EventKey, timestamp: int, emitter: int, event: events.Struct) -> None:
        """Fold one decoded event that `emitter` emitted at block time `timestamp`.

        An event without meaning for the state changes nothing. ProjectionError where the
        emitter is a stranger or the event contradicts the state.
        """
        if at[:2] != self._ledger.said.place:
            self._begin(at)
        known = self._ledger.registry.get(emitter)
        if known is None:
            raise errors.ProjectionError(f"event {tuple(at)} is of no known contract {emitter:#x}")
        handler = _HANDLERS.get(known.kind, {}).get(type(event))
        if handler is not None:
            handler(self._ledger, ledger.Context(at, timestamp, emitter, known), event)

    def _begin(self, at: state.EventKey) -> None:
        """Another transaction begins: what the last one left open is settled first."""
        block = self._ledger.said.place[0]
        positions.finish_transaction(self._ledger)
        if at.block_number != block:
            transfers.settle_block(self._ledger)
        self._ledger.said = transaction.Said(at[:2])

    def finish(self) -> None:
        """Settle what the last transaction left open; the batch is folded."""
        self._begin(state.EventKey(-1, -1, -1))

    def tell_price(
        self,
        at: state.EventKey,
        timestamp: int,
        key: state.AssetKey,
        price: events.AssetPrice | None,
    ) -> None:
        """Take up a price that was read from the oracle's view at block time `timestamp`.

        None: the oracle told none. The last one then stays and counts as invalid.
        """
        self.finish()
        asset = self._ledger.asset_state(key)
        if price is not None:
            told = accrual.with_price(asset, price, at.block_number)
        elif asset.price is not None:
            told = ledger.replace(asset, price_is_valid=False)
        else:
            return
        self._tell(at, timestamp, key, told)

    def tell_model(
        self, at: state.EventKey, timestamp: int, key: state.AssetKey, model: accrual.RateModel
    ) -> None:
        """Take up a V1 rate model that was read from the extension's view."""
        self.finish()
        asset = self._ledger.asset_state(key)
        if asset.model != model:
            self._tell(at, timestamp, key, ledger.replace(asset, model=model))

    def _tell(
        self, at: state.EventKey, timestamp: int, key: state.AssetKey, told: accrual.AssetState
    ) -> None:
        known = self._ledger.registry.get(key.pool.address)
        if known is not None:
            here = ledger.Context(at, timestamp, key.pool.address, known)
            self._ledger.asset(here, key, told)


def touched_positions(
    emitter: int,
    known: discovery.Known,
    event: events.Struct,
    registry: discovery.Registry,
) -> tuple[state.PositionKey, ...]:
    """The positions whose state the fold reads for this event."""
    match event:
        case events_v2.ModifyPosition() | events_v2.LiquidatePosition():
            pool = state.v2_pool(emitter)
            pair = (event.collateral_asset, event.debt_asset, 0)
            return (state.PositionKey(pool, *pair, event.user),)
        case events.Transfer():
            holders: tuple[int, ...] = (event.sender, event.recipient)
        case events.Deposit() | events.Withdraw():
            holders = (event.owner,)
        case _:
            return _touched_in_singleton(emitter, event, registry)
    assert known.pool is not None and known.asset is not None, "a vToken has a pool and an asset"
    return tuple(
        state.PositionKey(known.pool, known.asset, 0, emitter, holder)
        for holder in holders
        if holder
    )


def _touched_in_singleton(
    emitter: int, event: events.Struct, registry: discovery.Registry
) -> tuple[state.PositionKey, ...]:
    match event:
        case events_v1.ModifyPosition():
            users = (event.user, 0)
        case events_v1.LiquidatePosition():
            users = (event.user, event.liquidator)
        case events_v1.AccrueFees():
            pool = state.PoolKey(emitter, event.pool_id)
            return (state.PositionKey(pool, event.asset, 0, 0, event.recipient),)
        case events_v1.TransferPosition():
            pool = state.PoolKey(emitter, event.pool_id)
            giver = (event.from_collateral_asset, event.from_debt_asset, 0, event.from_user)
            taker = (event.to_collateral_asset, event.to_debt_asset, 0, event.to_user)
            return (state.PositionKey(pool, *giver), state.PositionKey(pool, *taker))
        case events_v1.MigratePosition():
            pair = (event.collateral_asset, event.debt_asset, 0)
            old = registry.singleton(kinds.Kind.SINGLETON_V1_0) or 0
            return (
                state.PositionKey(state.PoolKey(emitter, event.pool_id), *pair, event.recipient),
                state.PositionKey(state.PoolKey(old, event.pool_id), *pair, event.sender),
            )
        case _:
            return ()
    pool = state.PoolKey(emitter, event.pool_id)
    pair = (event.collateral_asset, event.debt_asset, 0)
    return tuple(state.PositionKey(pool, *pair, user) for user in users)
