"""Felts, the elements of Starknet's field, and their two text forms."""

from __future__ import annotations

import functools
import re

PRIME = 2**251 + 17 * 2**192 + 1
"""The field's prime: a felt is at least 0 and smaller than this."""


@functools.lru_cache(maxsize=4_096)
def padded(value: int) -> str:
    """A felt as tables and arguments hold it: 0x and 64 lower-case hex digits."""
    return f"0x{value:064x}"


def pad(minimal: str) -> str:
    """The same for a felt that is text already, in the minimal hex that nodes answer with."""
    return "0x" + minimal[2:].rjust(64, "0")


MOST_REMEMBERED = 16_384


class _Integers(dict[str, int]):
    """Felts by their texts; most repeat. Full, it begins anew."""

    def __missing__(self, text: str) -> int:
        felt = int(text, 16)
        if not 0 <= felt < PRIME:
            raise ValueError("a felt is out of range")
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[text] = felt
        return felt


integer = _Integers().__getitem__
"""The felt that a text in hex holds. ValueError where it holds none."""


def named(value: int) -> str:
    """A felt that holds a word, such as a chain id, as SN_MAIN (0x534e5f4d41494e); else in hex."""
    name = value.to_bytes(32, "big").lstrip(b"\0").decode("ascii", "replace")
    return f"{name} ({value:#x})" if re.fullmatch(r"\w+", name, re.ASCII) else hex(value)
