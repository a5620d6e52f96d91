"""Long computations run one after another, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from indexer import errors
from indexer.query import computation

LONG = 10.0


async def test_the_loop_goes_on_meanwhile() -> None:
    """The work waits for what the loop does only while the work runs."""
    began, done = threading.Event(), threading.Event()

    def work() -> str:
        began.set()
        assert done.wait(LONG), "the loop stood still"
        return "computed"

    computing = asyncio.create_task(computation.of(work))
    while not began.is_set():
        await asyncio.sleep(0)
    done.set()
    assert await computing == "computed"


async def test_one_at_a_time_in_their_order() -> None:
    running: list[int] = []
    seen: list[tuple[int, int]] = []

    def work(number: int) -> None:
        running.append(number)
        time.sleep(0.01)
        seen.append((number, len(running)))
        running.remove(number)

    await asyncio.gather(*(computation.of(work, number) for number in range(computation.MOST)))
    assert seen == [(number, 1) for number in range(computation.MOST)]


async def test_more_than_some_are_refused() -> None:
    """Each waits with a connection of the pool in its hand."""
    done = threading.Event()
    held = [asyncio.create_task(computation.of(done.wait, LONG)) for _ in range(computation.MOST)]
    await asyncio.sleep(0)
    with pytest.raises(errors.DatabaseRefusalError, match="ask again"):
        await computation.of(int)
    done.set()
    assert await asyncio.gather(*held) == [True] * computation.MOST
    assert await computation.of(int, "7") == 7


async def test_an_error_reaches_the_asker_and_leaves_room() -> None:
    for _ in range(computation.MOST + 1):
        with pytest.raises(ValueError, match="seven"):
            await computation.of(int, "seven")


async def test_who_goes_away_leaves_room() -> None:
    """A reader that hangs up while its answer is computed; the thread finishes the work."""
    done = threading.Event()
    held = [asyncio.create_task(computation.of(done.wait, LONG)) for _ in range(computation.MOST)]
    await asyncio.sleep(0)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    done.set()
    assert await computation.of(int, "7") == 7
