"""The fold of Vesu: one event after another, from the old state to the new.

Pure: reads and replaces values in a `World`, notes every change in a `Journal`. What each
event means for the state: docs/protocol.md; the handlers: vtoken, `v1` and `v2`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from indexer import errors
from indexer.cairo import view_call
from indexer.vesu import (
    discovery,
    events,
    handlers,
    kinds,
    ledgers,
    maths,
    state,
    transaction,
    vtoken,
)
from indexer.vesu.v1 import extension, positions, shutdown, singleton, transfers
from indexer.vesu.v2 import factory, pool

_HANDLERS: dict[kinds.Kind, handlers.Handlers] = {
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

_NO_HANDLERS: handlers.Handlers = {}


class Fold:
    """Folds located events into `world`; `journal` collects what changed.

    One Fold serves one batch. `registry` must already know every contract of the batch;
    `answers`, `transfer_amounts` and `unanswered`: see `ledgers.Ledger`.
    """

    def __init__(
        self,
        world: state.World,
        registry: discovery.Registry,
        answers: state.Answers | None = None,
        transfer_amounts: Mapping[state.EventKey, state.TransferAmounts] | None = None,
        unanswered: Collection[view_call.ViewCall] = (),
    ) -> None:
        self._ledger = ledgers.Ledger(world, registry, answers, transfer_amounts, unanswered)

    @property
    def journal(self) -> state.Journal:
        """Everything that changed so far, in chain order."""
        return self._ledger.journal

    @property
    def settled(self) -> dict[state.EventKey, state.TransferAmounts]:
        """What transfers moved that did not tell it: if any, the batch must be folded again."""
        return self._ledger.settled

    def apply(
        self, event_key: state.EventKey, timestamp: int, emitter: int, event: events.Struct
    ) -> None:
        """Fold one decoded event that `emitter` emitted at block time `timestamp`.

        An event without meaning for the state changes nothing. ProjectionError where the
        emitter is a stranger or the event contradicts the state.
        """
        ledger = self._ledger
        if event_key[:2] != ledger.transient.transaction_key:
            self._begin(event_key)
        known = ledger.registry.get(emitter)
        if known is None:
            raise errors.ProjectionError(
                f"event {tuple(event_key)} is of no known contract {emitter:#x}"
            )
        handler = _HANDLERS.get(known.kind, _NO_HANDLERS).get(type(event))
        if handler is None or not known.is_ours(event_key):
            return
        if emitter in ledger.journal.refused_names:
            return
        origin = ledgers.Origin(event_key, timestamp, emitter, known)
        key = known.pool or self._pool_of(origin, event)
        # A frozen pool's events change nothing, but for the contracts that a factory names for it.
        if key is None or not ledger.is_quarantined(key) or discovery.is_naming(event):
            self._guarded(origin, key, handler.apply, ledger, origin, event)

    def _pool_of(self, origin: ledgers.Origin, event: Any) -> state.PoolKey | None:
        """The pool that an event of a factory, a singleton or an extension is of; None: of none."""
        if origin.known.kind in kinds.FACTORIES:
            address = getattr(event, "pool", None)
            return None if address is None else state.v2_pool(address)
        pool_id = getattr(event, "pool_id", None)
        if pool_id is None:
            return None
        return self._ledger.registry.pool_of(origin.known, origin.emitter, pool_id)

    def _guarded(
        self,
        origin: ledgers.Origin,
        key: state.PoolKey | None,
        work: Callable[..., None],
        *arguments: Any,
    ) -> None:
        """Call `work`; whatever goes wrong in one pool concerns that pool alone.

        The pool is frozen as it stood before the event in hand: what it says from then on is
        logged and changes nothing.
        """
        self._ledger.begin()
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 a stranger's pool may break anything
            self._ledger.undo()
            reason = _in_words(origin, error)
            if key is None:
                self._ledger.refuse(origin, reason)
            else:
                self._ledger.quarantine(origin, key, reason)

    def _settle(
        self,
        origin: ledgers.Origin,
        key: state.PoolKey,
        work: Callable[..., None],
        *arguments: Any,
    ) -> None:
        """Call `work`, which settles what a pool left open; what a frozen pool left open stays."""
        if not self._ledger.is_quarantined(key):
            self._guarded(origin, key, work, *arguments)

    def _begin(self, event_key: state.EventKey) -> None:
        """Another transaction begins: what the last one left open is settled first."""
        ledger, block = self._ledger, self._ledger.transient.transaction_key[0]
        for key, origin in positions.unexplained_pools(ledger).items():
            self._settle(origin, key, positions.ask_models, ledger, key, origin)
        positions.note_minted(ledger)
        if event_key.block_number != block:
            for transfers_ in transfers.unsettled_by_pool(ledger):
                first = transfers_[0]
                self._settle(first.origin, first.giver.pool, transfers.settle, ledger, transfers_)
            for key, (origin, pairs) in ledger.closing.items():
                self._settle(origin, key, shutdown.ask, ledger, key, origin, pairs)
            ledger.closing.clear()
        ledger.transient = transaction.Transient(event_key[:2])

    def finish(self) -> None:
        """Settle what the last transaction left open; the batch is folded."""
        self._begin(state.EventKey(-1, -1, -1))


def _in_words(origin: ledgers.Origin, error: Exception) -> str:
    """Why an event changed nothing, as people are told."""
    event = f"event {tuple(origin.event_key)}"
    if isinstance(error, errors.ProjectionError):
        return str(error)
    if isinstance(error, maths.RevertedError):
        return f"{event} cannot be computed: {error}"
    return (
        f"{event} meets a fault of the indexer ({type(error).__name__}: {error}): "
        "a release that mends it needs a replay of this pool"
    )


def touched_positions(
    emitter: ledgers.Emitter, event: events.Struct
) -> tuple[state.PositionKey, ...]:
    """The positions whose state the fold reads for this event."""
    handler = _HANDLERS.get(emitter.known.kind, _NO_HANDLERS).get(type(event))
    return () if handler is None else handler.touches(emitter, event)
