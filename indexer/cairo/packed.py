"""Felts packed into bytes: of each the number of its bytes, and these, big-endian.

No byte is zero before a felt's first digit: 0 takes one byte, a number below 256 two, an
address up to 33.
"""

from __future__ import annotations

from collections.abc import Iterable

MOST_REMEMBERED = 16_384


_COUNTS = [bytes((count,)) for count in range(33)]


class _Packed(dict[str, bytes]):
    """Packed felts by their minimal texts; most repeat. Full, it begins anew."""

    def __missing__(self, text: str) -> bytes:
        count = (len(text) - 1) // 2 if text != "0x0" else 0
        found = _COUNTS[count] + int(text, 16).to_bytes(count, "big")
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[text] = found
        return found


class _Texts(dict[bytes, str]):
    """Felts in minimal hex by their bytes. Full, it begins anew."""

    def __missing__(self, raw: bytes) -> str:
        found = "0x" + (raw.hex().lstrip("0") or "0")
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[raw] = found
        return found


_packed = _Packed().__getitem__
_texts = _Texts()


def pack(felts: Iterable[str]) -> bytes:
    """Felts in minimal hex, packed."""
    return b"".join(map(_packed, felts))


def unpack(packed: bytes) -> list[str]:
    """The felts that were packed, in minimal hex."""
    texts, felts, offset = _texts, [], 0
    while offset < len(packed):
        end = offset + 1 + packed[offset]
        felts.append(texts[packed[offset + 1 : end]])
        offset = end
    return felts
