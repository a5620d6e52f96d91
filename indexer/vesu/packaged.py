"""The ABIs that the package brings, compiled when they are first asked for."""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import msgspec

from indexer.cairo import abi

_FOLDER = pathlib.Path(__file__).parent / "abis"


@functools.cache
def load(*names: str) -> abi.Table:
    """The events of all ABIs so named together; of layouts with equal lengths the first stays."""
    return abi.table_of(map(read, names))


def read(name: str) -> list[dict[str, Any]]:
    """A packaged ABI as its file holds it."""
    content = (_FOLDER / f"{name}.json").read_bytes()
    return msgspec.json.decode(content, type=list[dict[str, Any]])
