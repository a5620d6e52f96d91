"""Asks /health and /ready of a running indexer again and again: each must be answered in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import msgspec

from tests import zygote

ANSWER_SECONDS = 5.0
PAUSE_SECONDS = 0.05
KILLED_SECONDS = 2.0
"""How long after a refused or broken connection the end of its process may become known."""


class Slowest(msgspec.Struct):
    """How many probes were answered, and the most seconds that an answer or an end took."""

    probes: int = 0
    answer: float = 0.0
    stop: float = 0.0


class Probing:
    """Asks whichever process runs at present; `problems` says what was not answered in time."""

    def __init__(self, port: int, process: Callable[[], zygote.Process | None]) -> None:
        self.slowest = Slowest()
        self.problems: list[str] = []
        self._url = f"http://127.0.0.1:{port}"
        self._process = process
        self._answered: set[int] = set()

    async def run(self) -> None:
        """Ask until cancelled."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                for path in ("/health", "/ready"):
                    process = self._process()
                    if process is not None and process.returncode is None:
                        await self._ask(session, path, process)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(
        self, session: aiohttp.ClientSession, path: str, process: zygote.Process
    ) -> None:
        began = time.monotonic()
        try:
            async with session.get(self._url + path) as answer:
                assert answer.status in (200, 503), answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            silent = isinstance(error, TimeoutError)
            # Before its first answer it may not listen yet.
            if (silent or process.pid in self._answered) and not await self._has_ended(process):
                seconds = time.monotonic() - began
                self.problems.append(f"{path}: {type(error).__name__} after {seconds:.1f} s")
            return
        self._answered.add(process.pid)
        self.slowest.probes += 1
        self.slowest.answer = max(self.slowest.answer, time.monotonic() - began)

    async def _has_ended(self, process: zygote.Process) -> bool:
        until = time.monotonic() + KILLED_SECONDS
        while process.returncode is None and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return process.returncode is not None
