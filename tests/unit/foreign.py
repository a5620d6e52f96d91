"""A second opinion on events: starknet-py's ABI parser and serializers.

starknet-py routes no selectors, forgets which variants are flat and puts keys and data in one
list, so routing and the split into keys and data are done here, from the ABI's own text.
"""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import lark
from starknet_py.abi.v2 import Abi, AbiParser  # type: ignore[attr-defined]
from starknet_py.cairo import data_types
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.serialization import factory

from tests.unit import recorded

ABIS = recorded.ROOT / "indexer" / "vesu" / "abis"
PRIME = 2**251 + 17 * 2**192 + 1

Types = dict[str, data_types.CairoType]


class Layout(NamedTuple):
    """One event: its selectors and the starknet-py types of its keys and data."""

    name: str
    path: tuple[int, ...]
    keys: Types
    data: Types

    def decode(self, keys: list[int], data: list[int]) -> dict[str, Any]:
        """Arguments in the log's form, by starknet-py's serializers."""
        return _read(self.keys, keys) | _read(self.data, data)


@functools.cache
def layouts(abi_name: str) -> tuple[Layout, ...]:
    """All events of a packaged ABI."""
    return tuple(of_abi(json.loads((ABIS / f"{abi_name}.json").read_text())))


def of_abi(abi: list[dict[str, Any]]) -> Iterator[Layout]:
    """All events that an ABI's root enum names."""
    parsed = _parse(abi)
    raw = {entry["name"]: entry for entry in abi if entry["type"] == "event"}
    enums = [entry for entry in raw.values() if entry["kind"] == "enum"]
    inner = {variant["type"] for entry in enums for variant in entry["variants"]}

    def walk(enum: dict[str, Any], path: tuple[int, ...]) -> Iterator[Layout]:
        for variant in enum["variants"]:
            target = raw[variant["type"]]
            step = (get_selector_from_name(variant["name"]),)
            below = path if variant["kind"] == "flat" else path + step
            if target["kind"] == "enum":
                yield from walk(target, below)
            else:
                types = parsed.events[target["name"]]
                keys = {name: types.types[name] for name in types.keys}
                data = {n: t for n, t in types.types.items() if n not in keys}
                yield Layout(variant["name"], below, keys, data)

    for root in enums:
        if root["name"] not in inner:
            yield from walk(root, ())


class _Grammar(lark.Lark):
    """Parses each text once: ABIs are made of the same few types."""

    @functools.cache  # noqa: B019 (there is one grammar, for as long as the tests last)
    def parse(self, *arguments: Any, **named: Any) -> Any:
        """The tree of a text, which nobody changes."""
        return super().parse(*arguments, **named)


_lark = functools.cache(_Grammar)
"""starknet-py builds the same grammar anew for each type of an ABI; once is enough."""


def _parse(abi: list[dict[str, Any]]) -> Abi:
    shapes = [entry for entry in abi if entry["type"] in ("event", "struct", "enum")]
    with mock.patch.object(lark, "Lark", _lark):
        return AbiParser(shapes).parse()


def find(abi_names: tuple[str, ...], keys: list[int]) -> list[Layout]:
    """The layouts that the first selectors of an event name, in the order of the ABIs."""
    return [
        layout
        for name in abi_names
        for layout in layouts(name)
        if tuple(keys[: len(layout.path)]) == layout.path
    ]


def _read(types: Types, felts: list[int]) -> dict[str, Any]:
    # As a struct, for starknet-py makes a dataclass of an event, slowly, and never of one with a
    # field called `from`.
    whole = data_types.StructType("event", collections.OrderedDict(types))
    return _shown(whole, factory.serializer_for_type(whole).deserialize(felts))


def _shown(type_: data_types.CairoType, value: Any) -> Any:
    match type_:
        case data_types.FeltType():
            return f"0x{value:064x}"
        case data_types.UintType():
            return str(value)
        case data_types.BoolType():
            return value
        case data_types.StructType(name=name) if name.endswith("::i257"):
            magnitude, is_negative = value.values()
            return str(-magnitude if is_negative else magnitude)
        case data_types.StructType(name=name) if name.endswith("::ByteArray"):
            return value.replace("\0", "\ufffd")
        case data_types.StructType(types=members):
            pairs = zip(members.items(), value.values(), strict=True)
            return {name: _shown(inner, one) for (name, inner), one in pairs}
        case data_types.EnumType(variants=variants):
            return str(list(variants).index(value[0]))
    raise AssertionError(f"no event of ours holds a {type_}")
