"""Event layouts compiled from a contract's ABI.

An ABI's root Event enum names all events of a contract: a variant that is a struct has one
selector key, a component's variant two (the component's and its own), but for flat components,
whose events stand as if they were the contract's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from indexer.cairo import selector, types


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """An event: its value (None: no class fits it), and the layout that it was read by."""

    layout: Layout
    event: Any

    @property
    def name(self) -> str:
        """The event's name in its ABI."""
        return self.layout.name


class Layout(msgspec.Struct, frozen=True, gc=False):
    """How one event is laid out after its selectors: members among the keys, and in the data.

    `selectors` is their number; `steps` make of the felts after them what the event shows.

    `make` builds the event's class from the members' values, keys first; None where there is no
    class. `read` reads both where their numbers are fixed. Felts are None where their number
    depends on the values: a ByteArray or a list among them.
    """

    name: str
    selectors: int
    steps: types.Steps
    keys: tuple[types.Member, ...]
    data: tuple[types.Member, ...]
    make: Callable[[list[Any]], Any] | None
    read: Callable[[types.Felts, int], list[Any]]
    read_keys: Callable[[types.Felts, int], list[Any]]
    read_data: Callable[[types.Felts, int], list[Any]]
    key_felts: int | None
    data_felts: int | None

    def decode(self, keys: types.Felts, data: types.Felts) -> Decoded:
        """The event that these felts after the selectors hold.

        ValueError where they are too few or too many, or a value is not of its type.
        """
        if len(keys) == self.key_felts and len(data) == self.data_felts:
            values = self.read([*keys, *data], 0)
        else:
            values = _values(self.keys, self.read_keys, self.key_felts, keys)
            values += _values(self.data, self.read_data, self.data_felts, data)
        return Decoded(self, None if self.make is None else self.make(values))


Path = tuple[int, ...]
"""The selectors that an event's keys begin with: one, or two if nested."""

Lengths = tuple[int | None, int | None]

Layouts = Mapping[Lengths, Layout]

Table = Mapping[Path, Layouts]
"""Layouts by selectors, then by (key felts, data felts): generations of one contract may give
one selector several layouts, which their lengths tell apart."""


def table_of(abis: Iterable[Sequence[types.Entry]], structs: types.Structs | None = None) -> Table:
    """The events of these ABIs together; of layouts with equal lengths the first stays.

    `structs` are the classes that events and structs become. ValueError or KeyError where one
    of the ABIs is none whose events can be read.
    """
    table: dict[Path, dict[Lengths, Layout]] = {}
    for abi in abis:
        for path, layout in compile_events(abi, structs):
            lengths = (layout.key_felts, layout.data_felts)
            table.setdefault(path, {}).setdefault(lengths, layout)
    return table


def compile_events(
    abi: Sequence[types.Entry], structs: types.Structs | None = None
) -> Iterator[tuple[Path, Layout]]:
    """Every event that the ABI's root Event enum names, with its selectors."""
    found = {entry["name"]: entry for entry in abi if entry["type"] == "event"}
    defined = {entry["name"]: entry for entry in abi if entry["type"] in ("struct", "enum")}
    enums = [entry for entry in found.values() if entry["kind"] == "enum"]
    inner = {variant["type"] for entry in enums for variant in entry["variants"]}
    for root in enums:
        if root["name"] not in inner:
            for path, name, struct in _variants(root, (), found):
                yield path, _layout(name, len(path), struct, defined, structs or {})


def _variants(
    enum: types.Entry, path: Path, found: Mapping[str, types.Entry]
) -> Iterator[tuple[Path, str, types.Entry]]:
    """Selectors, name and struct of every event below an enum."""
    for variant in enum["variants"]:
        name, target = variant["name"], found[variant["type"]]
        step = () if variant["kind"] == "flat" else (selector.of(name),)
        if target["kind"] == "enum":
            yield from _variants(target, path + step, found)
        else:
            yield path + step, name, target


def _layout(
    name: str,
    selectors: int,
    struct: types.Entry,
    defined: Mapping[str, types.Entry],
    structs: types.Structs,
) -> Layout:
    def members(kind: str) -> tuple[types.Member, ...]:
        return tuple(
            (member["name"], types.type_of(member["type"], defined, structs))
            for member in struct["members"]
            if member["kind"] == kind
        )

    keys, data = members("key"), members("data")
    return Layout(
        name,
        selectors,
        types.steps_of((*keys, *data)),
        keys,
        data,
        types.maker(structs.get(name), (*keys, *data)),
        types.reader((*keys, *data)),
        types.reader(keys),
        types.reader(data),
        types.size(type_ for _, type_ in keys),
        types.size(type_ for _, type_ in data),
    )


def find(table: Table, keys: types.Felts) -> tuple[int, Layouts] | None:
    """How many of the keys are selectors, and the layouts that they name; None if unknown."""
    layouts = table.get(tuple(keys[:1]))
    if layouts is not None:
        return 1, layouts
    layouts = table.get(tuple(keys[:2]))
    return None if layouts is None else (2, layouts)


def decode(layouts: Layouts, keys: types.Felts, data: types.Felts) -> Decoded:
    """The event, by the layout that fits the felts after the selectors.

    ValueError where none fits, or a value is not of its type.
    """
    layout = layouts.get((len(keys), len(data)))
    return (layout or _varying(layouts, len(keys), len(data))).decode(keys, data)


def _varying(layouts: Layouts, keys: int, data: int) -> Layout:
    """The layout of as many felts of which only some have a fixed number."""
    for lengths in ((None, data), (keys, None), (None, None)):
        if lengths in layouts:
            return layouts[lengths]
    lengths_ = " or ".join(
        f"{'its' if k is None else k} key and {'its' if d is None else d} data felts"
        for k, d in layouts
    )
    raise ValueError(f"expected {lengths_}, found {keys} and {data}")


def _values(
    members: Sequence[types.Member],
    read: Callable[[types.Felts, int], list[Any]],
    expected_count: int | None,
    felts: types.Felts,
) -> list[Any]:
    try:
        values = read(felts, 0)
        length = types.length_of(members, felts) if expected_count is None else expected_count
    except IndexError as error:
        raise ValueError(f"{len(felts)} felts are too few") from error
    if length != len(felts):
        raise ValueError(f"{len(felts) - length} felts are too many")
    return values
