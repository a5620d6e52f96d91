"""A call of a contract's view, as the fold asks for it, the node answers it, the log keeps it."""

from __future__ import annotations

from typing import NamedTuple


class ViewCall(NamedTuple):
    """A view called at the state after a block. Contract and calldata are felts.

    The order is that of blocks. The block is its number alone: whoever asks a node gives the
    hashes of the blocks too (chain.source).
    """

    block_number: int
    contract: int
    view: str
    calldata: tuple[int, ...] = ()
