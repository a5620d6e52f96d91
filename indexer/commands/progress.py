"""Progress of long work: rate, percent and ETA."""

from __future__ import annotations

import math
import sys
import time
from typing import NamedTuple

import click
import structlog

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 5.0


class _Pace(NamedTuple):
    percent: float
    per_second: float
    eta: float


class _Line:
    """One line of a terminal, written over, or a log line now and then."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        self._what = what
        self._quiet = quiet
        self._on_terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._printed_at = -math.inf
        self._log = structlog.get_logger(what)

    def _is_due(self, *, at_once: bool) -> bool:
        """Whether to speak: nothing was said just now, or it is to be said `at_once`."""
        now = time.monotonic()
        pause = TERMINAL_SECONDS if self._on_terminal else LOG_SECONDS
        if self._quiet or (now - self._printed_at < pause and not at_once):
            return False
        self._printed_at = now
        return True

    def _pace(self, done: int, total: int, counted: int) -> _Pace:
        """How far `done` of `total` is, and how fast what is counted came."""
        elapsed = max(time.monotonic() - self._began, 1e-6)
        return _Pace(
            100 * done / total if total else 100.0,
            counted / elapsed,
            elapsed * (total - done) / done if done > 0 else 0.0,
        )

    def _say(self, words: str, pace: _Pace, *, is_end: bool, **fields: object) -> None:
        if self._on_terminal:
            click.echo(f"\r{self._what}: {words}", err=True, nl=is_end)
        else:
            percent, eta = round(pace.percent, 1), round(pace.eta)
            self._log.info("progress", **fields, percent=percent, eta_seconds=eta)


class Blocks(_Line):
    """Work that goes from block to block, from `first`, and is as fast as it meets events."""

    def __init__(self, what: str, first: int, *, quiet: bool = False) -> None:
        super().__init__(what, quiet=quiet)
        self._first = first

    def update(self, block: int, last: int, events: int) -> None:
        """Say where the work is, unless it was said just now; the end is always told."""
        is_end = block >= last
        if not self._is_due(at_once=is_end):
            return
        pace = self._pace(block - self._first + 1, max(last - self._first + 1, 1), events)
        self._say(
            f"block {block:,} of {last:,} · {pace.percent:5.1f} % · {events:,} events · "
            f"{pace.per_second:,.0f}/s · ETA {pace.eta:,.0f} s   ",
            pace,
            is_end=is_end,
            block=block,
            of=last,
            events=events,
            events_per_second=round(pace.per_second),
        )


class Counted(_Line):
    """Work that is counted in rows, bytes or the like; if short, it says nothing but its end."""

    def __init__(self, what: str, unit: str, *, quiet: bool = False) -> None:
        super().__init__(what, quiet=quiet)
        self._unit = unit
        self._printed_at = self._began
        self._ended = False

    def update(self, done: int, total: int, note: str = "") -> None:
        """Say where the work is, unless it was said just now; a terminal is told the end too."""
        is_end = done >= total
        if not self._is_due(at_once=is_end and self._on_terminal and not self._ended):
            return
        self._ended = is_end
        pace = self._pace(done, total, done)
        self._say(
            f"{done:,} of {total:,} {self._unit} · {pace.percent:5.1f} % · "
            f"{pace.per_second:,.0f}/s · ETA {pace.eta:,.0f} s {note:<30}",
            pace,
            is_end=is_end,
            done=done,
            of=total,
            unit=self._unit,
            per_second=round(pace.per_second),
            note=note or None,
        )
