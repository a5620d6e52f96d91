"""The common ancestor of two chains: by hash at a height, never by height alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from indexer import errors
from indexer.chain import types


class Headers(Protocol):
    """A source of block headers by number."""

    async def header(self, number: int) -> types.BlockHeader | None:
        """A block's header; None where there is no such block."""
        ...


async def head_agrees(node: Headers, number: int, hash_: str) -> bool:
    """Whether the node's block at this height, which its head has reached, has this hash.

    InconsistentAnswerError where it has no block there: such a node lags behind its own
    head, which proves nothing about the chain.
    """
    header = await node.header(number)
    if header is None:
        raise errors.InconsistentAnswerError(
            f"the node returned a head at or above block {number} and does not know that block",
            kind="lagging",
        )
    return header.hash == hash_


async def find_common_ancestor(
    node: Headers, ladder: Sequence[tuple[int, str]]
) -> tuple[int, str] | None:
    """The highest of these (number, hash) that is on the node's chain; None where none is.

    `ladder` may come in any order. A binary search: every block below a shared one is shared.
    """
    rungs = sorted(ladder)
    low, high = -1, len(rungs) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if await has_block(node, *rungs[middle]):
            low = middle
        else:
            high = middle - 1
    return rungs[low] if low >= 0 else None


async def has_block(node: Headers, number: int, hash_: str) -> bool:
    """Whether a block is on the node's chain; False above the node's head."""
    header = await node.header(number)
    return header is not None and header.hash == hash_
