"""What the recorded chains hold of Vesu: each contract's kind, and its events in chain order."""

from __future__ import annotations

import functools
import gzip
import json
import pathlib
from typing import Any, NamedTuple

from indexer.vesu import kinds

ROOT = pathlib.Path(__file__).parents[2]
DEVNET_A = ROOT / "indexer" / "recording" / "bundled" / "devnet-a"
DATA = ROOT / "tests" / "data"
V1_RECORDINGS = tuple(
    DATA / name for name in ("devnet-v11", "devnet-v10-migration", "devnet-v10-genesis")
)

_NAMED = {
    "pool_factory": kinds.Kind.POOL_FACTORY_V2,
    "singleton_v10": kinds.Kind.SINGLETON_V1_0,
    "singleton_v11": kinds.Kind.SINGLETON_V1_1,
    "extension_v0": kinds.Kind.EXTENSION_V1_0_GENESIS,
    "extension_v10": kinds.Kind.EXTENSION_V1_0,
    "extension_v11": kinds.Kind.EXTENSION_V1_1,
}
_GENERATIONS = {"v2": "v2", "v10": "v1_0", "v11": "v1_1"}


class Event(NamedTuple):
    """One recorded event of a Vesu contract."""

    block: int
    transaction: int
    index: int
    emitter: int
    kind: kinds.Kind
    keys: list[int]
    data: list[int]


def kind_of(name: str, generation: str) -> kinds.Kind | None:
    """The kind of a manifest's contract; None for what is not Vesu's (mocks, helpers)."""
    if name in _NAMED:
        return _NAMED[name]
    prefix = name.split(":")[0]
    if prefix in ("pool", "oracle", "vtoken"):
        return kinds.Kind(f"{prefix}_{_GENERATIONS[generation]}")
    return None


@functools.cache
def manifest(folder: pathlib.Path) -> dict[str, Any]:
    """The recording's manifest."""
    return json.loads((folder / "manifest.json").read_text())


@functools.cache
def kinds_of(folder: pathlib.Path) -> dict[int, kinds.Kind]:
    """Kinds of the recording's Vesu contracts, by address, those of its forks included."""
    found = {}
    for place in (folder, *_forks(folder)):
        for name, contract in manifest(place).get("contracts", {}).items():
            kind = kind_of(name, contract["generation"])
            if kind is not None:
                found[int(contract["address"], 16)] = kind
    return found


def _forks(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.glob("forks/*"))


def lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """The JSON values of a .jsonl.gz file."""
    with gzip.open(path) as file:
        return [json.loads(line) for line in file]


def felts(raw: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Keys and data of an event."""
    keys, data = ([int(felt, 16) for felt in raw[name]] for name in ("keys", "data"))
    return keys, data


@functools.cache
def events(folder: pathlib.Path, *, with_forks: bool = True) -> tuple[Event, ...]:
    """All events of Vesu's contracts; those of abandoned branches at the end."""
    known = kinds_of(folder)
    return tuple(
        Event(
            raw["block_number"],
            raw["transaction_index"],
            raw["event_index"],
            emitter,
            known[emitter],
            *felts(raw),
        )
        for place in (folder, *(_forks(folder) if with_forks else ()))
        for raw in lines(place / "events.jsonl.gz")
        if (emitter := int(raw["from_address"], 16)) in known
    )
