"""Long work in turns of a millisecond, so that answers of PostgreSQL are taken up in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

TURN_SECONDS = 0.001

FIRST_TURN = 16
"""Items in the first turn, before it is known how long one takes."""


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
