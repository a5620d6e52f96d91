"""A recorded chain on disk: blocks, events, view answers, state changes, abandoned forks.

A folder holds one run of a node: `manifest.json`, `blocks.jsonl.gz` (the node's
starknet_getBlockWithReceipts results), `events.jsonl.gz`, `state_updates.jsonl.gz`,
`calls.jsonl.gz` (answers of contract views), `classes/<class hash>.abi.json`, and under
`forks/<n>/` the same files for branches that the node gave up, with an `abort.json`. Files of
lines may also lie there without compression, without the `.gz` of their names.
All felts in these files are canonical hex text.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import pathlib
from typing import Any

import msgspec

from indexer import errors
from indexer.recording import branches, lines

Block = branches.Block
Branch = branches.Branch
Call = branches.Call


class Recording:
    """A recorded chain: the main branch, and the branches that were abandoned on the way."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = _read_json(folder / "manifest.json")
        self._hashes = lines.Hashes()
        self.main = Branch(folder, 0, self._hashes)
        self.forks = [self._read_fork(path) for path in _fork_folders(folder)]
        lengths = (len(branch.blocks) for branch in (self.main, *self.forks))
        self._first_positions = [0, *itertools.accumulate(lengths)]

    @property
    def chain_id(self) -> str:
        """The chain's id as a felt in hex text, such as 0x534e5f4d41494e."""
        return self._text("chain_id")

    @property
    def spec_version(self) -> str:
        """The version of the RPC specification that the recorded node spoke."""
        return self._text("spec_version")

    def branch(self, index: int) -> Branch:
        """The main branch (0) or fork `index`; RecordingError if there is none such."""
        for branch in (self.main, *self.forks):
            if branch.index == index:
                return branch
        raise errors.RecordingError(f"The recording {self.folder} has no fork {index}.")

    def block_by_hash(self, block_hash: str) -> Block | None:
        """A block of any branch."""
        every = (self.main, *self.forks)
        for position in self._hashes.candidates(block_hash):
            index = bisect.bisect_right(self._first_positions, position) - 1
            branch = every[index]
            block = branch.blocks[branch.first + position - self._first_positions[index]]
            if block.hash == block_hash:
                return block
        return None

    def abi(self, class_hash: str) -> str | None:
        """The ABI of a class as JSON text, None where it was not recorded."""
        path = self.folder / "classes" / f"{class_hash}.abi.json"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    @functools.cached_property
    def predeployed(self) -> dict[str, tuple[int, str]]:
        """(first block, class hash) by address, of contracts that no state update deploys."""
        found = {
            token["address"]: (self.main.first, token["class_hash"])
            for token in self.manifest.get("tokens", {}).values()
            if "class_hash" in token
        }
        for contract in self.manifest.get("contracts", {}).values():
            if "class_hash" in contract:
                since = contract.get("deployed_at_block", self.main.first)
                found[contract["address"]] = (since, contract["class_hash"])
        return found

    def _text(self, key: str) -> str:
        value = self.manifest.get(key)
        if isinstance(value, str):
            return value
        raise errors.RecordingError(f"{self.folder / 'manifest.json'} does not say the {key}.")

    def _read_fork(self, folder: pathlib.Path) -> Branch:
        path = folder / "abort.json"
        abort = lines.decode(lines.read(path), _Abort, path)
        common = self.main.blocks.get(abort.common_block_number)
        if common is None:
            raise errors.RecordingError(
                f"The recording {folder} leaves the main chain at block "
                f"{abort.common_block_number}, which that does not have; take a fresh copy of it."
            )
        return Branch(folder, int(folder.name), self._hashes, common)


def load(path: str | pathlib.Path) -> Recording:
    """Read a recording. View answers and state updates are read when first asked for.

    Raises RecordingError when the folder is missing, incomplete, broken or damaged.
    """
    folder = pathlib.Path(path)
    if not (folder / "manifest.json").is_file():
        raise errors.RecordingError(
            f"{folder} is not a recorded chain: it has no manifest.json. "
            "Give the folder of a recording."
        )
    _verify_sums(folder)
    return Recording(folder)


def bundled() -> pathlib.Path:
    """The folder of the recording that comes with the package."""
    return pathlib.Path(__file__).parent / "bundled" / "devnet-a"


class _Abort(msgspec.Struct):
    common_block_number: int


def _fork_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders of abandoned branches, the older first."""
    found = (path for path in folder.glob("forks/*") if path.name.isdigit())
    return sorted(found, key=lambda path: int(path.name))


def _read_json(path: pathlib.Path) -> Any:
    return lines.decode(lines.read(path), dict, path)


def _verify_sums(folder: pathlib.Path) -> None:
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return
    for line in sums.read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        if hashlib.sha256(lines.read(folder / name)).hexdigest() != expected:
            raise errors.RecordingError(
                f"{folder / name} differs from its SHA256SUMS; take a fresh copy of the recording."
            )
