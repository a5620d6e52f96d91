"""The fold of Vesu V2: one event after another, from the old state to the new.

Pure: reads and replaces values in a `World`, notes every change in a `Journal`. What each
event means for the state: docs/protocol.md; the handlers: pool_events, factory_events,
vtoken_events.
"""

from __future__ import annotations

from indexer import errors
from indexer.vesu import (
    discovery,
    events,
    factory_events,
    kinds,
    ledger,
    pool_events,
    state,
    vtoken_events,
)

_HANDLERS: dict[kinds.Kind, ledger.Handlers] = {
    kinds.Kind.POOL_V2: pool_events.HANDLERS,
    kinds.Kind.POOL_FACTORY_V2: factory_events.HANDLERS,
    kinds.Kind.ORACLE_V2: factory_events.ORACLE_HANDLERS,
    kinds.Kind.VTOKEN_V2: vtoken_events.HANDLERS,
}


class Fold:
    """Folds located events into `world`; `journal` collects what changed.

    One Fold serves one batch. `registry` must already know every contract of the batch.
    """

    def __init__(self, world: state.World, registry: discovery.Registry) -> None:
        self._ledger = ledger.Ledger(world, registry)

    @property
    def journal(self) -> state.Journal:
        """Everything that changed so far, in chain order."""
        return self._ledger.journal

    def apply(
        self, at: state.EventKey, timestamp: int, emitter: int, event: events.VesuEvent
    ) -> None:
        """Fold one decoded event that `emitter` emitted at block time `timestamp`.

        An event without meaning for the state changes nothing. ProjectionError where the
        emitter is a stranger or the event contradicts the state.
        """
        known = self._ledger.registry.get(emitter)
        if known is None:
            raise errors.ProjectionError(f"event {tuple(at)} is of no known contract {emitter:#x}")
        handler = _HANDLERS.get(known.kind, {}).get(type(event))
        if handler is not None:
            handler(self._ledger, ledger.Context(at, timestamp, emitter, known), event)


def touched_positions(
    emitter: int, known: discovery.Known, event: events.VesuEvent
) -> tuple[state.PositionKey, ...]:
    """The positions whose state the fold reads for this event."""
    match event:
        case events.ModifyPosition() | events.LiquidatePosition():
            return (
                state.PositionKey(
                    state.v2_pool(emitter), event.collateral_asset, event.debt_asset, 0, event.user
                ),
            )
        case events.Transfer():
            holders: tuple[int, ...] = (event.sender, event.recipient)
        case events.Deposit() | events.Withdraw():
            holders = (event.owner,)
        case _:
            return ()
    assert known.pool is not None and known.asset is not None, "a vToken has a pool and an asset"
    return tuple(
        state.PositionKey(known.pool, known.asset, 0, emitter, holder)
        for holder in holders
        if holder
    )
