"""The ABI files of the configured folder: events of classes that came after this release."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from indexer import config, errors
from indexer.cairo import abi
from indexer.vesu import decoders, kinds


def read(settings: config.Settings) -> decoders.ExtraLayouts:
    """The events of the ABI files in the configured folder, by the kind that a file is named by.

    A file holds an ABI as a JSON list, or a class as starknet_getClass gives it.
    """
    if settings.abi.folder is None:
        return {}
    folder = Path(settings.abi.folder)
    if not folder.is_dir():
        raise errors.ConfigError(f"abi.folder: there is no folder {folder}")
    found: dict[kinds.Kind, list[list[dict[str, Any]]]] = {}
    for file in _files(folder):
        kind, abi_ = _abi_file(file)
        found.setdefault(kind, []).append(abi_)
    return {kind: abi.table_of(entries) for kind, entries in found.items()}


def digest(settings: config.Settings) -> str:
    """What the folder holds, as a hash; empty where there is none."""
    if settings.abi.folder is None:
        return ""
    contents = [(file.name, file.read_bytes()) for file in _files(Path(settings.abi.folder))]
    return hashlib.sha256(msgspec.json.encode(contents)).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _abi_file(file: Path) -> tuple[kinds.Kind, list[dict[str, Any]]]:
    name = file.name.partition(".")[0]
    if name not in list(kinds.Kind):
        raise errors.ConfigError(
            f"abi.folder: {file} must be named by a kind of contract, such as pool_v2.json or "
            f"pool_v2.NAME.json (one of {', '.join(kinds.Kind)})"
        )
    try:
        content = msgspec.json.decode(file.read_bytes())
        if isinstance(content, dict):
            content = content["abi"]
        if isinstance(content, str):
            content = msgspec.json.decode(content)
        entries = msgspec.convert(content, list[dict[str, Any]])
        if not abi.table_of([entries]):
            raise ValueError("it has no events")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise errors.ConfigError(
            f"abi.folder: {file} is not an ABI whose events can be read: "
            f"{type(error).__name__}: {error}"
        ) from error
    return kinds.Kind(name), entries
