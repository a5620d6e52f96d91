"""The recorded chain below one tip: the blocks that a node with that head knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from indexer.recording import chain


class Tip(NamedTuple):
    """A head: block `number` of fork `branch`, or of the main chain where `branch` is 0."""

    branch: int
    number: int


class View:
    """Main blocks, and above them a fork's where the tip is on a fork; nothing without a tip.

    Blocks at least `finality_lag` below the head are ACCEPTED_ON_L1; None: no block ever is.
    """

    def __init__(
        self, recording: chain.Recording, tip: Tip | None, finality_lag: int | None = None
    ) -> None:
        self.recording = recording
        self.tip = tip
        self.finality_lag = finality_lag
        self._segments = _segments(recording, tip)
        self.first = recording.main.first

    @property
    def head(self) -> chain.Block | None:
        """The highest block, None on an empty node."""
        return None if self.tip is None else self.block_at(self.tip.number)

    @property
    def finalised(self) -> chain.Block | None:
        """The highest block that is accepted on L1."""
        if self.tip is None or self.finality_lag is None:
            return None
        return self.block_at(self.tip.number - self.finality_lag)

    def block_at(self, number: int) -> chain.Block | None:
        """The block at a height, None below the first and above the head."""
        for branch, last in self._segments:
            if number > last:
                return None
            if number > branch.common:
                return branch.blocks.get(number)
        return None

    def contains(self, block: chain.Block) -> bool:
        """Whether the block is on this chain."""
        return self.block_at(block.number) == block

    def is_final(self, block: chain.Block) -> bool:
        """Whether the block is accepted on L1."""
        finalised = self.finalised
        return finalised is not None and block.number <= finalised.number

    def up_to(self, block: chain.Block) -> View:
        """The chain that ends with this block, which may also be an abandoned one."""
        return View(self.recording, Tip(block.branch, block.number), self.finality_lag)

    def segments(self) -> Iterator[tuple[chain.Branch, int]]:
        """Each branch with the number of its highest block here, the uppermost first."""
        yield from self._segments


def _segments(recording: chain.Recording, tip: Tip | None) -> list[tuple[chain.Branch, int]]:
    if tip is None:
        return []
    branch = recording.branch(tip.branch)
    if branch.index == 0:
        return [(branch, tip.number)]
    return [(branch, tip.number), (recording.main, branch.common)]
