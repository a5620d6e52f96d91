"""The same done to many things, some of them at once."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Thing = TypeVar("Thing")


async def each(
    things: AsyncIterator[Thing], do: Callable[[Thing], Awaitable[None]], most: int
) -> None:
    """Do it to each of the things, to `most` at once; the next is taken when there is room.

    The first failure is raised, and what was begun after it is cancelled.
    """
    begun: collections.deque[asyncio.Future[None]] = collections.deque()
    try:
        async for thing in things:
            begun.append(asyncio.ensure_future(do(thing)))
            if len(begun) == most:
                await begun[0]
                begun.popleft()
        while begun:
            await begun[0]
            begun.popleft()
    finally:
        for future in begun:
            future.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
