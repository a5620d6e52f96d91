"""Event layouts compiled from a contract's ABI.

An ABI's root Event enum names all events of a contract: a variant that is a struct has one
selector key, a component's variant two (the component's and its own), but for flat components,
whose events stand as if they were the contract's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from indexer.cairo import selector, types


class Layout(NamedTuple):
    """How one event is laid out after its selectors: members among the keys, and in the data.

    Felts are None where their number depends on the values: a ByteArray or a list among them.
    """

    name: str
    keys: tuple[tuple[str, types.Type], ...]
    data: tuple[tuple[str, types.Type], ...]

    @property
    def key_felts(self) -> int | None:
        """Felts of the keys after the selectors."""
        return types.size(type_ for _, type_ in self.keys)

    @property
    def data_felts(self) -> int | None:
        """Felts of the data."""
        return types.size(type_ for _, type_ in self.data)


class Decoded(NamedTuple):
    """An event's name and its arguments, as text."""

    name: str
    args: dict[str, Any]


Path = tuple[str, ...]
"""The selectors that an event's keys begin with, in minimal hex: one, or two if nested."""

Lengths = tuple[int | None, int | None]

Table = Mapping[Path, Mapping[Lengths, Layout]]
"""Layouts by selectors, then by (key felts, data felts): generations of one contract may give
one selector several layouts, which their lengths tell apart."""


def table_of(abis: Iterable[Sequence[types.Entry]]) -> Table:
    """The events of these ABIs together; of layouts with equal lengths the first stays.

    ValueError or KeyError where one of them is not an ABI whose events can be read.
    """
    table: dict[Path, dict[Lengths, Layout]] = {}
    for abi in abis:
        for path, layout in compile_events(abi):
            lengths = (layout.key_felts, layout.data_felts)
            table.setdefault(path, {}).setdefault(lengths, layout)
    return table


def compile_events(abi: Sequence[types.Entry]) -> Iterator[tuple[Path, Layout]]:
    """Every event that the ABI's root Event enum names, with its selectors."""
    found = {entry["name"]: entry for entry in abi if entry["type"] == "event"}
    defined = {entry["name"]: entry for entry in abi if entry["type"] in ("struct", "enum")}
    enums = [entry for entry in found.values() if entry["kind"] == "enum"]
    inner = {variant["type"] for entry in enums for variant in entry["variants"]}
    for root in enums:
        if root["name"] not in inner:
            yield from _variants(root, (), found, defined)


def _variants(
    enum: types.Entry,
    path: Path,
    found: Mapping[str, types.Entry],
    defined: Mapping[str, types.Entry],
) -> Iterator[tuple[Path, Layout]]:
    for variant in enum["variants"]:
        name, target = variant["name"], found[variant["type"]]
        step = () if variant["kind"] == "flat" else (hex(selector.of(name)),)
        if target["kind"] == "enum":
            yield from _variants(target, path + step, found, defined)
        else:
            yield path + step, _layout(name, target, defined)


def _layout(name: str, struct: types.Entry, defined: Mapping[str, types.Entry]) -> Layout:
    def members(kind: str) -> tuple[tuple[str, types.Type], ...]:
        return tuple(
            (member["name"], types.type_of(member["type"], defined))
            for member in struct["members"]
            if member["kind"] == kind
        )

    return Layout(name, members("key"), members("data"))


def find(table: Table, keys: Sequence[str]) -> tuple[int, Mapping[Lengths, Layout]] | None:
    """How many of the keys are selectors, and the layouts that they name; None if unknown."""
    for length in (1, 2):
        layouts = table.get(tuple(keys[:length]))
        if layouts is not None:
            return length, layouts
    return None


def decode(layouts: Mapping[Lengths, Layout], keys: Sequence[int], data: Sequence[int]) -> Decoded:
    """The event, by the layout that fits the felts after the selectors.

    ValueError where none fits, or a value is not of its type.
    """
    layout = _fitting(layouts, len(keys), len(data))
    values = _members(layout.keys, keys) | _members(layout.data, data)
    return Decoded(layout.name, values)


def _fitting(layouts: Mapping[Lengths, Layout], keys: int, data: int) -> Layout:
    possible = ((keys, data), (None, data), (keys, None), (None, None))
    layout = next((layouts[lengths] for lengths in possible if lengths in layouts), None)
    if layout is None:
        wanted = " or ".join(
            f"{'its' if k is None else k} key and {'its' if d is None else d} data felts"
            for k, d in layouts
        )
        raise ValueError(f"expected {wanted}, found {keys} and {data}")
    return layout


def _members(members: Sequence[tuple[str, types.Type]], felts: Sequence[int]) -> dict[str, Any]:
    try:
        values, end = types.read_members(members, felts, 0)
    except IndexError as error:
        raise ValueError(f"{len(felts)} felts are too few") from error
    if end != len(felts):
        raise ValueError(f"{len(felts) - end} felts are too many")
    return values
