"""A window of blocks while it is read, and the checks that all of it is of one chain."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import msgspec

from indexer import errors
from indexer.chain import source as sources
from indexer.chain import types

EventTimes = Callable[[Sequence[types.EmittedEvent]], dict[int, int]]
"""The times in seconds of those blocks, by number, whose own events tell them."""


class Window(msgspec.Struct):
    """The events of a window for the addresses known when it was read, and their source."""

    source: sources.Source
    from_block: int
    to_block: int
    parent_hash: str
    tip: types.BlockHeader
    addresses: frozenset[int]
    events: list[types.EmittedEvent]
    blocks: dict[int, types.BlockWithReceipts]
    headers: dict[int, types.BlockHeader] = msgspec.field(default_factory=dict)
    event_times: dict[int, int] = msgspec.field(default_factory=dict)
    is_closed: bool = False
    """Whether the last block's hash was the same again after everything else was read."""

    @property
    def numbers(self) -> range:
        """The numbers of its blocks."""
        return range(self.from_block, self.to_block + 1)


async def ends(
    node_source: sources.Source, from_block: int, to_block: int
) -> tuple[types.BlockHeader, types.BlockHeader]:
    """Headers of the last and of the first block, in this order.

    They are asked in one batch: from two nodes, the range could join two forks. A range of the
    head alone begins with the header that was told as the head.
    """
    if from_block == to_block and (head := node_source.take_head(to_block)) is not None:
        return head, head
    numbers = [to_block] if from_block == to_block else [to_block, from_block]
    block_headers = await node_source.headers(numbers)
    return block_headers[0], block_headers[-1]


async def close(window: Window) -> None:
    """Read the last block's hash again; InconsistentAnswerError where it changed meanwhile."""
    if window.is_closed:
        return
    (again,) = await window.source.headers([window.to_block])
    if again.hash != window.tip.hash:
        raise errors.InconsistentAnswerError(
            f"block {window.to_block} changed while the range up to it was read", kind="fork"
        )
    window.is_closed = True


def check_hashes(window: Window) -> None:
    """Check by hash that events, blocks and tip are of one chain where they overlap."""
    headers = window.headers | {number: block.header for number, block in window.blocks.items()}
    hashes = {number: header.hash for number, header in headers.items()}
    for event in window.events:
        # A block without a header has the hash that its first event gives.
        known = hashes.setdefault(event.block_number, event.block_hash)
        if known != event.block_hash:
            raise errors.InconsistentAnswerError(
                f"block {event.block_number} has the hash {known}, an event of it says "
                f"{event.block_hash}: the chain changed while it was read",
                kind="fork",
            )
    if headers.get(window.to_block, window.tip).hash != window.tip.hash:
        raise errors.InconsistentAnswerError(f"block {window.to_block} is not its tip", kind="fork")
    for number, header in headers.items():
        before = headers.get(number - 1)
        if before is not None and header.parent_hash != before.hash:
            raise errors.InconsistentAnswerError(
                f"block {number} does not stand on block {number - 1}", kind="fork"
            )


async def add_times(window: Window, event_times: EventTimes) -> None:
    """Find the time of each block with events: by its events, else by its header.

    Times that run backwards, or contradict a header, tell that some event lies: then every
    header of the window is read.
    """
    numbers = {event.block_number for event in window.events}
    # The tip is known by its header, whatever its events tell: no block is two rows.
    window.headers[window.to_block] = window.tip
    window.event_times = {
        number: seconds
        for number, seconds in event_times(window.events).items()
        if number not in window.headers
    }
    await _add_headers(window, numbers - window.event_times.keys())
    if not _times_ascend(window):
        window.event_times = {}
        await _add_headers(window, numbers)


async def _add_headers(window: Window, numbers: set[int]) -> None:
    for header in await window.source.headers(sorted(numbers - window.headers.keys())):
        window.headers[header.number] = header


def _times_ascend(window: Window) -> bool:
    """Whether the times of headers and events together never run backwards, up to the tip's."""
    times = window.event_times | {
        number: header.timestamp for number, header in window.headers.items()
    }
    ascending = [times[number] for number in sorted(times)]
    return all(before <= after for before, after in itertools.pairwise(ascending))
