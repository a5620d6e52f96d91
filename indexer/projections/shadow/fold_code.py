"""The code that decides what a replay writes: only the same code continues a shadow."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources import abc

from indexer.projections import tables

FOLD_PACKAGES = ("cairo", "vesu", "projections")
"""The packages whose code and statements decide what a replay writes."""


@functools.cache
def version() -> str:
    """The fold's version and a hash of its code: only the same code continues a build."""
    code_hash = hashlib.sha256()
    package = resources.files("indexer")
    for folder in FOLD_PACKAGES:
        for path, content in sorted(_files(package.joinpath(folder), folder)):
            code_hash.update(path.encode() + b"\0" + content)
    return f"{tables.FOLD_VERSION}:{code_hash.hexdigest()}"


def _files(folder: abc.Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file in a folder and in those below it, compiled code left out."""
    for entry in folder.iterdir():
        inner = f"{path}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _files(entry, inner)
        elif entry.is_file():
            yield inner, entry.read_bytes()
