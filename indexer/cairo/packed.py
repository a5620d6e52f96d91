"""Felts packed into bytes: of each the number of its bytes, and these, big-endian.

No byte is zero before a felt's first digit: 0 takes one byte, a number below 256 two, an
address up to 33.
"""

from __future__ import annotations

from collections.abc import Iterable

MOST_REMEMBERED = 16_384


class _Packed(dict[int, bytes]):
    """Packed felts; most repeat. Full, it begins anew."""

    def __missing__(self, felt: int) -> bytes:
        count = (felt.bit_length() + 7) // 8
        found = bytes((count,)) + felt.to_bytes(count, "big")
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[felt] = found
        return found


_packed = _Packed().__getitem__


def pack(felts: Iterable[int]) -> bytes:
    """Felts, packed."""
    return b"".join(map(_packed, felts))


def unpack(packed: bytes) -> list[int]:
    """The felts that were packed."""
    felts: list[int] = []
    add, number = felts.append, int.from_bytes
    offset, length = 0, len(packed)
    while offset < length:
        count = packed[offset]
        offset += 1
        # Half of all felts are zero or of one byte.
        if count == 0:
            add(0)
        elif count == 1:
            add(packed[offset])
            offset += 1
        else:
            end = offset + count
            add(number(packed[offset:end], "big"))
            offset = end
    return felts
