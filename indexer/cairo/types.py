"""Cairo's types: a reader for each, from felts to the values that arguments show.

Shown as everywhere in the log: felts, addresses and class hashes as 0x and 64 digits, numbers
(unit enums among them) as decimal text, bools as bools, structs as nested objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from indexer.cairo import felt252, text

LIMB_BITS = 128

Read = Callable[[Sequence[int], int], tuple[Any, int]]
"""From felts and a position to the value there and the position after it. ValueError where
the felts are not of the type, IndexError where they end too early."""

_LISTS = ("core::array::Array::<", "core::array::Span::<")

Entry = Mapping[str, Any]
"""One entry of an ABI."""


class Type(NamedTuple):
    """How to read a type, and how many felts it takes; None where that depends on the value."""

    read: Read
    felts: int | None


def u256(low: int, high: int) -> int:
    """The number that two limbs hold. ValueError for a limb that is too large."""
    if low >> LIMB_BITS or high >> LIMB_BITS:
        raise ValueError("a u256 has a limb of more than 128 bits")
    return low | high << LIMB_BITS


def i257(low: int, high: int, is_negative: int) -> int:
    """The signed number that a magnitude and a sign hold."""
    value = u256(low, high)
    if is_negative == 0:
        return value
    if is_negative == 1:
        return -value
    raise ValueError(f"an i257 has the sign {is_negative}")


def boolean(felt: int) -> bool:
    """A bool's felt is 0 or 1."""
    if felt > 1:
        raise ValueError(f"a bool is {felt}")
    return felt == 1


def below(felt: int, limit: int) -> int:
    """`felt`, if its type holds it."""
    if felt >= limit:
        raise ValueError(f"{felt} is too large for its type")
    return felt


def _one(show: Callable[[int], Any]) -> Type:
    return Type(lambda felts, at: (show(felts[at]), at + 1), 1)


def _number(bits: int) -> Type:
    return _one(lambda felt: str(below(felt, 1 << bits)))


def _read_u256(felts: Sequence[int], at: int) -> tuple[str, int]:
    return str(u256(felts[at], felts[at + 1])), at + 2


def _read_i257(felts: Sequence[int], at: int) -> tuple[str, int]:
    return str(i257(felts[at], felts[at + 1], felts[at + 2])), at + 3


def _read_byte_array(felts: Sequence[int], at: int) -> tuple[str, int]:
    value, taken = text.byte_array(felts[at:])
    return text.storable(value), at + taken


_FELT = _one(felt252.padded)
_BUILT_IN = {
    "core::felt252": _FELT,
    "core::starknet::contract_address::ContractAddress": _FELT,
    "core::starknet::class_hash::ClassHash": _FELT,
    "core::bool": _one(boolean),
    "core::integer::u256": Type(_read_u256, 2),
    "alexandria_math::i257::i257": Type(_read_i257, 3),
    "core::byte_array::ByteArray": Type(_read_byte_array, None),
    **{f"core::integer::u{bits}": _number(bits) for bits in (8, 16, 32, 64, 128)},
}


def type_of(name: str, defined: Mapping[str, Entry]) -> Type:
    """The type called `name`, among Cairo's own and those that an ABI defines, by name.

    ValueError for a type that cannot be read here: enums that carry values, and unknown ones.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    for prefix in _LISTS:
        if name.startswith(prefix):
            return _list(type_of(name.removeprefix(prefix).removesuffix(">"), defined))
    entry = defined.get(name)
    if entry is None:
        raise ValueError(f"the ABI does not define the type {name}")
    if entry["type"] == "enum":
        return _unit_enum(entry)
    members = [(member["name"], type_of(member["type"], defined)) for member in entry["members"]]
    return Type(lambda felts, at: read_members(members, felts, at), size(t for _, t in members))


def _list(item: Type) -> Type:
    """A list says its length first."""

    def read(felts: Sequence[int], at: int) -> tuple[list[Any], int]:
        length, at = felts[at], at + 1
        if length > len(felts):
            raise ValueError(f"a list says that it has {length} items")
        values = []
        for _ in range(length):
            value, at = item.read(felts, at)
            values.append(value)
        return values, at

    return Type(read, None)


def read_members(
    members: Sequence[tuple[str, Type]], felts: Sequence[int], at: int
) -> tuple[dict[str, Any], int]:
    """Named values, one after another from position `at`, and the position after them.

    A ValueError says which member is not of its type.
    """
    values = {}
    name = ""
    try:
        for name, type_ in members:
            values[name], at = type_.read(felts, at)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return values, at


def size(types: Iterable[Type]) -> int | None:
    """Felts of all `types` together; None where it depends on the values."""
    felts = [type_.felts for type_ in types]
    return None if None in felts else sum(count for count in felts if count is not None)


def _unit_enum(entry: Entry) -> Type:
    variants = entry["variants"]
    if any(variant["type"] != "()" for variant in variants):
        raise ValueError(f"the enum {entry['name']} carries values")

    def show(felt: int) -> str:
        if felt >= len(variants):
            raise ValueError(f"{entry['name']} has no variant {felt}")
        return str(felt)

    return _one(show)
