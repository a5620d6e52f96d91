"""The contracts' own answers in a recording, as the tests hold the tables against them."""

from __future__ import annotations

import functools
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from indexer.recording import chain

U256 = 2


def felts(answer: list[str]) -> list[int]:
    return [int(felt, 16) for felt in answer]


def u256s(values: list[int]) -> list[int]:
    """Pairs of 128-bit limbs, low first, as integers."""
    return [low + (high << 128) for low, high in zip(values[::2], values[1::2], strict=True)]


class Recorded:
    """A recording's blocks, view answers and operations, read once; `chain` is what is served."""

    def __init__(
        self, folder: Path | None = None, recording: chain.Recording | None = None
    ) -> None:
        self.folder = folder or chain.bundled()
        self.chain = recording or chain.load(self.folder)
        self.manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        self.timestamps: dict[int, int] = {}
        self.hashes: dict[int, str] = {}
        with gzip.open(self.folder / "blocks.jsonl.gz", "rt") as lines:
            for line in lines:
                block = json.loads(line)
                self.timestamps[block["block_number"]] = block["timestamp"]
                self.hashes[block["block_number"]] = block["block_hash"]
        self.operations = [
            json.loads(line) for line in (self.folder / "operations.jsonl").read_text().splitlines()
        ]

    @functools.cached_property
    def calls(self) -> dict[str, list[dict[str, Any]]]:
        """The answers of views, by the view's name."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        with gzip.open(self.folder / "calls.jsonl.gz", "rt") as lines:
            for line in lines:
                call = json.loads(line)
                found[call["name"]].append(call)
        return found

    @property
    def last_block(self) -> int:
        return int(self.manifest["last_block"])

    @property
    def factory(self) -> str:
        return str(self.manifest["contracts"]["pool_factory"]["address"])

    @property
    def roots(self) -> list[dict[str, Any]]:
        """The contracts that discovery starts from, as the settings name them."""
        block = self.manifest["contracts"]["pool_factory"]["deployed_at_block"]
        return [{"kind": "pool_factory_v2", "address": self.factory, "from_block": block}]

    @property
    def v_tokens(self) -> dict[int, dict[str, Any]]:
        return {int(entry["address"], 16): entry for entry in self.manifest["v_tokens"]}

    def answered(self, name: str) -> list[tuple[int, int, list[int], list[int]]]:
        """(block, contract, calldata, result) of each call of a view that gave a result."""
        return [
            (
                call["block_number"],
                int(call["contract"], 16),
                felts(call["calldata"]),
                felts(call["result"]),
            )
            for call in self.calls[name]
            if "result" in call
        ]


@functools.cache
def devnet_a() -> Recorded:
    """The recording that comes with the package; nobody changes it."""
    return Recorded()
