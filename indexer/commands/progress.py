"""Progress of work that is counted in rows or bytes: rate, percent and ETA."""

from __future__ import annotations

import sys
import time

import click
import structlog

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 5.0


class Counted:
    """One line of a terminal, written over, or a log line now and then."""

    def __init__(self, what: str, unit: str, *, quiet: bool = False) -> None:
        self._what = what
        self._unit = unit
        self._on_terminal = sys.stderr.isatty()
        self._quiet = quiet
        self._began = time.monotonic()
        self._said = self._began
        self._ended = False
        self._log = structlog.get_logger(what)

    def update(self, done: int, total: int, note: str = "") -> None:
        """Say where the work is, unless it was said just now; a terminal is told the end too."""
        now = time.monotonic()
        pause = TERMINAL_SECONDS if self._on_terminal else LOG_SECONDS
        is_end = done >= total and self._on_terminal and not self._ended
        if self._quiet or (now - self._said < pause and not is_end):
            return
        self._said = now
        self._ended = done >= total
        elapsed = max(now - self._began, 1e-6)
        percent = 100 * done / total if total else 100.0
        eta = elapsed * (total - done) / done if done else 0.0
        rate = done / elapsed
        if self._on_terminal:
            line = (
                f"\r{self._what}: {done:,} of {total:,} {self._unit} · {percent:5.1f} % · "
                f"{rate:,.0f}/s · ETA {eta:,.0f} s {note:<30}"
            )
            click.echo(line, err=True, nl=done >= total)
        else:
            self._log.info(
                "progress",
                done=done,
                of=total,
                unit=self._unit,
                percent=round(percent, 1),
                per_second=round(rate),
                eta_seconds=round(eta),
                note=note or None,
            )
