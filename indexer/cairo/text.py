"""Reads text from felts: short strings and ByteArrays; accepts whatever a token answers."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

LONGEST_CLEANED = 4_096
"""Characters of a name or symbol that are looked at."""

WORD_BYTES = 31
"""A ByteArray holds its text in words of so many bytes."""


def short_string(felt: int) -> str:
    """The text that a felt holds as ASCII bytes, big-endian."""
    return felt.to_bytes(32, "big").lstrip(b"\0").decode("utf-8", "replace")


def byte_array(felts: Sequence[int], offset: int = 0) -> str:
    """The text of the ByteArray at a position of `felts`.

    Shape: number of full words, the words, the pending word, its length. ValueError where the
    felts do not have that shape.
    """
    end = offset + felts_of(felts, offset)
    words, pending, length = felts[offset + 1 : end - 2], felts[end - 2], felts[end - 1]
    if length >= WORD_BYTES or pending >> (8 * length):
        raise ValueError(f"a ByteArray's last word does not fit its length {length}")
    if any(word >> (8 * WORD_BYTES) for word in words):
        raise ValueError("a ByteArray's word is longer than 31 bytes")
    raw = b"".join(word.to_bytes(WORD_BYTES, "big") for word in words)
    return (raw + pending.to_bytes(length, "big")).decode("utf-8", "replace")


def felts_of(felts: Sequence[int], offset: int = 0) -> int:
    """Felts that the ByteArray at a position takes. ValueError where it is cut short."""
    if offset >= len(felts) or offset + felts[offset] + 3 > len(felts):
        raise ValueError("a ByteArray is cut short")
    return felts[offset] + 3


def string_of(felts: Sequence[int]) -> str:
    """The text of a `name()` or `symbol()` answer: one felt, or a ByteArray; else empty."""
    if len(felts) == 1:
        return short_string(felts[0])
    try:
        return byte_array(felts)
    except ValueError:
        return ""


def clean(text: str, limit: int = 64) -> str:
    """`text` fit for display: nothing invisible in it, single spaces, at most `limit` characters.

    Control characters count as spaces; what turns or hides text (bidirectional overrides, zero
    widths, blank letters) is left out. Cleaning a clean text changes nothing. Of a text longer
    than anybody reads, the beginning counts.
    """
    text = text[:LONGEST_CLEANED]
    if text.isascii() and text.isprintable():
        return " ".join(text.split())[:limit].rstrip()
    kept = "".join(
        " " if unicodedata.category(char) in ("Zs", "Zl", "Zp", "Cc") else char
        for char in text
        if unicodedata.category(char) not in ("Cf", "Co", "Cs", "Cn") and char not in _INVISIBLE
    )
    return " ".join(unicodedata.normalize("NFC", kept).split())[:limit].rstrip()


def printable(text: str) -> str:
    """`text` without what steers a terminal or turns a line around: U+FFFD in its place.

    Line ends and tabs stay; nothing is shortened.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in _STEERING else "\ufffd"
        for char in text
    )


def storable(text: str) -> str:
    """`text` without NUL, which PostgreSQL's text and jsonb cannot hold; U+FFFD in its place."""
    return text.replace("\0", "\ufffd")


_STEERING = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""Categories of what `printable` takes out."""

_INVISIBLE = frozenset(
    map(
        chr,
        (
            0x034F,  # combining grapheme joiner
            *(0x115F, 0x1160, 0x3164, 0xFFA0),  # Hangul fillers
            *(0x17B4, 0x17B5),  # Khmer inherent vowels
            *range(0x180B, 0x1810),  # Mongolian variation selectors
            0x2800,  # blank Braille pattern
            *range(0xFE00, 0xFE10),  # variation selectors
            *range(0xE0100, 0xE01F0),  # more of them
        ),
    )
)
"""Letters and marks that show nothing, beside the general categories that `clean` leaves out."""
