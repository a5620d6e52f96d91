"""What libraries log comes out as our own lines do: one line an event, whatever went wrong."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from indexer.commands import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test sets up is taken back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_error_of_a_library_is_one_line_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up("info", "json")
    try:
        raise ConnectionResetError(104, "reset by peer")
    except ConnectionResetError:
        logging.getLogger("asyncpg.pool").exception("the pool lost %s", "a connection")
    (line,) = told(capsys)
    assert line.pop("timestamp")
    assert line == {
        "event": "the pool lost a connection",
        "level": "error",
        "logger": "asyncpg.pool",
        "reason": "ConnectionResetError: [Errno 104] reset by peer",
    }


def test_a_warning_of_python_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("this will go", DeprecationWarning, stacklevel=1)
    (line,) = told(capsys)
    assert line["level"] == "warning"
    assert "this will go" in line["event"]


def test_what_libraries_only_mention_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "json")
    logging.getLogger("asyncio").info("Using selector")
    structlog.get_logger("ours").debug("looked")
    assert [line["event"] for line in told(capsys)] == ["looked"]


def test_on_a_terminal_both_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "console")
    logging.getLogger("asyncpg.pool").error("the pool lost a connection")
    structlog.get_logger("ours").warning("followed")
    theirs, ours = capsys.readouterr().err.splitlines()
    assert "the pool lost a connection" in theirs
    assert "followed" in ours
