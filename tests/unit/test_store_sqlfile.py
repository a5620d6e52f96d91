"""Named SQL statements: what a file may hold, and what is refused."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

import pytest

from indexer.store import sqlfile

TWO = """-- name: first
-- What it does.
SELECT 1;

-- name: second
-- What the other does.
-- A remark of its own.
SELECT ';'
FROM somewhere;
"""


def test_statements_by_name() -> None:
    assert sqlfile.parse(TWO) == {
        "first": "SELECT 1",
        "second": "-- A remark of its own.\nSELECT ';'\nFROM somewhere",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not begin with"),
        ("SELECT 1;\n", "does not begin with"),
        ("SELECT 0;\n" + TWO, "does not begin with"),
        ("-- name: alone\nSELECT 1;\n", "does not begin with"),
        (TWO + "-- name: third\nSELECT 3;\n", "a name lacks its line"),
        (TWO + "--name: third\n-- Badly written.\nSELECT 3;\n", "a name lacks its line"),
        (TWO + "-- name: two words\n-- Badly named.\nSELECT 3;\n", "not one word"),
        (TWO + "-- name: third\n-- name: fourth\n-- Two names.\nSELECT 3;\n", "lacks its line"),
        (TWO + "-- name: first\n-- Again.\nSELECT 3;\n", "first is there twice"),
        (TWO + "-- name: third\n-- Nothing.\n;\n", "third is empty"),
        (TWO + "-- name: third\n-- Nothing.\n-- but a remark\n", "third is empty"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sqlfile.parse(text)


def test_loaded_once_and_not_to_be_changed() -> None:
    statements = sqlfile.load("indexer.store", "locks")
    assert sqlfile.load("indexer.store", "locks") is statements
    with pytest.raises(TypeError):
        statements["try"] = "SELECT true"  # type: ignore[index]


def test_unknown_file() -> None:
    with pytest.raises(FileNotFoundError):
        sqlfile.load("indexer.store", "no_such_file")


PACKAGE = resources.files("indexer")


def walk(folder: Traversable) -> Iterator[Traversable]:
    """Every file of the package."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from walk(entry)
        else:
            yield entry


def test_modules_load_statements_of_their_own_package() -> None:
    """A room that reads another's statements depends on it without an import."""
    for entry in walk(PACKAGE):
        if not entry.name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(entry.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "sqlfile.load":
                assert ast.unparse(node.args[0]) == "__package__", f"{entry}: {ast.unparse(node)}"


def test_every_insert_names_its_columns() -> None:
    """An older process goes on beside a newer schema, whose new columns have defaults."""
    for entry in walk(PACKAGE):
        if entry.name.endswith(".sql"):
            for table, following in re.findall(
                r"INSERT INTO\s+(\S+)(?:\s+AS\s+\w+)?\s*(\S)", entry.read_text("utf-8")
            ):
                assert following == "(", f"{entry}: INSERT INTO {table} names no columns"
