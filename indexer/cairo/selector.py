"""Selectors: the felts that name events and views on chain."""

from __future__ import annotations

import functools

from Crypto.Hash import keccak

_MASK = (1 << 250) - 1


@functools.cache
def of(name: str) -> int:
    """The selector of an event, a component or a view of this name: sn_keccak.

    Keccak-256 with the original padding, which is not SHA3-256; its low 250 bits.
    """
    digest = keccak.new(digest_bits=256, data=name.encode("ascii")).digest()
    return int.from_bytes(digest, "big") & _MASK
