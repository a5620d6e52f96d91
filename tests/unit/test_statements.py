"""Statements that write name their columns, so that they survive a column that is added later."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "indexer"

INSERT = re.compile(
    r"\bINSERT\s+INTO\s+(?P<table>[\w.{}]+)(?:\s+AS\s+\w+)?\s*(?P<next>.)", re.S | re.I
)


def statements() -> Iterator[tuple[str, str]]:
    """Every SQL file of the package, and every text in its modules, with its place."""
    for path in sorted(PACKAGE.rglob("*.sql")):
        yield str(path.relative_to(PACKAGE)), path.read_text("utf-8")
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node.value


def without_columns(text: str) -> list[str]:
    """The tables that are inserted into without a list of columns."""
    return [found["table"] for found in INSERT.finditer(text) if found["next"] != "("]


def test_every_insert_names_its_columns() -> None:
    seen = 0
    for place, text in statements():
        seen += len(INSERT.findall(text))
        assert not without_columns(text), place
    assert seen > 20


@pytest.mark.parametrize(
    "text", ["INSERT INTO events SELECT 1", "insert into {name} AS l\nVALUES (1)"]
)
def test_one_without_is_found(text: str) -> None:
    assert len(without_columns(text)) == 1


def test_copies_name_their_columns() -> None:
    """asyncpg's COPY takes every column of the table where none is named."""
    seen = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ("copy_records_to_table", "copy_to_table"):
                seen += 1
                assert "columns" in {one.arg for one in node.keywords}, f"{path}:{node.lineno}"
    assert seen >= 3


def test_the_current_schema_is_quoted_where_it_is_read_as_a_name() -> None:
    """Unquoted, "Vesu" would be read as vesu, which is no schema."""
    quoted = 0
    for place, text in statements():
        assert not re.search(r"current_schema\(\)::regnamespace", text), place
        assert not re.search(r"to_reg\w+\(\s*current_schema\(\)", text), place
        quoted += text.count("to_regnamespace(quote_ident(current_schema()))")
    assert quoted >= 5
