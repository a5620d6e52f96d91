"""What libraries log comes out as our own lines do: one line an event, whatever went wrong."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from indexer import cli, errors
from indexer.commands import logs, showing


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


KEY = "d41d8cd98f00b204e9800998ecf8427e"
ECHO = f"no\x1b[2J route \u202efor /rpc/{KEY.upper()}\x07"


@pytest.fixture
def secret() -> Iterator[None]:
    showing.keep_secret([KEY, "main"])
    yield
    showing.keep_secret([])


@pytest.mark.usefixtures("secret")
def test_no_line_shows_a_secret_or_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever says it, and wherever in the line it stands; a word such as main is no secret."""
    for form in ("json", "console"):
        logs.set_up("info", form)
        structlog.get_logger("ours").warning("trouble", reason=ECHO, names=[ECHO], chain="main")
        logging.getLogger("theirs").error("lost %s", ECHO)
        try:
            raise OSError(ECHO)
        except OSError:
            structlog.get_logger("ours").exception("failed")
            logging.getLogger("theirs").exception("failed")
        said = capsys.readouterr().err
        assert KEY not in said.lower()
        assert said.count("***") == 5
        assert "main" in said
        assert not {"\x1b[2J", "\x07", "\u202e"} & set(re.findall(r"\x1b\[2J|\x07|\u202e", said))
        assert "\\u001b" not in said


@pytest.mark.usefixtures("secret")
def test_no_error_of_a_command_shows_a_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise errors.FatalNodeError(ECHO)

    monkeypatch.setattr(cli.group, "main", fail)
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().err
    assert said == "error: no\ufffd[2J route \ufffdfor /rpc/***\ufffd\n"
