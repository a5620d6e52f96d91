"""The migrations are one chain: there is exactly one order in which they can be applied."""

from __future__ import annotations

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
    """Why there is not exactly one order in which these can be applied; None where there is."""
    for name, before in depends.items():
        if unknown := set(before) - depends.keys():
            return f"{name} depends on {sorted(unknown)}, which is not there"
    done: set[str] = set()
    while len(done) < len(depends):
        ready = [one for one in depends if one not in done and done >= set(depends[one])]
        if not ready:
            return "a part of the chain depends on itself"
        if len(ready) > 1:
            return f"the chain forks: {sorted(ready)} may follow {max(done, default='nothing')}"
        done.update(ready)
    return None


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
        ({"a": [], "b": ["a"], "c": ["a"]}, "forks: ['b', 'c'] may follow a"),
        ({"a": [], "b": []}, "forks: ['a', 'b'] may follow nothing"),
        ({"a": [], "b": ["z"]}, "b depends on ['z']"),
        ({"a": [], "b": ["c"], "c": ["b"]}, "depends on itself"),
        ({"a": [], "b": ["a"], "c": ["b"]}, None),
        ({"a": [], "b": ["a"], "c": ["a", "b"]}, None),
    ],
)
def test_what_is_no_chain(depends: dict[str, list[str]], says: str | None) -> None:
    found = fault(depends)
    assert found == says or (found is not None and says is not None and says in found)
