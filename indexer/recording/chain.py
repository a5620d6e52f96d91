"""A recorded chain on disk: blocks, events, view answers, state changes, abandoned forks.

A folder holds one run of a node: `manifest.json`, `blocks.jsonl.gz` (the node's
starknet_getBlockWithReceipts results), `events.jsonl.gz`, `state_updates.jsonl.gz`,
`calls.jsonl.gz` (answers of contract views), `classes/<class hash>.abi.json`, and under
`forks/<n>/` the same files for branches that the node gave up, with an `abort.json`.
All felts in these files are canonical hex text.
"""

from __future__ import annotations

import collections
import functools
import gzip
import hashlib
import itertools
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from indexer import errors
from indexer.chain import types

T = TypeVar("T")

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)  # the latter inside a JSON string

# Views whose answer never changes: any recorded answer is good for every block.
CONSTANTS = frozenset({"name", "symbol", "decimals", "asset", "pool_contract", "pool_name"})


class Block(msgspec.Struct, frozen=True, eq=False):
    """A recorded block. `answer` is the node's getBlockWithReceipts result as JSON text.

    `branch` is 0 on the main chain, n on fork n. `events` are in chain order.
    """

    branch: int
    number: int
    hash: str
    parent_hash: str
    answer: msgspec.Raw
    events: list[types.EmittedEvent]


class Call(msgspec.Struct, gc=False):
    """A recorded answer of a contract view: `result` or `error` is empty, as JSON text."""

    block_number: int
    block_hash: str
    contract: str
    name: str
    selector: str
    calldata: list[str]
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()

    @property
    def question(self) -> tuple[str, ...]:
        """The call without its block: contract, selector and calldata."""
        return (self.contract, self.selector, *self.calldata)


class Branch:
    """The blocks of one folder: the main chain (index 0), or fork `index` of it.

    `common` is the number of the last main block below the branch: for the main chain the
    number before its first. Block numbers are contiguous and parents are linked.
    """

    def __init__(self, folder: pathlib.Path, index: int, common: int | None = None) -> None:
        self.folder = folder
        self.index = index
        self.blocks = {block.number: block for block in _read_blocks(folder, index)}
        if not self.blocks:
            raise errors.RecordingError(f"{folder / 'blocks.jsonl.gz'} holds no block.")
        self.first = min(self.blocks)
        self.last = max(self.blocks)
        self.common = self.first - 1 if common is None else common

    @functools.cached_property
    def calls(self) -> dict[tuple[str, ...], Call]:
        """Answers of views by (block hash, contract, selector, *calldata)."""
        rows = _rows(self.folder / "calls.jsonl.gz", Call)
        return {(row.block_hash, *row.question): row for row in rows}

    @functools.cached_property
    def constants(self) -> dict[tuple[str, ...], list[Call]]:
        """Answers of views that never change, by question, in block order."""
        found = collections.defaultdict(list)
        for row in self.calls.values():
            if row.name in CONSTANTS:
                found[row.question].append(row)
        return found

    @property
    def has_state_updates(self) -> bool:
        """Whether the recording holds state updates: one of a few real blocks may not."""
        return self._state_updates_path.exists()

    @property
    def _state_updates_path(self) -> pathlib.Path:
        return self.folder / "state_updates.jsonl.gz"

    @functools.cached_property
    def state_updates(self) -> dict[int, msgspec.Raw]:
        """The node's starknet_getStateUpdate results as JSON text, by block number."""
        path = self._state_updates_path
        lines = _rows(path, msgspec.Raw)
        if len(lines) != len(self.blocks):
            raise errors.RecordingError(
                f"{path} holds {len(lines)} state updates for {len(self.blocks)} blocks; "
                "take a fresh copy of the recording."
            )
        return dict(zip(sorted(self.blocks), lines, strict=True))

    @functools.cached_property
    def transactions(self) -> dict[str, tuple[int, int]]:
        """(block number, transaction index) of each transaction, by its hash."""
        return {
            item.receipt.transaction_hash: (number, index)
            for number, block in self.blocks.items()
            for index, item in enumerate(_decode(block.answer, _BlockBody).transactions)
        }

    @functools.cached_property
    def class_hashes(self) -> dict[str, list[tuple[int, str]]]:
        """(block number, class hash) of each deployment and replacement, by contract."""
        found = collections.defaultdict(list)
        for number, diff in self._state_diffs():
            for change in itertools.chain(diff.deployed_contracts, diff.replaced_classes):
                found[change.address or change.contract_address].append((number, change.class_hash))
        return found

    @functools.cached_property
    def nonces(self) -> dict[str, list[tuple[int, str]]]:
        """(block number, new nonce) of each change of a nonce, by contract."""
        found = collections.defaultdict(list)
        for number, diff in self._state_diffs():
            for change in diff.nonces:
                found[change.contract_address].append((number, change.nonce))
        return found

    def _state_diffs(self) -> Iterator[tuple[int, _StateDiff]]:
        for number, line in self.state_updates.items():
            yield number, _decode(line, _StateUpdate).state_diff


class Recording:
    """A recorded chain: the main branch, and the branches that were abandoned on the way."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = _read_json(folder / "manifest.json")
        self.main = Branch(folder, 0)
        self.forks = [self._read_fork(path) for path in _fork_folders(folder)]
        self._by_hash = {
            block.hash: block
            for branch in (self.main, *self.forks)
            for block in branch.blocks.values()
        }
        self._check_links()

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
        return self._by_hash.get(block_hash)

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
        abort = _decode(_read(path), _Abort, path)
        return Branch(folder, int(folder.name), abort.common_block_number)

    def _check_links(self) -> None:
        for branch in (self.main, *self.forks):
            below = self.main.blocks.get(branch.common)
            for number in range(branch.first, branch.last + 1):
                block = branch.blocks.get(number)
                if block is None or (
                    number > self.main.first and (below is None or block.parent_hash != below.hash)
                ):
                    raise errors.RecordingError(
                        f"In the recording {branch.folder} block {number} is missing or does not "
                        f"follow block {number - 1}; take a fresh copy of it."
                    )
                below = block


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


class _BlockLine(msgspec.Struct):
    block_number: int
    block_hash: str
    parent_hash: str


class _Hashed(msgspec.Struct):
    transaction_hash: str


class _Executed(msgspec.Struct):
    receipt: _Hashed


class _BlockBody(msgspec.Struct):
    transactions: list[_Executed]


class _ClassChange(msgspec.Struct):
    class_hash: str
    address: str = ""  # of a deployed contract
    contract_address: str = ""  # of a replaced class


class _NonceChange(msgspec.Struct):
    contract_address: str
    nonce: str


class _StateDiff(msgspec.Struct):
    deployed_contracts: list[_ClassChange]
    replaced_classes: list[_ClassChange]
    nonces: list[_NonceChange]


class _StateUpdate(msgspec.Struct):
    state_diff: _StateDiff


def _read_blocks(folder: pathlib.Path, branch: int) -> Iterator[Block]:
    events = collections.defaultdict(list)
    for event in _rows(folder / "events.jsonl.gz", types.EmittedEvent):
        events[event.block_hash].append(event)
    path = folder / "blocks.jsonl.gz"
    for answer in _rows(path, msgspec.Raw):
        line = _decode(answer, _BlockLine, path)
        yield Block(
            branch,
            line.block_number,
            line.block_hash,
            line.parent_hash,
            answer,
            events[line.block_hash],
        )


def _fork_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders of abandoned branches, the older first."""
    found = (path for path in folder.glob("forks/*") if path.name.isdigit())
    return sorted(found, key=lambda path: int(path.name))


def _rows(path: pathlib.Path, kind: type[T]) -> list[T]:
    """The lines of a compressed file, each decoded as `kind`."""
    try:
        text = gzip.decompress(_read(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise errors.RecordingError(
            f"{path} is not a complete gzip file ({error}); take a fresh copy of the recording."
        ) from error
    try:
        return msgspec.json.Decoder(kind).decode_lines(text)
    except _UNREADABLE as error:
        raise _broken(path, error) from error


def _read_json(path: pathlib.Path) -> Any:
    return _decode(_read(path), dict, path)


def _decode(text: bytes | msgspec.Raw, kind: type[T], path: pathlib.Path | None = None) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except _UNREADABLE as error:
        raise _broken(path or "A block or state update", error) from error


def _broken(reason: object, error: Exception) -> errors.RecordingError:
    return errors.RecordingError(
        f"{reason} does not hold the JSON of a recording ({error}); take a fresh copy of it."
    )


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.RecordingError(f"The recording lacks {path}: {error.strerror}.") from error


def _verify_sums(folder: pathlib.Path) -> None:
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return
    for line in sums.read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        if hashlib.sha256(_read(folder / name)).hexdigest() != expected:
            raise errors.RecordingError(
                f"{folder / name} differs from its SHA256SUMS; take a fresh copy of the recording."
            )
