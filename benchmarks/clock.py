"""Where the time of a run goes: seconds by phase, and the process's peak memory."""

from __future__ import annotations

import collections
import inspect
import resource
import sys
import time
from pathlib import Path
from typing import Any


class Clock:
    """Adds up the wall-clock seconds spent in the methods that it watches."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = collections.defaultdict(float)

    def watch(self, owner: Any, method: str, phase: str) -> None:
        """From now on calls of `owner.method` count for `phase`."""
        inner = getattr(owner, method)

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*arguments, **named)
            finally:
                self.seconds[phase] += time.perf_counter() - began

        async def timed_async(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return await inner(*arguments, **named)
            finally:
                self.seconds[phase] += time.perf_counter() - began

        setattr(owner, method, timed_async if inspect.iscoroutinefunction(inner) else timed)


def peak_megabytes(pid: int | str = "self") -> float:
    """The most memory that this process has held, or on Linux another one."""
    # getrusage's peak also counts what the parent held when it started this process.
    if Path(f"/proc/{pid}/status").is_file():
        return megabytes("VmHWM", pid)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def megabytes(field: str, pid: int | str = "self") -> float:
    """What Linux tells of a process's memory: VmRSS is what it holds now, VmHWM the most."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return round(int(fields[field].split()[0]) / 2**10, 1)
