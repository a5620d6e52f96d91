"""Logs on stderr: what we say and what libraries say, one line an event."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from indexer.commands import showing

_PROCESSORS = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
"""The processors that add the fields of every line."""


def set_up(level: str, format_: str) -> None:
    """For people on a terminal, JSON lines otherwise; `format_` as in the settings."""
    on_terminal = sys.stderr.isatty() if format_ == "auto" else format_ == "console"
    renderer = _below_progress(
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if on_terminal
        else structlog.processors.JSONRenderer()
    )
    lowest = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *_PROCESSORS,
            structlog.processors.format_exc_info,
            _fit_to_show,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    _take_in_libraries(renderer, lowest)


def _fit_to_show(
    _: object, __: str, event_dict: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {name: _shown(value) for name, value in event_dict.items()}


def _below_progress(renderer: Any) -> Any:
    """The renderer, whose lines are not written behind a line of progress."""

    def rendered(logger: object, name: str, event: structlog.typing.EventDict) -> str:
        return showing.progress_line.below(renderer(logger, name, event))

    return rendered


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return showing.shown(value)
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value


def _take_in_libraries(renderer: Any, lowest: int) -> None:
    """Warnings and errors of libraries come out as our own lines do.

    Left alone, Python prints them bare, with tracebacks over many lines that no log reader can
    make anything of.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _fit_to_show,
                renderer,
            ],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_PROCESSORS, _in_one_line],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(lowest, logging.WARNING), force=True)
    logging.captureWarnings(capture=True)


def _in_one_line(
    _: object, __: str, event_dict: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The error itself in place of its traceback."""
    _, error, _ = event_dict.pop("exc_info", None) or (None, None, None)
    if error is not None:
        event_dict["reason"] = f"{type(error).__name__}: {error}"
    return event_dict
