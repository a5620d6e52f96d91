"""Names in the package say what they hold: words that fit anything are refused."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "indexer"

VAGUE = {
    "at": "block_number, event_key, offset, committed or the like",
    "beside": "what it is",
    "book": "ledger or contracts",
    "held": "what is held: asset_state, position, contract",
    "here": "the place's own name",
    "how": "the setting's own name",
    "more": "next_key, extra_layouts or what else there is more of",
    "moved": "deltas, transfer_amounts or whether something failed over",
    "one": "the singular of what is walked through: position, asset, row",
    "ours": "expected, stored or watched",
    "place": "row_version, event_key, index, folder or the like",
    "places": "the plural of what is meant",
    "put": "store, keep or write",
    "said": "message, sentence or query_values",
    "there": "existing, answered or stored",
    "theirs": "other or answered",
    "told": "reported",
    "given": "the thing itself: options, parameters, addresses",
    "wanted": "page_query, position_ref, expected or what kind of thing it is",
    "what": "subject, suffix, reason or the like",
    "who": "session, sender or holder",
}
"""Refused names of variables, parameters, functions and classes, and what to write instead."""

PUBLIC = {
    ("audit/invariants.py", "what"),
    ("audit/report.py", "what"),
    ("commands/doctor.py", "what"),
    ("query/status.py", "what"),
    ("query/positions.py", "one"),
    ("query/markets.py", "told"),
    ("query/stats.py", "at"),
    ("query/status.py", "ours"),
    ("query/status.py", "theirs"),
    ("audit/reconcile.py", "ours"),
    ("audit/reconcile.py", "theirs"),
}
"""Promised by docs/queries.md and docs/guide.md, or a column of a stored table and of JSON."""

MOMENT = "When"
"""`at` is the moment that a question asks about, where its type is `point_in_time.When`."""


def bindings(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, name and annotation of everything that a module binds by a name of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg, ast.unparse(node.annotation) if node.annotation else ""
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id, ""
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name, ""
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr, ""
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.lineno, node.name, ""
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname, ""


def vague(source: str, module: str) -> list[str]:
    """Where a module binds a vague name."""
    return [
        f"indexer/{module}:{line}: {name}: write {VAGUE[name.strip('_').lower()]}"
        for line, name, annotation in bindings(ast.parse(source))
        if name.strip("_").lower() in VAGUE
        and (module, name) not in PUBLIC
        and not (name == "at" and annotation.split(".")[-1] == MOMENT)
    ]


def test_no_name_fits_anything() -> None:
    paths = sorted(PACKAGE.rglob("*.py"))
    assert len(paths) > 200
    found = []
    for path in paths:
        found += vague(path.read_text("utf-8"), path.relative_to(PACKAGE).as_posix())
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("for one in positions: pass", "one"),
        ("found = [one.id for one in positions]", "one"),
        ("def apply(book): pass", "book"),
        ("def find(at: int): pass", "at"),
        ("class Told: pass", "Told"),
        ("self._said = 0", "_said"),
        ("with session() as ours: pass", "ours"),
        ("if (more := rows()): pass", "more"),
    ],
)
def test_a_vague_name_is_refused_where_it_is_bound(source: str, name: str) -> None:
    (line,) = vague(source, "query/pools.py")
    assert line.startswith(f"indexer/query/pools.py:1: {name}: write ")


def test_the_moment_of_a_question_is_called_at() -> None:
    assert not vague("def find(at: point_in_time.When = None): pass", "query/pools.py")
