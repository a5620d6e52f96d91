"""The migrations are one chain: each depends on the one before it, and none stands beside."""

from __future__ import annotations

import collections
import re

import pytest

from indexer.store import migrate


def dependencies(folder_files: dict[str, str]) -> dict[str, list[str]]:
    """Migration → the migrations that its `-- depends:` line names."""
    return {
        name: [
            one
            for line in re.findall(r"^-- depends:(.*)$", text, re.MULTILINE)
            for one in line.split()
        ]
        for name, text in folder_files.items()
    }


def fault(depends: dict[str, list[str]]) -> str | None:
    """Why these are no single chain; None where they are."""
    first = [name for name, before in depends.items() if not before]
    if len(first) != 1:
        return f"one migration begins the chain, not {sorted(first)}"
    for name, before in depends.items():
        if name != first[0] and (len(before) != 1 or before[0] not in depends):
            return f"{name} depends on {before}: name exactly one migration that is there"
    followed = collections.Counter(one for before in depends.values() for one in before)
    for name, count in followed.items():
        if count > 1:
            return f"the chain forks at {name}: {count} migrations depend on it"
    reached = first
    while following := [name for name, before in depends.items() if before == reached[-1:]]:
        reached += following
    return None if len(reached) == len(depends) else "a part of the chain depends on itself"


def test_the_chain_is_linear() -> None:
    files = {
        name: (migrate.folder() / f"{name}.sql").read_text("utf-8") for name in migrate.known()
    }
    assert len(files) >= 12
    assert fault(dependencies(files)) is None


def test_every_migration_can_be_rolled_back() -> None:
    for name in migrate.known():
        assert (migrate.folder() / f"{name}.rollback.sql").is_file(), name


@pytest.mark.parametrize(
    ("depends", "says"),
    [
        ({"a": [], "b": ["a"], "c": ["a"]}, "forks at a"),
        ({"a": [], "b": []}, "one migration begins"),
        ({"a": [], "b": ["z"]}, "b depends on"),
        ({"a": [], "b": ["a"], "c": ["a", "b"]}, "c depends on"),
        ({"a": [], "b": ["c"], "c": ["b"]}, "depends on itself"),
        ({"a": [], "b": ["a"], "c": ["b"]}, None),
    ],
)
def test_what_is_no_chain(depends: dict[str, list[str]], says: str | None) -> None:
    found = fault(depends)
    assert found == says or (found is not None and says is not None and says in found)
