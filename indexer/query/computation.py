"""Long computations of answers, one after another beside the event loop.

Each runs in the one thread that is kept for them: whoever asks something small meanwhile waits
milliseconds, not until thousands of positions are valued.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from concurrent import futures
from typing import ParamSpec, TypeVar

from indexer import errors

P = ParamSpec("P")
T = TypeVar("T")

MOST = 4
"""Computations that run or wait: each keeps a connection of the pool, which has others to serve."""

SWITCH_SECONDS = 0.0005
"""How long the thread computes while the event loop waits for its turn. An answer takes a dozen
turns, and Python's own five milliseconds would make that sixty."""

_thread = futures.ThreadPoolExecutor(
    1, "vesu-computation", initializer=sys.setswitchinterval, initargs=(SWITCH_SECONDS,)
)
_in_hand: set[object] = set()


async def of(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns or raises. BusyError where MOST others run or wait.

    Nothing that the event loop uses may be changed by it.
    """
    if len(_in_hand) >= MOST:
        raise errors.BusyError("too many answers are being computed: ask again")
    ticket = object()
    _in_hand.add(ticket)
    try:
        call = functools.partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(_thread, call)
    finally:
        _in_hand.discard(ticket)
