"""The pools that Vesu is known by: a list that the package brings, with its source and date.

Anyone may create a pool. Those on the list are counted in sums; the rest is shown apart.
"""

from __future__ import annotations

import functools
import pathlib

import msgspec

_FILE = pathlib.Path(__file__).parent / "known_pools.json"


class KnownPool(msgspec.Struct, frozen=True):
    """A pool of the list: its pool id (V2: the pool's address), 0x and 64 hex digits."""

    id: str
    name: str | None
    generation: str


class KnownPools(msgspec.Struct, frozen=True):
    """The list of one network, where it comes from, and of which day it is."""

    network: str
    date: str
    source: str
    pools: tuple[KnownPool, ...]


@functools.cache
def mainnet() -> KnownPools:
    """The list of Starknet mainnet, every generation."""
    return msgspec.json.decode(_FILE.read_bytes(), type=KnownPools)
