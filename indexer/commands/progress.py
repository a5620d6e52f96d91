"""Progress of long work: rate, percent and ETA."""

from __future__ import annotations

import math
import shutil
import sys
import time
from typing import NamedTuple

import click
import structlog

from indexer import values
from indexer.commands import showing

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 5.0

SHORTEST_SECONDS = 0.5
"""Of less work no rate is known: a moment's would be absurd."""


class _Pace(NamedTuple):
    """How far the work is; how fast, and how long the rest takes: None while that is a guess."""

    percent: float
    per_second: float | None
    eta: float | None


class _Line:
    """One line of a terminal, written over, or a log line now and then."""

    def __init__(self, task: str, *, quiet: bool) -> None:
        self._task = task
        self._quiet = quiet
        self._on_terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._printed_at = -math.inf
        self._log = structlog.get_logger(task)
        self._widest = 0

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
        elapsed = time.monotonic() - self._began
        is_known = elapsed >= SHORTEST_SECONDS and done > 0
        return _Pace(
            100 * done / total if total else 100.0,
            counted / elapsed if is_known else None,
            elapsed * (total - done) / done if is_known else None,
        )

    def _say(self, words: list[str], pace: _Pace, *, is_end: bool, **fields: object) -> None:
        if self._on_terminal:
            self._write(f"{self._task}: {' · '.join(words)}", is_end=is_end)
        else:
            percent = round(pace.percent, 1)
            eta = None if pace.eta is None else round(pace.eta)
            self._log.info("progress", **fields, percent=percent, eta_seconds=eta)

    def _write(self, line: str, *, is_end: bool) -> None:
        """Over the line before: cut where the terminal ends, as a wrapped line stays behind."""
        line = line[: shutil.get_terminal_size().columns - 1]
        self._widest = max(self._widest, len(line))
        click.echo(f"\r{line:<{self._widest}}", err=True, nl=is_end)
        showing.progress_line.is_open = not is_end


class Blocks(_Line):
    """Work that goes from block to block, from `first`, and is as fast as it meets events."""

    def __init__(self, task: str, first: int, *, quiet: bool = False) -> None:
        super().__init__(task, quiet=quiet)
        self._first = first

    def update(self, block: int, last: int, events: int) -> None:
        """Say where the work is, unless it was said just now; the end is always told."""
        is_end = block >= last
        if not self._is_due(at_once=is_end):
            return
        pace = self._pace(block - self._first + 1, max(last - self._first + 1, 1), events)
        words = [f"block {block:,} of {last:,}", f"{pace.percent:5.1f} %"]
        words.append(values.counted(events, "event"))
        if pace.per_second is not None:
            words.append(f"{pace.per_second:,.0f} events/s")
        self._say(
            [*words, *_left(pace, is_end=is_end)],
            pace,
            is_end=is_end,
            block=block,
            of=last,
            events=events,
            events_per_second=None if pace.per_second is None else round(pace.per_second),
        )


class Counted(_Line):
    """Work that is counted in rows, bytes or the like; if short, it says nothing but its end."""

    def __init__(self, task: str, unit: str, *, quiet: bool = False) -> None:
        super().__init__(task, quiet=quiet)
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
        words = [self._amounts(done, total), f"{pace.percent:5.1f} %"]
        if pace.per_second is not None:
            words.append(f"{self._amount(pace.per_second)}/s")
        words += _left(pace, is_end=is_end)
        self._say(
            [*words, note] if note and not is_end else words,
            pace,
            is_end=is_end,
            done=done,
            of=total,
            unit=self._unit,
            per_second=None if pace.per_second is None else round(pace.per_second),
            note=note or None,
        )

    def _amounts(self, done: int, total: int) -> str:
        if self._unit == "bytes":
            return f"{values.size(done)} of {values.size(total)}"
        return f"{done:,} of {total:,} {self._unit}"

    def _amount(self, count: float) -> str:
        return values.size(round(count)) if self._unit == "bytes" else f"{count:,.0f}"


def _left(pace: _Pace, *, is_end: bool) -> list[str]:
    """How long the rest takes, where that is known and there is a rest."""
    return [] if is_end or pace.eta is None else [f"{values.duration(pace.eta)} left"]
