"""No function, method or SQL statement of the package is there for tests alone, or for nobody."""

from __future__ import annotations

import ast
import collections
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "indexer"
SOURCES = {path: path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}

ROOMS = (
    *("app", "api", "audit", "cairo", "chain", "commands", "config"),
    *("daemon", "log", "projections", "store"),
)
"""Not `query` and `vesu`, whose functions are a Python API as well."""

USED_FROM_OUTSIDE = {
    "indexer/store/migrate.py": {"checksums"},  # tests/checksums.py writes migrations/CHECKSUMS
}
"""What the repository's own tools call."""


def references() -> collections.Counter[str]:
    """How often each name is read, as a name, an attribute or an import, in the package."""
    found: collections.Counter[str] = collections.Counter()
    for source in SOURCES.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found[node.id] += 1
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found[node.attr] += 1
            elif isinstance(node, ast.ImportFrom):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.keyword) and node.arg:
                found[node.arg] += 1
    return found


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )


def qualified_references() -> set[str]:
    """Every name that a module reads of its own or of an imported one, as module.name."""
    read: set[str] = set()
    for path, source in SOURCES.items():
        tree, module = ast.parse(source), module_of(path)
        imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        read.update(imported.values())
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                read.add(f"{module}.{node.id}")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                read.add(f"{imported.get(node.value.id, module)}.{node.attr}")
    return read


def definitions(body: list[ast.stmt]) -> Iterator[str]:
    """Functions without a decorator, and methods of classes that override nothing."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            is_registered = any(not isinstance(one, ast.Name) for one in node.decorator_list)
            if not is_registered and not node.name.startswith("__"):
                yield node.name
        elif isinstance(node, ast.ClassDef) and _overrides_nothing(node):
            yield from definitions(node.body)


def _overrides_nothing(node: ast.ClassDef) -> bool:
    return all(ast.unparse(base) == "msgspec.Struct" for base in node.bases)


def test_every_function_has_a_caller_in_the_package() -> None:
    called = references()
    for path, source in SOURCES.items():
        name = path.relative_to(PACKAGE.parent).as_posix()
        if not name.startswith(tuple(f"indexer/{room}/" for room in ROOMS)):
            continue
        unused = {one for one in definitions(ast.parse(source).body) if not called[one]}
        # A command's function is called by click; `main` by the console script.
        unused -= USED_FROM_OUTSIDE.get(name, set()) | {"command", "main"}
        assert not unused, name


def test_every_function_and_constant_of_a_module_is_read_by_its_own_name() -> None:
    """Another module's function of the same name keeps nothing alive."""
    read = qualified_references()
    unused = []
    for path, source in SOURCES.items():
        name = path.relative_to(PACKAGE.parent).as_posix()
        if not name.startswith(tuple(f"indexer/{room}/" for room in ROOMS)):
            continue
        outside = USED_FROM_OUTSIDE.get(name, set()) | {"command", "main"}
        for node in ast.parse(source).body:
            names = set(definitions([node])) if not isinstance(node, ast.ClassDef) else set()
            if isinstance(node, ast.Assign):
                names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            unused += [
                f"{name}: {each}"
                for each in names - outside
                if f"{module_of(path)}.{each}" not in read and not each.startswith("__")
            ]
    assert not unused, "\n".join(unused)


def test_every_sql_statement_is_executed() -> None:
    quoted = set(re.findall(r"""["'](\w+)["']""", "\n".join(SOURCES.values())))
    prefixes = re.findall(r"""f["'](\w+_)\{""", "\n".join(SOURCES.values()))
    suffixes = re.findall(r"""\}(_\w+)["']""", "\n".join(SOURCES.values()))
    for path in sorted(PACKAGE.rglob("*.sql")):
        for name in re.findall(r"^-- name: (\w+)", path.read_text("utf-8"), re.MULTILINE):
            is_made = name.startswith(tuple(prefixes)) or name.endswith(tuple(suffixes))
            assert name in quoted or is_made, f"{path.name}: {name}"
