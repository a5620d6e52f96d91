"""The fold of Vesu: one event after another, from the old state to the new.

Pure: reads and replaces values in a `World`, notes every change in a `Journal`. What each
event means for the state: docs/protocol.md; the handlers: pool_events, factory_events,
vtoken_events, and for V1 singleton_events and extension_events.
"""

from __future__ import annotations

from collections.abc import Mapping

from indexer import errors
from indexer.vesu import accrual, discovery, events, kinds, ledger, state, transaction, vtoken
from indexer.vesu.v1 import extension, positions, singleton, transfers
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
        moved: Mapping[state.EventKey, state.TransferAmounts] | None = None,
    ) -> None:
        self._ledger = ledger.Ledger(world, registry, answers, moved)

    @property
    def journal(self) -> state.Journal:
        """Everything that changed so far, in chain order."""
        return self._ledger.journal

    @property
    def settled(self) -> dict[state.EventKey, state.TransferAmounts]:
        """What transfers moved that did not tell it: if any, the batch must be folded again."""
        return self._ledger.settled

    def apply(self, at: state.EventKey, timestamp: int, emitter: int, event: events.Struct) -> None:
        """Fold one decoded event that `emitter` emitted at block time `timestamp`.

        An event without meaning for the state changes nothing. ProjectionError where the
        emitter is a stranger or the event contradicts the state.
        """
        if at[:2] != self._ledger.transient.place:
            self._begin(at)
        known = self._ledger.registry.get(emitter)
        if known is None:
            raise errors.ProjectionError(f"event {tuple(at)} is of no known contract {emitter:#x}")
        handler = _HANDLERS.get(known.kind, {}).get(type(event))
        if handler is not None:
            handler.apply(self._ledger, ledger.Origin(at, timestamp, emitter, known), event)

    def _begin(self, at: state.EventKey) -> None:
        """Another transaction begins: what the last one left open is settled first."""
        block = self._ledger.transient.place[0]
        positions.finish_transaction(self._ledger)
        if at.block_number != block:
            transfers.settle_block(self._ledger)
        self._ledger.transient = transaction.Transient(at[:2])

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
            origin = ledger.Origin(at, timestamp, key.pool.address, known)
            self._ledger.asset(origin, key, told)


def touched_positions(
    emitter: ledger.Emitter, event: events.Struct
) -> tuple[state.PositionKey, ...]:
    """The positions whose state the fold reads for this event."""
    handler = _HANDLERS.get(emitter.known.kind, {}).get(type(event))
    return () if handler is None else handler.touches(emitter, event)
