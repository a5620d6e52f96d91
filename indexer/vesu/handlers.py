"""Handlers of events: registered by kind and event type, with the positions that they touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from indexer.vesu import events, ledgers, state

Apply = Callable[[ledgers.Ledger, ledgers.Origin, Any], None]
Touches = Callable[[ledgers.Emitter, Any], tuple[state.PositionKey, ...]]


def _nothing(_: ledgers.Emitter, __: Any) -> tuple[state.PositionKey, ...]:
    return ()


class Handler(NamedTuple):
    """What an event does to the state, and the positions that it reads for that."""

    apply: Apply
    touches: Touches


Handlers = dict[type, Handler]
"""By the type of the event, for one kind of contract."""


def on(handlers: Handlers, *types: type, touches: Touches = _nothing) -> Callable[[Apply], Apply]:
    """Decorator: the function handles these types of events and reads no other positions than
    those that `touches` names."""

    def register(apply: Apply) -> Apply:
        handlers.update(dict.fromkeys(types, Handler(apply, touches)))
        return apply

    return register


def setting(handlers: Handlers, type_: type, column: str, field: str) -> None:
    """The event's `field` becomes the emitting contract's setting `column`."""

    @on(handlers, type_)
    def _set(ledger: ledgers.Ledger, origin: ledgers.Origin, event: Any) -> None:
        ledger.contract(origin, origin.emitter, **{column: getattr(event, field)})


def upgradable(handlers: Handlers) -> None:
    """Register the handlers that every upgradable contract with an owner has."""
    setting(handlers, events.OwnershipTransferred, "owner", "new_owner")
    setting(handlers, events.ContractUpgraded, "class_hash", "new_implementation")
