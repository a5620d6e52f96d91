"""docs/failure-modes.md names tests; each must exist, with the case that it names."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "failure-modes.md"
REFERENCE = re.compile(r"`(?:[\w/]+\.py::)?(test_\w+)(?:\[([^\]`]+)\])?`(?: ×(\d+))?")
TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
LEAST_VARIANTS = 6
"""How many variants a kind has at least that is tried in variants at all."""


def rows() -> Iterator[tuple[str, list[str]]]:
    """Heading and cells of every row whose table has a column of tests."""
    section, has_tests = "", False
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        if not line.startswith("|"):
            has_tests = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[-1] in ("test", "tests"):
            has_tests = True
        elif has_tests and not set(line) <= set("|-: "):
            yield section, cells


ROWS = list(rows())


def functions() -> dict[str, tuple[Path, str]]:
    """The module of every test function, and its source."""
    found: dict[str, tuple[Path, str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        found |= dict.fromkeys(TEST.findall(source), (path, source))
    return found


FUNCTIONS = functions()


def test_every_section_has_rows() -> None:
    assert {section for section, _ in ROWS} >= {
        "The chain",
        "Nodes that lag",
        "Nodes that lie",
        "Nodes and ways that break",
        "The daemon",
        "Database",
    }
    assert len(ROWS) > 50


@pytest.mark.parametrize(("section", "cells"), ROWS, ids=[cells[0] for _, cells in ROWS])
def test_every_row_is_whole_and_backed_by_a_test(section: str, cells: list[str]) -> None:
    assert len(cells) == 5, section
    assert all(cells)
    references = REFERENCE.findall(cells[-1])
    assert references
    assert REFERENCE.sub("", cells[-1]).strip(" ,") == "", "something else than tests stands there"
    for name, case, _ in references:
        assert name in FUNCTIONS, name
        assert not case or f'"{case}"' in FUNCTIONS[name][1], f"{name} has no case {case!r}"
    noted = {name: int(count) for name, _, count in references if count}
    assert noted == {name: variants(name) for name in noted}
    assert not noted or sum(noted.values()) >= LEAST_VARIANTS


def variants(name: str) -> int:
    """How often a test is played, by its parameters."""
    path = FUNCTIONS[name][0].relative_to(ROOT).with_suffix("")
    function = getattr(importlib.import_module(".".join(path.parts)), name)
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    return math.prod(len(list(mark.args[1])) for mark in marks)


def test_the_kinds_of_gateways_and_databases_are_tried_in_variants() -> None:
    noted = [cells[0] for _, cells in ROWS if " ×" in cells[-1]]
    assert len(noted) >= 20
