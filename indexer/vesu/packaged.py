"""The ABIs that the package brings."""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import msgspec

_FOLDER = pathlib.Path(__file__).parent / "abis"


@functools.cache
def read(name: str) -> list[dict[str, Any]]:
    """A packaged ABI as its file holds it."""
    content = (_FOLDER / f"{name}.json").read_bytes()
    return msgspec.json.decode(content, type=list[dict[str, Any]])
