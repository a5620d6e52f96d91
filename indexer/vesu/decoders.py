"""Decoders: from an event's felts to its value, by (kind, selector, inner selector).

The same selector has different layouts in different kinds, so the kind always decides. A
payload must have exactly the felts that its ABI gives it, each within its type. The packaged
ABIs of a kind are compiled into its event classes when its first event is met.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from indexer import errors
from indexer.cairo import abi, felt252, types
from indexer.vesu import events, kinds, packaged
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v2 import events as events_v2

Decoded = abi.Decoded

ExtraLayouts = Mapping[kinds.Kind, abi.Table]
"""Events of ABIs that came after this release, by kind."""

ABIS: dict[kinds.Kind, tuple[str, ...]] = {
    kinds.Kind.POOL_V2: ("pool_v2",),
    kinds.Kind.POOL_FACTORY_V2: ("pool_factory_v2",),
    kinds.Kind.ORACLE_V2: ("oracle_v2",),
    kinds.Kind.VTOKEN_V2: ("vtoken_v2",),
    # The audited code's AccrueFees is kept beside the deployed one's: a test network may run it.
    kinds.Kind.SINGLETON_V1_0: ("singleton_v1", "singleton_v1_audited"),
    kinds.Kind.EXTENSION_V1_0_GENESIS: ("extension_v0_genesis",),
    kinds.Kind.EXTENSION_V1_0: ("extension_po_v1", "extension_cl_v1", "extension_ek_v1"),
    kinds.Kind.VTOKEN_V1_0: ("vtoken_v1",),
    kinds.Kind.SINGLETON_V1_1: ("singleton_v1_1a", "singleton_v1_1b"),
    kinds.Kind.EXTENSION_V1_1: ("extension_po_v1_1a_with_utils_events", "extension_po_v1_1b"),
    kinds.Kind.VTOKEN_V1_1: ("vtoken_v1_1",),
    # Pools inside a singleton emit nothing: the singleton emits for them.
    **dict.fromkeys(kinds.POOLS.values(), ()),
}
"""Packaged ABIs of each kind; one address may run several classes."""


def classes(kind: kinds.Kind) -> types.Structs:
    """The classes that a kind's events and their structs become, by their name in the ABI."""
    return _V2 if kind in kinds.V2 else _V1


def _named(*modules: Any) -> types.Structs:
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, events.Struct)
    }


_V1 = _named(events, events_v1)
_V2 = _named(events, events_v2)


@functools.cache
def table(kind: kinds.Kind) -> abi.Table:
    """The events of a kind, by the packaged ABIs."""
    return abi.table_of(map(packaged.read, ABIS[kind]), classes(kind))


def decode(
    kind: kinds.Kind,
    keys: types.Felts,
    data: types.Felts,
    extra_layouts: ExtraLayouts | None = None,
) -> Decoded | None:
    """The event; None for a selector that this kind does not know.

    `extra_layouts` is asked where the release has no answer: its events have a name and
    arguments, and no meaning for the fold. UndecodableEventError where the selector is known and
    the payload does not fit it.
    """
    later = extra_layouts.get(kind) if extra_layouts else None
    if later is None:
        return _decode(table(kind), kind, keys, data)
    try:
        decoded = _decode(table(kind), kind, keys, data)
    except errors.UndecodableEventError as error:
        decoded = _decode(later, kind, keys, data)
        if decoded is None:
            raise error from None
    return _decode(later, kind, keys, data) if decoded is None else decoded


def _decode(
    known: abi.Table, kind: kinds.Kind, keys: types.Felts, data: types.Felts
) -> Decoded | None:
    found = abi.find(known, keys)
    if found is None:
        return None
    skip, layouts = found
    try:
        if max(keys) >= felt252.PRIME or max(data, default=0) >= felt252.PRIME:
            raise ValueError("a felt is out of range")
        return abi.decode(layouts, keys[skip:], data)
    except ValueError as error:
        name = next(iter(layouts.values())).name
        raise errors.UndecodableEventError(f"{name} of {kind.value}: {error}") from error
