"""Raw events to typed ones, in chain order, with what the log says of each.

Each event is decoded once: what discovery decoded to learn which contracts it names is kept
until the batch is folded. An event of ours that nobody can decode stays in the log with its
payload, without a name or arguments, and is counted; it never stops the indexer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from indexer import errors
from indexer.cairo import felt252, view_call
from indexer.chain import types
from indexer.log import facts
from indexer.projections import tokens
from indexer.store import turns
from indexer.vesu import decoders, discovery, events, kinds, state
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v2 import events as events_v2

log = structlog.get_logger(__name__)

_NAMING = frozenset({*kinds.FACTORIES, kinds.Kind.SINGLETON_V1_0, *kinds.EXTENSIONS})
"""Kinds whose events name contracts of ours, or call for a view that does."""

Key = tuple[str, int, int]
"""Block hash, transaction index, event index: of one event on one branch."""


class Decoded(msgspec.Struct, gc=False):
    """One event of the log: raw, typed (None: the fold reads nothing of it), and its emitter."""

    raw: types.EmittedEvent
    emitter: int
    event: events.Struct | None
    derived: facts.Derived


class Decoder:
    """Decodes the events of a range or batch, and learns from them which contracts are ours.

    `extra_layouts` holds the ABIs that came after this release.
    """

    def __init__(self, extra_layouts: decoders.ExtraLayouts | None = None) -> None:
        self._extra_layouts = extra_layouts
        self._decoded: dict[Key, Decoded] = {}

    def forget(self) -> None:
        """Drop the events that were decoded ahead of their batch."""
        self._decoded.clear()

    def discover(
        self,
        emitted: Iterable[types.EmittedEvent],
        registry: discovery.Registry,
        world: state.World,
    ) -> list[view_call.ViewCall]:
        """Take up the contracts that events among these name.

        Returns the views that name the vTokens of new Genesis assets, which no event names.
        """
        extensions = {key.id: pool.extension or 0 for key, pool in world.pools.items()}
        found: list[view_call.ViewCall] = []
        for raw in emitted:
            known = registry.get(felt252.integer(raw.from_address))
            if known is None or known.kind not in _NAMING:
                continue
            decoded = self._decoded_ahead(raw, registry)
            if decoded.event is not None:
                event_key = state.EventKey(raw.block_number, raw.transaction_index, raw.event_index)
                registry.learn(decoded.emitter, decoded.event, event_key)
            match decoded.event:
                case events_v1.SetExtension(pool_id=pool_id, extension=extension):
                    extensions[pool_id] = extension
                case events_v1.SetAssetConfig() if known.kind is kinds.Kind.SINGLETON_V1_0:
                    found += _naming_view(raw, extensions, decoded.event, registry)
        return found

    async def decode(
        self, emitted: Sequence[types.EmittedEvent], registry: discovery.Registry
    ) -> list[Decoded]:
        """Decode a batch; `discover` must have seen all of its events."""
        ahead, extra_layouts = self._decoded, self._extra_layouts
        decoded: list[Decoded] = []
        async for part in turns.of(emitted):
            decoded += [
                ahead.get(_key(raw)) or _decode(raw, registry, extra_layouts) for raw in part
            ]
        ahead.clear()
        return decoded

    def _decoded_ahead(self, raw: types.EmittedEvent, registry: discovery.Registry) -> Decoded:
        """The event, decoded before its batch is: kept until then."""
        found = self._decoded.get(_key(raw))
        if found is None:
            found = self._decoded[_key(raw)] = _decode(raw, registry, self._extra_layouts)
        return found


_NAMES = {kind: kind.value for kind in kinds.Kind}
"""Looked up: an enum's `value` is computed at each access."""


def _key(raw: types.EmittedEvent) -> Key:
    return (raw.block_hash, raw.transaction_index, raw.event_index)


def _decode(
    raw: types.EmittedEvent,
    registry: discovery.Registry,
    extra_layouts: decoders.ExtraLayouts | None,
) -> Decoded:
    emitter = felt252.integer(raw.from_address)
    known = registry.get(emitter)
    if known is None:
        raise errors.ProjectionError(
            f"the log holds an event of {raw.from_address} in block {raw.block_number}, "
            "which no contract of ours has named"
        )
    try:
        found = decoders.decode(known.kind, raw.keys, raw.data, extra_layouts)
    except errors.UndecodableEventError as error:
        log.warning(
            "undecodable_event",
            contract=raw.from_address,
            block=raw.block_number,
            transaction=raw.transaction_hash,
            event_index=raw.event_index,
            reason=str(error),
        )
        found = None
    if found is None:
        return Decoded(raw, emitter, None, facts.Derived(_NAMES[known.kind]))
    return Decoded(raw, emitter, found.event, facts.Derived(_NAMES[known.kind], found.layout))


def _naming_view(
    raw: types.EmittedEvent,
    extensions: Mapping[int, int],
    event: events_v1.SetAssetConfig,
    registry: discovery.Registry,
) -> list[view_call.ViewCall]:
    address = extensions.get(event.pool_id, 0)
    extension = registry.get(address)
    if extension is None or extension.kind is not kinds.Kind.EXTENSION_V1_0_GENESIS:
        return []
    return [
        view_call.ViewCall(
            raw.block_number,
            address,
            "v_token_for_collateral_asset",
            (event.pool_id, event.asset),
        )
    ]


def token_views(
    decoded: Iterable[Decoded], known: Mapping[int, tokens.Token]
) -> list[view_call.ViewCall]:
    """Symbol, name and decimals of each token that appears, where the log lacks the answer."""
    needed: dict[int, types.EmittedEvent] = {}
    for event in decoded:
        match event.event:
            case events_v2.SetAssetConfig(asset=asset) | events_v1.SetAssetConfig(asset=asset):
                needed.setdefault(asset, event.raw)
    return [
        view_call.ViewCall(raw.block_number, asset, view)
        for asset, raw in needed.items()
        for view in tokens.VIEWS
        if asset not in known or view not in known[asset].asked
    ]
