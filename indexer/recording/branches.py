"""The blocks of one folder of a recording: a chain, or a branch that was given up."""

from __future__ import annotations

import array
import collections
import functools
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Set

import msgspec

from indexer import errors
from indexer.chain import types
from indexer.recording import lines

# Views whose answer never changes: any recorded answer is good for every block.
CONSTANTS = frozenset({"name", "symbol", "decimals", "asset", "pool_contract", "pool_name"})


class EventLine(msgspec.Struct):
    """An event as a recording's file of events holds it: every felt is canonical hex text."""

    block_number: int
    transaction_index: int
    event_index: int
    block_hash: str
    transaction_hash: str
    from_address: str
    keys: list[str]
    data: list[str]

    def emitted(self) -> types.EmittedEvent:
        """The event as chain.types has it."""
        return types.EmittedEvent(
            self.block_number,
            self.transaction_index,
            self.event_index,
            self.block_hash,
            self.transaction_hash,
            self.from_address,
            [int(felt, 16) for felt in self.keys],
            [int(felt, 16) for felt in self.data],
        )


class Block:
    """A recorded block; what it holds is decoded when asked for.

    `branch` is 0 on the main chain, n on fork n.
    """

    def __init__(self, owner: Branch, number: int) -> None:
        self._owner = owner
        self.branch = owner.index
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Block) and (self._owner, self.number) == (
            other._owner,
            other.number,
        )

    def __hash__(self) -> int:
        return hash((self.branch, self.number))

    @property
    def answer(self) -> msgspec.Raw:
        """The node's getBlockWithReceipts result as JSON text."""
        return self._owner.answer(self.number)

    @property
    def hash(self) -> str:
        """Its hash in canonical hex text."""
        return self._line.block_hash

    @property
    def parent_hash(self) -> str:
        """The hash of the block below it."""
        return self._line.parent_hash

    @property
    def events(self) -> list[types.EmittedEvent]:
        """Its events in chain order."""
        return [
            lines.decode(text, EventLine, "An event").emitted() for text in self.event_texts(None)
        ]

    def event_texts(self, emitters: Set[str] | None) -> list[bytes]:
        """The JSON texts of its events in chain order: of these emitters, or (None) of all."""
        return self._owner.event_texts(self.number, emitters)

    @property
    def _line(self) -> _BlockLine:
        return lines.decode(self.answer, _BlockLine, "A block")


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

    `below` is the last main block below the branch, None for the main chain; `common` is its
    number, for the main chain the number before its first. Block numbers are contiguous and
    parents are linked. The blocks' hashes are added to `hashes`.
    """

    def __init__(
        self, folder: pathlib.Path, index: int, hashes: lines.Hashes, below: Block | None = None
    ) -> None:
        self.folder = folder
        self.index = index
        self._answers = lines.Lines(folder, "blocks")
        self._event_lines = lines.Lines(folder, "events")
        self._first_events = array.array("Q")
        self._emitter_numbers = array.array("I")
        self._emitters: list[str] = []
        if not len(self._answers):
            raise errors.RecordingError(f"{self._answers.path} holds no block.")
        self.first = next(self._answers.decoded(_BlockLine)).block_number
        self.last = self.first + len(self._answers) - 1
        self.common = self.first - 1 if below is None else below.number
        self._read(hashes, below)
        self.blocks: Mapping[int, Block] = _Blocks(self)

    def answer(self, number: int) -> msgspec.Raw:
        """The node's getBlockWithReceipts result as JSON text."""
        return msgspec.Raw(self._answers[number - self.first])

    def event_texts(self, number: int, emitters: Set[str] | None) -> list[bytes]:
        """The JSON texts of a block's events: of these emitters, or (None) of all."""
        index = number - self.first
        events = range(self._first_events[index], self._first_events[index + 1])
        return [
            self._event_lines[event]
            for event in events
            if emitters is None or self._emitters[self._emitter_numbers[event]] in emitters
        ]

    def _read(self, hashes: lines.Hashes, below: Block | None) -> None:
        """Find each block's events; blocks and events must follow each other."""
        parent = None if below is None else below.hash
        emitters: dict[str, int] = {}
        events = self._event_lines.decoded(_EventLine)
        event = next(events, None)
        for number, block in enumerate(self._answers.decoded(_BlockLine), self.common + 1):
            if block.block_number != number or parent not in (None, block.parent_hash):
                raise errors.RecordingError(
                    f"In the recording {self.folder} block {number} is missing or does not "
                    f"follow block {number - 1}; take a fresh copy of it."
                )
            parent = block.block_hash
            hashes.append(parent)
            self._first_events.append(len(self._emitter_numbers))
            while event is not None and event.block_hash == parent:
                emitter = emitters.setdefault(event.from_address, len(emitters))
                self._emitter_numbers.append(emitter)
                event = next(events, None)
        self._first_events.append(len(self._emitter_numbers))
        self._emitters = list(emitters)
        if event is not None:
            raise errors.RecordingError(
                f"In {self._event_lines.path} events of block {event.block_hash} do not follow "
                "those of the block before; take a fresh copy of the recording."
            )

    @functools.cached_property
    def calls(self) -> dict[tuple[str, ...], Call]:
        """Answers of views by (block hash, contract, selector, *calldata)."""
        rows = lines.rows(self.folder, "calls", Call)
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
        return lines.path(self.folder, "state_updates").exists()

    @functools.cached_property
    def state_updates(self) -> dict[int, msgspec.Raw]:
        """The node's starknet_getStateUpdate results as JSON text, by block number."""
        rows = lines.rows(self.folder, "state_updates", msgspec.Raw)
        if len(rows) != len(self.blocks):
            raise errors.RecordingError(
                f"{lines.path(self.folder, 'state_updates')} holds {len(rows)} state updates for "
                f"{len(self.blocks)} blocks; take a fresh copy of the recording."
            )
        return dict(zip(self.blocks, rows, strict=True))

    @functools.cached_property
    def transactions(self) -> dict[str, tuple[int, int]]:
        """(block number, transaction index) of each transaction, by its hash."""
        return {
            item.receipt.transaction_hash: (number, index)
            for number, block in self.blocks.items()
            for index, item in enumerate(
                lines.decode(block.answer, _BlockBody, "A block").transactions
            )
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
            yield number, lines.decode(line, _StateUpdate, "A state update").state_diff


class _Blocks(Mapping[int, Block]):
    """A branch's blocks by number."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._numbers = range(branch.first, branch.last + 1)

    def __getitem__(self, number: int) -> Block:
        if number not in self._numbers:
            raise KeyError(number)
        return Block(self._branch, number)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


class _BlockLine(msgspec.Struct):
    block_number: int
    block_hash: str
    parent_hash: str


class _EventLine(msgspec.Struct):
    block_hash: str
    from_address: str


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
