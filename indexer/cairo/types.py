"""Cairo's types: from felts to values, and how the log's arguments show those values.

Values are ints (felts, addresses, numbers, the index of a unit enum's variant), bools, text and
structs. Shown as everywhere in the log: felts, addresses and class hashes as 0x and 64 digits,
numbers as decimal text, bools as bools, structs as nested objects, lists as lists. The database
makes that of an event's felts when it is read, by the steps of the event's layout.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import msgspec

from indexer.cairo import text

LIMB_BITS = 128

Felts = Sequence[int]

_LISTS = ("core::array::Array::<", "core::array::Span::<")

Entry = Mapping[str, Any]
"""One entry of an ABI."""

Structs = Mapping[str, type[msgspec.Struct]]
"""Classes that values of an ABI's structs and events become, by the last part of their name."""


Steps = tuple[str, ...]
"""How felts become JSON text: literal text and, between each two literals, the kind of value that
the next felts hold. The kinds: felt, bool, number (of one felt), u256, i257, text (a ByteArray);
list, which is followed by the steps of an item and the kind end."""


class Source(NamedTuple):
    """A Python expression of the value at a position of the list `felts`. Names in it stand in
    `_NAMES`.

    `limbs` gives the positions of felts that must be below 2^128: the reader checks them at
    once, before it reads any value.
    """

    read: Callable[[int], str]
    limbs: Callable[[int], tuple[int, ...]] = lambda _: ()


class Type(NamedTuple):
    """How to read a type, how to show its value, and how many felts it takes.

    `read(felts, at)` gives the value at a position: ValueError where the felts are not of the
    type, IndexError where they end too early. `felts` is None where the length depends on the
    value; `length(felts, at)` then tells it. `source` is reading as a Python expression, where
    there is such.
    """

    read: Callable[[Felts, int], Any]
    steps: Steps
    felts: int | None
    length: Callable[[Felts, int], int] | None = None
    source: Source | None = None

    def length_at(self, felts: Felts, offset: int) -> int:
        """Felts that the value at a position takes."""
        if self.length is not None:
            return self.length(felts, offset)
        assert self.felts is not None, "a type without a length has a fixed size"
        return self.felts


Member = tuple[str, Type]


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


def _below_source(limit: int, offset: int) -> str:
    """`below` of a felt, called only where it refuses it: a call takes longer than to compare."""
    felt = f"felts[{offset}]"
    return f"({felt} if {felt} < {limit} else below({felt}, {limit}))"


def _of_kind(kind: str) -> Steps:
    """The steps of a single value."""
    return ("", kind, "")


def _number(bits: int) -> Type:
    limit = 1 << bits
    source = Source(functools.partial(_below_source, limit))
    return Type(
        lambda felts, offset: below(felts[offset], limit), _of_kind("number"), 1, None, source
    )


def too_large() -> NoReturn:
    """One of the limbs of an event has too many bits."""
    raise ValueError("a u256 has a limb of more than 128 bits")


_NAMES: dict[str, Any] = {
    "too_large": too_large,
    "i257": i257,
    "boolean": boolean,
    "below": below,
}
_FELT = Type(operator.getitem, _of_kind("felt"), 1, None, Source(lambda offset: f"felts[{offset}]"))
_BOOL = Type(
    lambda felts, offset: boolean(felts[offset]),
    _of_kind("bool"),
    1,
    None,
    Source(
        lambda i: f"(felts[{i}] == 1 if felts[{i}] < 2 else boolean(felts[{i}]))",
    ),
)
_U256 = Type(
    lambda felts, offset: u256(felts[offset], felts[offset + 1]),
    _of_kind("u256"),
    2,
    None,
    Source(
        lambda offset: f"felts[{offset}] | felts[{offset + 1}] << {LIMB_BITS}",
        lambda offset: (offset, offset + 1),
    ),
)
_I257 = Type(
    lambda felts, offset: i257(felts[offset], felts[offset + 1], felts[offset + 2]),
    _of_kind("i257"),
    3,
    None,
    Source(lambda i: f"i257(felts[{i}], felts[{i + 1}], felts[{i + 2}])"),
)
_BUILT_IN = {
    "core::felt252": _FELT,
    "core::starknet::contract_address::ContractAddress": _FELT,
    "core::starknet::class_hash::ClassHash": _FELT,
    "core::bool": _BOOL,
    "core::integer::u256": _U256,
    "alexandria_math::i257::i257": _I257,
    "core::byte_array::ByteArray": Type(text.byte_array, _of_kind("text"), None, text.felts_of),
    **{f"core::integer::u{bits}": _number(bits) for bits in (8, 16, 32, 64, 128)},
}


def type_of(name: str, defined: Mapping[str, Entry], structs: Structs | None = None) -> Type:
    """The type called `name`, among Cairo's own and those that an ABI defines, by name.

    A struct's values are of the class that `structs` has for it, if its fields are the struct's,
    else dicts. ValueError for a type that cannot be read here: enums that carry values, and
    unknown ones.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    for prefix in _LISTS:
        if name.startswith(prefix):
            return _list(type_of(name.removeprefix(prefix).removesuffix(">"), defined, structs))
    entry = defined.get(name)
    if entry is None:
        raise ValueError(f"the ABI does not define the type {name}")
    if entry["type"] == "enum":
        return _unit_enum(entry)
    members = [
        (member["name"], type_of(member["type"], defined, structs)) for member in entry["members"]
    ]
    return _struct(members, (structs or {}).get(last_part(name)))


def last_part(name: str) -> str:
    """A type's name without the modules that it is defined in."""
    return name.rsplit("::", 1)[-1]


def maker(
    class_: type[msgspec.Struct] | None, members: Sequence[Member]
) -> Callable[[list[Any]], Any] | None:
    """Makes an instance of `class_` from the members' values; None where it does not fit them.

    It fits if it has a field for each of them and a default for each other one. Fields are
    found by the name that they are encoded with.
    """
    if class_ is None:
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(class_)}
    names = [name for name, _ in members]
    needed = {name for name, field in fields.items() if field.required}
    if not needed <= set(names) <= fields.keys():
        return None
    if names == list(fields)[: len(names)]:
        return lambda values: class_(*values)
    keywords = [fields[name].name for name in names]
    return lambda values: class_(**dict(zip(keywords, values, strict=True)))


def _struct(members: Sequence[Member], class_: type[msgspec.Struct] | None) -> Type:
    read_values = reader(members)
    felts = size(type_ for _, type_ in members)
    length = None if felts is not None else functools.partial(_length, members)
    make = maker(class_, members)
    if class_ is None or make is None:
        names = [name for name, _ in members]
        return Type(
            lambda felts, offset: dict(zip(names, read_values(felts, offset), strict=True)),
            steps_of(members),
            felts,
            length,
        )
    attributes = {field.encode_name: field.name for field in msgspec.structs.fields(class_)}
    return Type(
        lambda felts, offset: make(read_values(felts, offset)),
        steps_of(members),
        felts,
        length,
        _struct_source(members, class_, attributes),
    )


def _struct_source(
    members: Sequence[Member], class_: type[msgspec.Struct], attributes: Mapping[str, str]
) -> Source | None:
    sources = _sources(members)
    if sources is None:
        return None
    made = f"make{len(_NAMES)}"
    _NAMES[made] = class_

    def read(offset: int) -> str:
        placed = zip(members, sources, _offsets(members, offset), strict=True)
        fields = [f"{attributes[key]}={source.read(start)}" for (key, _), source, start in placed]
        return f"{made}({', '.join(fields)})"

    return Source(read, functools.partial(_limbs, members, sources))


def _sources(members: Sequence[Member]) -> list[Source] | None:
    """All members' expressions; None where one has none, or its size is not fixed."""
    sources = [type_.source for _, type_ in members if type_.felts is not None]
    found = [source for source in sources if source is not None]
    return found if len(found) == len(members) else None


def _reads(members: Sequence[Member], sources: Sequence[Source], offset: int) -> str:
    offsets = _offsets(members, offset)
    return ", ".join(map(lambda source, first: source.read(first), sources, offsets))


def _limbs(members: Sequence[Member], sources: Sequence[Source], offset: int) -> tuple[int, ...]:
    placed = zip(sources, _offsets(members, offset), strict=True)
    return tuple(limb for source, start in placed for limb in source.limbs(start))


def _offsets(members: Sequence[Member], offset: int) -> list[int]:
    """Where each of the members, all of fixed size, begins."""
    sizes = (type_.felts or 0 for _, type_ in members)
    return list(itertools.accumulate(sizes, initial=offset))[:-1]


def reader(members: Sequence[Member]) -> Callable[[Felts, int], list[Any]]:
    """Reads the members' values, one after another from a position.

    A ValueError says which member is not of its type.
    """
    sources = _sources(members)
    if sources is None:
        return functools.partial(_read_varying, members)
    values_ = f"[{_reads(members, sources, 0)}]"
    limbs = " | ".join(f"felts[{start}]" for start in _limbs(members, sources, 0))
    checked = f"{values_} if not ({limbs}) >> {LIMB_BITS} else too_large()" if limbs else values_
    compiled = _compiled(f"lambda felts: {checked}")

    def read(felts: Felts, offset: int) -> list[Any]:
        try:
            values: list[Any] = compiled(felts[offset:] if offset else felts)
            return values
        except ValueError:
            # Read again, slower, by what names the member.
            return _read_varying(members, felts, offset)

    return read


def steps_of(members: Iterable[Member]) -> Steps:
    """The steps of an object that holds the members' values by name."""
    found: list[str] = ["{"]
    for number, (name, type_) in enumerate(members):
        first, *others = type_.steps
        found[-1] += f"{', ' if number else ''}{_quoted(name)}: {first}"
        found += others
    found[-1] += "}"
    return tuple(found)


def _quoted(name: str) -> str:
    return msgspec.json.encode(name).decode()


def _compiled(source: str) -> Callable[[Any], Any]:
    """A function from its source, which holds names of ours and numbers alone."""
    made: Callable[[Any], Any] = eval(source, _NAMES)  # noqa: S307
    return made


def _read_varying(members: Sequence[Member], felts: Felts, offset: int) -> list[Any]:
    values = []
    for name, type_ in members:
        try:
            values.append(type_.read(felts, offset))
            offset += type_.length_at(felts, offset)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return values


def _length(members: Sequence[Member], felts: Felts, offset: int) -> int:
    first = offset
    for _, type_ in members:
        offset += type_.length_at(felts, offset)
    return offset - first


def size(types: Iterable[Type]) -> int | None:
    """Felts of all `types` together; None where it depends on the values."""
    felts = [type_.felts for type_ in types]
    return None if None in felts else sum(count for count in felts if count is not None)


def length_of(members: Sequence[Member], felts: Felts) -> int:
    """Felts that the members' values take from the beginning of `felts` on."""
    return _length(members, felts, 0)


def _list(item: Type) -> Type:
    """A list says its length first."""

    def starts(felts: Felts, offset: int) -> tuple[list[int], int]:
        length, start = felts[offset], offset + 1
        if length > len(felts):
            raise ValueError(f"a list says that it has {length} items")
        begins = []
        for _ in range(length):
            begins.append(start)
            start += item.length_at(felts, start)
        return begins, start

    return Type(
        lambda felts, offset: [item.read(felts, start) for start in starts(felts, offset)[0]],
        ("", "list", *item.steps, "end", ""),
        None,
        lambda felts, offset: starts(felts, offset)[1] - offset,
    )


def _unit_enum(entry: Entry) -> Type:
    variants = entry["variants"]
    if any(variant["type"] != "()" for variant in variants):
        raise ValueError(f"the enum {entry['name']} carries values")

    def read(felts: Felts, offset: int) -> int:
        if felts[offset] >= len(variants):
            raise ValueError(f"{entry['name']} has no variant {felts[offset]}")
        return felts[offset]

    count = len(variants)
    source = Source(functools.partial(_below_source, count))
    return Type(read, _of_kind("number"), 1, None, source)
