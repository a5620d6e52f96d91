"""The same is done to many things, at most so many at once; a failure ends the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from indexer.chain import at_once


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_never_more_than_so_many_and_each_once(most: int) -> None:
    going: set[int] = set()
    done: list[int] = []
    seen = 0

    async def do(number: int) -> None:
        nonlocal seen
        going.add(number)
        seen = max(seen, len(going))
        # The later ones of each handful are done first.
        for _ in range(10 - number % 5):
            await asyncio.sleep(0)
        going.remove(number)
        done.append(number)

    await at_once.each(numbers(23), do, most)
    assert sorted(done) == list(range(23))
    assert seen == most


async def test_a_failure_is_raised_and_nothing_goes_on_behind_it() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def do(number: int) -> None:
        begun.append(number)
        try:
            if number == 3:
                raise ValueError("the fourth")
            await asyncio.sleep(0 if number < 3 else 60)
        finally:
            ended.append(number)

    with pytest.raises(ValueError, match="the fourth"):
        await at_once.each(numbers(100), do, 4)
    assert begun == sorted(begun)
    assert len(begun) < 10
    assert sorted(ended) == begun


async def test_a_cancellation_reaches_what_was_begun() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def do(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    working = asyncio.create_task(at_once.each(numbers(10), do, 3))
    while len(begun) < 3:
        await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert sorted(ended) == [0, 1, 2]
