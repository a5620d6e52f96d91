"""Raw events to typed ones, with what the log says of each.

An event of ours that nobody can decode stays in the log with its payload, without a name or
arguments, and is counted; it never stops the indexer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from indexer import errors
from indexer.chain import types
from indexer.log import facts, observations
from indexer.projections import rows, tokens
from indexer.vesu import decoders, discovery, events, kinds, state
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v2 import events as events_v2

log = structlog.get_logger(__name__)

_NAMING = frozenset({kinds.Kind.POOL_FACTORY_V2, *kinds.EXTENSIONS})
"""Kinds whose events name contracts of ours."""

_encode = msgspec.json.Encoder().encode


class Decoded(msgspec.Struct, gc=False):
    """One event of the log: raw, typed (None: could not be decoded), and its emitter."""

    raw: types.EmittedEvent
    emitter: int
    event: events.VesuEvent | None
    derived: facts.Derived


def decode(
    emitted: Sequence[types.EmittedEvent],
    registry: discovery.Registry,
    more: decoders.More | None = None,
) -> list[Decoded]:
    """Decode a batch; the registry must know every contract in it.

    `more` holds the ABIs that came after this release.
    """
    return [_decode_one(event, registry, more) for event in emitted]


def _decode_one(
    raw: types.EmittedEvent, registry: discovery.Registry, more: decoders.More | None
) -> Decoded:
    emitter = int(raw.from_address, 16)
    known = registry.get(emitter)
    if known is None:
        raise errors.ProjectionError(
            f"the log holds an event of {raw.from_address} in block {raw.block_number}, "
            "which no contract of ours has named"
        )
    try:
        event = decoders.decode(known.kind, raw.keys, raw.data, more)
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
    """Take up the contracts that events among these name; returns the new addresses."""
    named = []
    for raw in emitted:
        emitter = int(raw.from_address, 16)
        known = registry.get(emitter)
        if known is None or known.kind not in _NAMING:
            continue
        event = _decoded_or_none(known.kind, raw)
        if event is not None:
            named.append((emitter, event))
    return registry.learn(named)


def naming_views(
    emitted: Iterable[types.EmittedEvent], registry: discovery.Registry, world: state.World
) -> list[observations.View]:
    """Views that name the vTokens of these events' new Genesis assets, which no event names."""
    extensions: dict[int, int] = {key.id: pool.extension or 0 for key, pool in world.pools.items()}
    found = []
    for raw in emitted:
        emitter = int(raw.from_address, 16)
        known = registry.get(emitter)
        if known is None or known.kind is not kinds.Kind.SINGLETON_V1_0:
            continue
        event = _decoded_or_none(known.kind, raw)
        if isinstance(event, events_v1.SetExtension):
            extensions[event.pool_id] = event.extension
        elif isinstance(event, events_v1.SetAssetConfig):
            extension = registry.get(extensions.get(event.pool_id, 0))
            if extension is not None and extension.kind is kinds.Kind.EXTENSION_V1_0_GENESIS:
                found.append(_naming_view(raw, extensions[event.pool_id], event))
    return found


def _naming_view(
    raw: types.EmittedEvent, extension: int, event: events_v1.SetAssetConfig
) -> observations.View:
    return observations.View(
        raw.block_number,
        raw.block_hash,
        rows.padded(extension),
        "v_token_for_collateral_asset",
        (hex(event.pool_id), hex(event.asset)),
    )


def _decoded_or_none(kind: kinds.Kind, raw: types.EmittedEvent) -> events.VesuEvent | None:
    try:
        return decoders.decode(kind, raw.keys, raw.data)
    except errors.UndecodableEventError:
        # Reported when the batch is decoded; it names no contract that could be trusted.
        return None


def token_views(
    decoded: Iterable[Decoded], known: Mapping[int, tokens.Token]
) -> list[observations.View]:
    """Symbol, name and decimals of each token that appears, where the log lacks the answer."""
    needed: dict[int, types.EmittedEvent] = {}
    for one in decoded:
        match one.event:
            case events_v2.SetAssetConfig(asset=asset) | events_v1.SetAssetConfig(asset=asset):
                needed.setdefault(asset, one.raw)
    return [
        observations.View(raw.block_number, raw.block_hash, rows.padded(asset), view)
        for asset, raw in needed.items()
        for view in tokens.VIEWS
        if asset not in known or view not in known[asset].asked
    ]
