"""docs/threat-model.md names the test that shows each row, and each of these tests exists."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threat-model.md"

FILE = re.compile(r"\btests/[a-z]+/test_\w+\.py\b")
NAME = re.compile(r"\btest_\w+(?:…|\.\.\.)?")
ROW = re.compile(r"^\|(?!-)(?P<first>[^|]+)\|.*?\|?(?P<last>[^|]+)\|$", re.MULTILINE)


def rows() -> dict[str, str]:
    """What stands last in each row of the page's tables, by what stands first."""
    found = {row["first"].strip(): row["last"].strip() for row in ROW.finditer(PAGE.read_text())}
    return {first: last for first, last in found.items() if last != "test"}


def functions_of(path: str) -> set[str]:
    """The names of the functions of a file."""
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_the_page_has_rows() -> None:
    assert len(rows()) > 40


@pytest.mark.parametrize("first", rows())
def test_each_row_names_a_test_that_exists(first: str) -> None:
    last = rows()[first]
    files = FILE.findall(last)
    assert files, f"{first!r} names no file of tests: {last!r}"
    missing = [path for path in files if not (ROOT / path).is_file()]
    assert not missing, f"{first!r} names files that are not there"
    there = set().union(*map(functions_of, files))
    unknown = set(NAME.findall(FILE.sub("", last))) - there
    assert not unknown, f"{first!r} names tests that {files} do not have"
