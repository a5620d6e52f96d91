"""The asynchronous half of a command: run to its end, and stopped by signals."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


YOUNG_OBJECTS = 50_000
"""How many containers may be new before the collector looks for cycles among them."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def run(work: Coroutine[Any, Any, T], loop_factory: LoopFactory | None = None) -> T:
    """Run a command's asynchronous half; SIGTERM cancels it and ends the process with 143.

    `loop_factory` makes the event loop; None: asyncio's own. The loop handles the signal: an
    exception that a signal raises in the middle of a callback can be swallowed by a library,
    which then waits for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)  # signals reach the main thread alone
    before = signal.getsignal(signal.SIGTERM)
    is_terminated = False

    async def terminable() -> T:
        task = asyncio.current_task()
        assert task is not None  # asyncio.run made one

        def terminate() -> None:
            nonlocal is_terminated
            is_terminated = True
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        return await work

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(terminable())
    except BaseException:
        if is_terminated:
            sys.exit(128 + signal.SIGTERM)
        raise
    finally:
        # The loop leaves the system's default handler behind, which would end the process at once.
        signal.signal(signal.SIGTERM, before)


def collect_rarely() -> None:
    """Have the collector of cycles look less often, and at none of what is loaded by now.

    A batch holds hundreds of thousands of objects that reference counts free: looking through
    them after every 700 new ones took a quarter of a fill's CPU, and found next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)


def stop_on_signals(stopping: asyncio.Event, hurrying: asyncio.Event | None = None) -> None:
    """From now on the first SIGTERM or SIGINT sets `stopping`, and a second one `hurrying`."""

    def heard() -> None:
        if stopping.is_set() and hurrying is not None:
            hurrying.set()
        stopping.set()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, heard)


def fast() -> LoopFactory | None:
    """The factory of uvloop's event loops; None on Windows, where uvloop does not exist."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
