"""Long work in turns of a millisecond: what PostgreSQL waits for goes before it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

TURN_SECONDS = 0.001

FIRST_TURN = 16
"""Items in the first turn, before it is known how long one takes."""

_urgent: set[object] = set()
_waiting: list[asyncio.Future[None]] = []


@contextlib.contextmanager
def first() -> Iterator[None]:
    """While inside, what runs by `of` waits."""
    work = object()
    _urgent.add(work)
    try:
        yield
    finally:
        _urgent.discard(work)
        while _waiting and not _urgent:
            turn = _waiting.pop()
            if not turn.done():
                turn.set_result(None)


async def of(items: Sequence[Item]) -> AsyncIterator[Sequence[Item]]:
    """Consecutive parts of `items`; after each, other tasks run."""
    start, size = 0, FIRST_TURN
    while start < len(items):
        began = time.perf_counter()
        yield items[start : start + size]
        spent = max(time.perf_counter() - began, 1e-9)
        start += size
        size = max(1, min(2 * size, round(size * TURN_SECONDS / spent)))
        await asyncio.sleep(0)
        while _urgent:
            turn = asyncio.get_running_loop().create_future()
            _waiting.append(turn)
            await turn
