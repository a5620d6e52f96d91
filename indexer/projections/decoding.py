"""Raw events to typed ones, with what the log says of each.

An event of ours that nobody can decode stays in the log with its payload, without a name or
arguments, and is counted; it never stops the indexer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import structlog

from indexer import errors
from indexer.chain import types
from indexer.log import facts
from indexer.vesu import decoders, discovery, events, kinds

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode


class Decoded(msgspec.Struct, gc=False):
    """One event of the log: raw, typed (None: could not be decoded), and its emitter."""

    raw: types.EmittedEvent
    emitter: int
    event: events.VesuEvent | None
    derived: facts.Derived


def decode(emitted: Sequence[types.EmittedEvent], registry: discovery.Registry) -> list[Decoded]:
    """Decode a batch; the registry must know every contract in it."""
    return [_decode_one(event, registry) for event in emitted]


def _decode_one(raw: types.EmittedEvent, registry: discovery.Registry) -> Decoded:
    emitter = int(raw.from_address, 16)
    known = registry.get(emitter)
    if known is None:
        raise errors.ProjectionError(
            f"the log holds an event of {raw.from_address} in block {raw.block_number}, "
            "which no contract of ours has named"
        )
    try:
        event = decoders.decode(known.kind, raw.keys, raw.data)
    except errors.UndecodableEventError as error:
        log.warning(
            "undecodable_event",
            contract=raw.from_address,
            block=raw.block_number,
            transaction=raw.transaction_hash,
            event_index=raw.event_index,
            reason=str(error),
        )
        event = None
    if event is None:
        return Decoded(raw, emitter, None, facts.Derived(known.kind.value))
    derived = facts.Derived(
        known.kind.value, events.name_of(event), _encode(events.to_args(event)).decode()
    )
    return Decoded(raw, emitter, event, derived)


def discover(emitted: Iterable[types.EmittedEvent], registry: discovery.Registry) -> frozenset[int]:
    """Take up the contracts that factory events among these name; returns the new addresses."""
    named = []
    for raw in emitted:
        known = registry.get(int(raw.from_address, 16))
        if known is None or known.kind is not kinds.Kind.POOL_FACTORY_V2:
            continue
        try:
            event = decoders.decode(known.kind, raw.keys, raw.data)
        except errors.UndecodableEventError:
            # Reported when the batch is decoded; it names no contract that could be trusted.
            continue
        if event is not None:
            named.append(event)
    return registry.learn(named)
