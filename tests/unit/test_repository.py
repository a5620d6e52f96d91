"""The repository's own promises: locks, no addresses or foreign paths, sizes, the wheel."""

from __future__ import annotations

import ast
import graphlib
import gzip
import json
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import grimp
import pytest
from hatchling.builders import wheel
from packaging import requirements, utils

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
# Written in halves, so that this file does not name them either.
REGISTRY_HOSTS = [
    ".".join(halves)
    for halves in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("proxy", "golang", "org"),
        ("maven", "apache", "org"),
        ("anaconda", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
    )
]
FOREIGN_PATH = re.compile(rb"(?<![\w.*}-])/(?:root|work|Users|home/[a-z_][\w-]*)/")
CONFLICT = re.compile(rb"^(?:<{7}|>{7}) .*", re.MULTILINE)
MODULE_LINES = 450
SHIPPED_MODULE_LINES = 400
FUNCTION_LINES = 60
WHEEL_BYTES = 3_000_000


def tracked_files() -> list[Path]:
    """What the repository holds: tracked files and new ones that are not ignored."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


TRACKED = tracked_files()
MODULES = [path for path in TRACKED if path.suffix == ".py"]


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Package → (version, hashes) of a lock file; anything else in it is refused."""
    found: dict[str, tuple[str, list[str]]] = {}
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if not line or line.lstrip().startswith("#"):
            continue
        pin, *hashes = line.split("--hash=sha256:")
        requirement = requirements.Requirement(pin)
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), line[:80]
        digests = [digest.strip() for digest in hashes]
        found[utils.canonicalize_name(requirement.name)] = (str(requirement.specifier), digests)
    return found


def declared(entries: list[object]) -> set[str]:
    return {
        utils.canonicalize_name(requirements.Requirement(entry).name)
        for entry in entries
        if isinstance(entry, str)
    }


def test_no_file_names_a_registry_or_a_path_of_a_build_machine() -> None:
    assert len(TRACKED) > 100
    hosts = re.compile("|".join(map(re.escape, REGISTRY_HOSTS)).encode())
    for path in TRACKED:
        data = content(path)
        for pattern in (hosts, FOREIGN_PATH):
            found = pattern.search(data)
            assert found is None, f"{path.relative_to(ROOT)}: {found and found.group()!r}"


def test_no_file_holds_both_sides_of_a_merge() -> None:
    for path in TRACKED:
        if path.suffix != ".gz":
            found = CONFLICT.search(path.read_bytes())
            assert found is None, f"{path.relative_to(ROOT)}: {found and found.group()!r}"


def test_no_lock_with_download_addresses() -> None:
    names = {path.name for path in TRACKED}
    assert not names & {"uv.lock", "pylock.toml", "poetry.lock"}
    for name in LOCKS:
        assert "://" not in (ROOT / name).read_text(encoding="utf-8"), name


def test_npm_locks_are_hashed_and_name_no_address() -> None:
    locks = [path for path in TRACKED if path.name == "package-lock.json"]
    assert locks
    for path in locks:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path
        packages = json.loads(text)["packages"]
        packages.pop("")
        assert all(one["integrity"].startswith("sha512-") for one in packages.values()), path


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_requirement_is_pinned_and_hashed(name: str) -> None:
    pins = locked(name)
    assert len(pins) >= 5
    for package, (_, digests) in pins.items():
        assert digests, package
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests), package


def test_the_locks_hold_what_is_declared_and_agree() -> None:
    runtime, build, dev = (locked(name) for name in LOCKS)
    groups = PROJECT["dependency-groups"]
    assert declared(PROJECT["project"]["dependencies"]) <= set(runtime)
    assert declared(groups["build"]) <= set(build)
    assert declared(groups["dev"]) <= set(dev)
    for extra in PROJECT["project"]["optional-dependencies"].values():
        assert declared(extra) <= set(dev)
    assert dev.items() >= runtime.items()
    assert dev.items() >= build.items()


def test_every_dependency_is_explained() -> None:
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    explained = {
        utils.canonicalize_name(name)
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([\w-]+)(?:\[\w+\])?`", line.split("|")[1])
    }
    groups = PROJECT["dependency-groups"]
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = declared(
        PROJECT["project"]["dependencies"]
        + [entry for extra in extras for entry in extra]
        + groups["build"]
        + groups["dev"],
    )
    assert wanted == explained


def test_decisions_are_numbered_one_by_one() -> None:
    text = (ROOT / "docs/decisions.md").read_text()
    numbers = [int(number) for number in re.findall(r"^(\d+)\. \*\*", text, re.MULTILINE)]
    assert len(numbers) > 50
    assert numbers == list(range(1, len(numbers) + 1))


def test_no_module_grows_beyond_what_one_can_read() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in MODULES
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES
    }
    assert not long


SHIPPED = [path for path in MODULES if path.relative_to(ROOT).parts[0] == "indexer"]


def test_no_shipped_module_or_function_grows_beyond_what_one_can_read() -> None:
    long = {}
    for path in SHIPPED:
        source = path.read_text(encoding="utf-8")
        name = str(path.relative_to(ROOT))
        if (count := len(source.splitlines())) > SHIPPED_MODULE_LINES:
            long[name] = count
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or 0) - node.lineno + 1
                if count > FUNCTION_LINES:
                    long[f"{name}: {node.name}"] = count
    assert not long


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("indexer")
    imported = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imported) >= len(SHIPPED)
    graphlib.TopologicalSorter(imported).prepare()  # CycleError names the circle


FOR_ROOT_ALONE = Path("tests/chaos/test_database_faults.py")
"""Fills a file system of its own; who may not mount one cannot run that test."""


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    marks = re.compile(r"pytest\.(skip|xfail|importorskip)\b|mark\.(skip|skipif|xfail)\b")
    for path in MODULES:
        place = path.relative_to(ROOT)
        if path != Path(__file__) and place != FOR_ROOT_ALONE and "tests" in place.parts:
            assert not marks.search(path.read_text(encoding="utf-8")), place
    assert len(marks.findall((ROOT / FOR_ROOT_ALONE).read_text(encoding="utf-8"))) == 2


def test_containers_publish_loopback_ports_alone() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    ports = re.findall(r"^\s+ports: *(.*)$", text, re.MULTILINE)
    assert ports
    for entry in ports:
        assert re.fullmatch(r'\["127\.0\.0\.1:[^",]+"\]', entry), entry


def test_the_wheel_holds_all_that_runs_and_stays_small(tmp_path: Path) -> None:
    built = Path(next(wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path))))
    names = set(zipfile.ZipFile(built).namelist())
    relative = [path.relative_to(ROOT).as_posix() for path in TRACKED]
    wanted = {name for name in relative if name.startswith("indexer/")}
    wanted |= {f"indexer/_{name}" for name in relative if name.startswith("migrations/")}
    wanted.add("indexer/_config.toml")
    assert any(name.startswith("indexer/_migrations/") for name in wanted)
    assert {"indexer/py.typed", "indexer/recording/bundled/devnet-a/manifest.json"} <= wanted
    assert wanted <= names
    others = {name for name in names - wanted if ".dist-info/" not in name}
    assert not others
    assert built.stat().st_size <= WHEEL_BYTES
