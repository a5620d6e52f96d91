"""The contract classes that this release knows: what they are, and where that is known from.

What the fold takes for granted of a contract is what its class does; one of another class may do
anything (docs/threat-model.md).
"""

from __future__ import annotations

import functools
import pathlib

import msgspec

_FILE = pathlib.Path(__file__).parent / "known_classes.json"


class KnownClass(msgspec.Struct, frozen=True):
    """A class: its hash, the contract's name in its source, and how it is known.

    `origin`: mainnet, a class that stands there; source, compiled from a public source.
    """

    class_hash: str
    name: str
    origin: str


@functools.cache
def _names() -> dict[int, str]:
    found = msgspec.json.decode(_FILE.read_bytes(), type=list[KnownClass])
    return {int(known_class.class_hash, 16): known_class.name for known_class in found}


def name_of(class_hash: int) -> str | None:
    """What a class is; None: this release does not know it."""
    return _names().get(class_hash)
