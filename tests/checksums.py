"""migrations/CHECKSUMS: what each migration was when it was written. `python -m tests.checksums`
adds the new files; a file that stands there already is only let change with `--unreleased`."""

from __future__ import annotations

import sys
from pathlib import Path

from indexer.store import migrate

FILE = Path(__file__).parents[1] / "migrations" / "CHECKSUMS"


def read() -> dict[str, str]:
    """File name → SHA-256 in hex."""
    pairs = (line.split("  ") for line in FILE.read_text("ascii").splitlines())
    return {name: digest for digest, name in pairs}


def changed(noted: dict[str, str], found: dict[str, str]) -> list[str]:
    """The noted files that are no longer what they were, or are gone."""
    return sorted(name for name, digest in noted.items() if found.get(name) != digest)


def main(arguments: list[str]) -> str | None:
    """Write the file anew; returns what stands against it."""
    noted = read() if FILE.exists() else {}
    found = migrate.checksums()
    edited = changed(noted, found)
    if edited and arguments != ["--unreleased"]:
        return f"{', '.join(edited)}: a released migration is never edited; write a new one"
    FILE.write_text("".join(f"{digest}  {name}\n" for name, digest in found.items()), "ascii")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
