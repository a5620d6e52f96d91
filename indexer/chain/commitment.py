"""The event commitment of a block header (protocol 0.13.2 and later).

The root of a Merkle-Patricia tree of height 64 over the block's events in chain order: leaf i
is Poseidon(from_address, transaction hash, #keys, keys…, #data, data…). A binary node is
Poseidon(left, right); an edge is Poseidon(child, path) + length, modulo the prime. A block
without events has the commitment 0. The tests check it against recorded and real blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent import futures

from poseidon_py import poseidon_hash

from indexer.cairo import felt252
from indexer.chain import types

HEIGHT = 64
EVENTS_PER_THREAD = 8
"""A thread hashes at least this many: they take some 4 ms, and it takes 0.1 ms to start."""


def of_block(receipts: Sequence[types.Receipt], threads: int = 1) -> int:
    """The event commitment over all events of these receipts (a whole block's, in order).

    At most `threads` threads hash at once: the library releases the interpreter's lock for nine
    tenths of the time that a hash takes.
    """
    preimages = [
        _preimage(event, int(receipt.transaction_hash, 16))
        for receipt in receipts
        for event in receipt.events
    ]
    return root(_leaves(preimages, threads))


def _preimage(event: types.ReceiptEvent, transaction_hash: int) -> list[int]:
    keys, data = event.keys, event.data
    return [int(event.from_address, 16), transaction_hash, len(keys), *keys, len(data), *data]


def _leaves(preimages: Sequence[list[int]], threads: int) -> list[int]:
    threads = min(threads, len(preimages) // EVENTS_PER_THREAD)
    if threads <= 1:
        return _hash_all(preimages)
    share = math.ceil(len(preimages) / threads)
    shares = [preimages[start : start + share] for start in range(0, len(preimages), share)]
    with futures.ThreadPoolExecutor(threads, thread_name_prefix="commitment") as pool:
        return list(itertools.chain.from_iterable(pool.map(_hash_all, shares)))


def _hash_all(preimages: Sequence[list[int]]) -> list[int]:
    return [int(poseidon_hash.poseidon_hash_many(felts)) for felts in preimages]


def root(leaves: Sequence[int]) -> int:
    """The root over leaves at the positions 0, 1, 2, …"""
    return _node(leaves, 0, HEIGHT) if leaves else 0


def _node(leaves: Sequence[int], first: int, height: int) -> int:
    """The subtree of `height` whose leftmost position is `first`, a multiple of 2^height."""
    count = min(len(leaves) - first, 1 << height)
    if height == 0:
        return leaves[first]
    # Descend along empty right halves: they make one edge of zeros.
    length = 0
    while height > 0 and count <= 1 << (height - 1):
        height -= 1
        length += 1
    child = _node(leaves, first, 0) if height == 0 else _branch(leaves, first, height)
    if length == 0:
        return child
    return (int(poseidon_hash.poseidon_hash(child, 0)) + length) % felt252.PRIME


def _branch(leaves: Sequence[int], first: int, height: int) -> int:
    half = 1 << (height - 1)
    left = _node(leaves, first, height - 1)
    right = _node(leaves, first + half, height - 1)
    return int(poseidon_hash.poseidon_hash(left, right))
