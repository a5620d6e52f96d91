"""Questions to and answers of contract views, read by the ABI of the class that answered.

The ABIs are the recording's own (the node's `starknet_getClass`), not those that the indexer
carries, so that one mistake cannot stand on both sides of a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

Entry = dict[str, Any]

Reader = Callable[[Iterator[int]], Any]
"""Takes the felts of one value from an iterator: integers, bools, lists and dicts by name."""


class View(NamedTuple):
    """One function of a class: its arguments by name, and what it answers."""

    arguments: tuple[tuple[str, Reader], ...]
    answer: Reader

    def read_arguments(self, felts: Sequence[int]) -> dict[str, Any]:
        """The arguments by name. ValueError where the felts do not fit."""
        values: dict[str, Any] = _all(
            lambda taken: {name: read(taken) for name, read in self.arguments}, felts
        )
        return values

    def read_answer(self, felts: Sequence[int]) -> Any:
        """The answer. ValueError where the felts do not fit."""
        return _all(self.answer, felts)


def views(abi: Sequence[Entry]) -> dict[str, View]:
    """All functions of a class by name."""
    entries = list(_flat(abi))
    types = {entry["name"]: entry for entry in entries if entry["type"] in ("struct", "enum")}
    return {
        entry["name"]: View(
            tuple((one["name"], _reader(one["type"], types)) for one in entry["inputs"]),
            _reader(entry["outputs"][0]["type"], types) if entry["outputs"] else lambda _: None,
        )
        for entry in entries
        if entry["type"] == "function" and _is_plain(entry, types)
    }


def _flat(abi: Sequence[Entry]) -> Iterator[Entry]:
    for entry in abi:
        if entry["type"] == "interface":
            yield from entry["items"]
        else:
            yield entry


def _is_plain(function: Entry, types: dict[str, Entry]) -> bool:
    """Whether all types are of a kind that `_reader` reads (arrays and options are not)."""
    named = [one["type"] for one in (*function["inputs"], *function["outputs"])]
    return not any("::Array" in name or "Span" in name or "Option" in name for name in named) and (
        all(name.startswith("(") or name in types or "core::" in name for name in named)
    )


def _all(read: Reader, felts: Sequence[int]) -> Any:
    taken = iter(felts)
    try:
        value = read(taken)
    except StopIteration as error:
        raise ValueError(f"{len(felts)} felts are too few") from error
    left = list(taken)
    if left:
        raise ValueError(f"{len(left)} felts are too many")
    return value


def _reader(name: str, types: dict[str, Entry]) -> Reader:
    if name == "core::integer::u256":
        return lambda felts: next(felts) + (next(felts) << 128)
    if name == "core::bool":
        return lambda felts: bool(next(felts))
    if name == "core::byte_array::ByteArray":
        return _byte_array
    if name.startswith("("):
        readers = [_reader(part.strip(), types) for part in name[1:-1].split(",")]
        return lambda felts: [read(felts) for read in readers]
    entry = types.get(name)
    if entry is None or entry["type"] == "enum":
        return next
    members = [(one["name"], _reader(one["type"], types)) for one in entry["members"]]
    return lambda felts: {member: read(felts) for member, read in members}


def _byte_array(felts: Iterator[int]) -> str:
    words = [next(felts).to_bytes(31, "big") for _ in range(next(felts))]
    pending, length = next(felts), next(felts)
    return (b"".join(words) + pending.to_bytes(length, "big")).decode()
