"""Long work in turns: rows that PostgreSQL waits for are made first, everything else after them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

TURN = 100
"""Items in a turn: a few milliseconds. PostgreSQL has no more than that waiting in its socket."""

_urgent: set[object] = set()


@contextlib.contextmanager
def first() -> Iterator[None]:
    """While inside, what runs by `of` waits."""
    work = object()
    _urgent.add(work)
    try:
        yield
    finally:
        _urgent.discard(work)


async def of(items: Sequence[Item]) -> AsyncIterator[Sequence[Item]]:
    """Consecutive parts of `items`; after each, other tasks run."""
    for start in range(0, len(items), TURN):
        yield items[start : start + TURN]
        await asyncio.sleep(0)
        while _urgent:  # noqa: ASYNC110 - the urgent work goes on in the same event loop
            await asyncio.sleep(0)
