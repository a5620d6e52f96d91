"""docs/reference.md lists every command, option, error class and log message."""

from __future__ import annotations

from tests import reference


def test_the_generated_parts_are_those_of_the_code() -> None:
    page = reference.PAGE.read_text("utf-8")
    assert reference.written(page) == page, "run: python -m tests.reference"


def test_every_log_message_is_explained_and_no_other() -> None:
    page = reference.PAGE.read_text("utf-8")
    assert len(reference.logged()) > 30
    assert reference.explained(page) == reference.logged()
