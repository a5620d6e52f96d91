"""Windows that are read before they are delivered."""

from __future__ import annotations

import asyncio
import collections
from typing import NamedTuple

from indexer.chain import windows


class Ahead(NamedTuple):
    """A window that is being read: `tasks` in order, each of which waits for the one before.

    The last one returns the window. The others are kept to be cancelled, too: a task that is
    cancelled before it has started does not cancel the one that it would wait for.
    """

    from_block: int
    addresses: frozenset[int]
    tasks: tuple[asyncio.Task[windows.Window], ...]


Queue = collections.deque[Ahead]
"""The windows after the one that was delivered last, in order."""


async def cancel(ahead: Queue) -> None:
    """Break off all of them."""
    tasks = [task for window in ahead for task in window.tasks]
    ahead.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
