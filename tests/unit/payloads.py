"""Invented payloads for Cairo types: what fits, and where each felt's type ends."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from starknet_py.cairo import data_types

from tests.unit import foreign

LIMB = 1 << 128


def edges(limit: int) -> st.SearchStrategy[int]:
    """Values below `limit`, the ends more often than chance would have them."""
    return st.sampled_from([0, 1, limit - 1]) | st.integers(0, limit - 1)


def valid(types: foreign.Types) -> st.SearchStrategy[list[int]]:
    """Felts that these types allow, one after another."""
    return st.tuples(*(_valid(type_) for type_ in types.values())).map(_flat)


def _valid(type_: data_types.CairoType) -> st.SearchStrategy[list[int]]:
    if isinstance(type_, data_types.StructType) and type_.name.endswith("::ByteArray"):
        # ASCII without NUL: starknet-py takes each byte for a letter and drops leading zeros.
        letters = st.characters(codec="ascii", exclude_characters="\0")
        return st.text(letters, max_size=70).map(byte_array)
    if isinstance(type_, data_types.StructType):
        return st.tuples(*(_valid(inner) for inner in type_.types.values())).map(_flat)
    return st.tuples(*(edges(limit) for limit in limits(type_))).map(list)


def byte_array(text: str) -> list[int]:
    """A ByteArray's felts."""
    raw = text.encode()
    full, rest = divmod(len(raw), 31)
    words = [int.from_bytes(raw[31 * at : 31 * at + 31]) for at in range(full)]
    return [full, *words, int.from_bytes(raw[31 * full :]), rest]


def limits(type_: data_types.CairoType) -> list[int]:
    """For each felt of a payload of zeros the first value that its type does not hold."""
    match type_:
        case data_types.FeltType():
            return [foreign.PRIME]
        case data_types.BoolType():
            return [2]
        case data_types.UintType(bits=256):
            return [LIMB, LIMB]
        case data_types.UintType(bits=bits):
            return [1 << bits]
        case data_types.EnumType(variants=variants):
            return [len(variants)]
        case data_types.StructType(name=name) if name.endswith("::ByteArray"):
            # No words, nothing pending: a word too many, a byte too many, a length too long.
            return [1, 1, 31]
        case data_types.StructType(types=members):
            return _flat(limits(inner) for inner in members.values())
    raise AssertionError(f"no event of ours holds a {type_}")


def all_limits(types: foreign.Types) -> list[int]:
    """`limits` of several types, one after another."""
    return _flat(limits(type_) for type_ in types.values())


def fits(types: foreign.Types, felts: list[int]) -> bool:
    """Whether the felts are exactly values of these types, each within its limit."""
    at = 0
    for type_ in types.values():
        if getattr(type_, "name", "").endswith("::ByteArray"):
            end = at + 3 + (felts[at] if at < len(felts) else len(felts))
            if end > len(felts) or not _is_byte_array(felts[at:end]):
                return False
            at = end
            continue
        ends = limits(type_)
        if len(felts) < at + len(ends):
            return False
        if any(felt >= limit for felt, limit in zip(felts[at:], ends, strict=False)):
            return False
        at += len(ends)
    return at == len(felts)


def _is_byte_array(felts: list[int]) -> bool:
    words, pending, length = felts[1:-2], felts[-2], felts[-1]
    return length < 31 and pending < 256**length and all(word < 256**31 for word in words)


def has_text(types: foreign.Types) -> bool:
    """Whether a ByteArray is among the types, so that lengths vary."""
    return any("ByteArray" in getattr(type_, "name", "") for type_ in types.values())


def _flat(lists: Any) -> list[int]:
    return [felt for part in lists for felt in part]
