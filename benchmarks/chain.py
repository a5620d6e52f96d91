"""A dense chain for measuring: devnet-a, and on top of it as many invented blocks as asked for.

The same seed gives the same chain. Every invented transaction emits what a real one emits, in
the real order: UpdateContext and ModifyPosition, with a vToken's Transfer and Deposit or
Withdraw where somebody earns. Interest accrues and shares are worth what the contracts' maths
says (`benchmarks.actors`). The headers of the last blocks carry the true event commitment: a
fill holds no other against it, and to compute it takes five times what all the rest does.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import hashlib
import itertools
import json
import os
import random
import shutil
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, Protocol

import msgspec

from benchmarks import actors, crowd, folding
from indexer.cairo import selector
from indexer.chain import commitment, types
from indexer.projections import valuations
from indexer.recording import chain as recordings
from indexer.recording import lines

SEED = 20_260_101
BLOCK_EVENTS = 100
SECONDS_PER_BLOCK = 30
FEW_USERS = 40
CROWDED_EVENTS = 5_000
"""About how many events a block has in which positions are opened by the thousand."""

NEAR_SHARE = 0.01
"""The share of these positions whose health is below 1.3."""

COMMITTED_BLOCKS = 1_010
"""How many of the last blocks have an event commitment: a few more than are proved by it."""

FOREIGN_EVENTS = 4
"""Events of a transaction of others, beside its fee's."""

TRANSFER = ("Transfer", "token", "sender", "recipient", "amount")

NOTHING: dict[str, Any] = {
    "transaction_count": 0,
    "event_count": 0,
    "event_commitment": "0x0",
    "transactions": [],
}
"""What the header and body of a block without transactions say."""


class Emitting(Protocol):
    """Invents what Vesu's contracts emit."""

    def transaction(self, timestamp: int) -> list[actors.Event]:
        """The events of the next transaction, which is in a block of this time."""
        ...


def build(
    folder: Path,
    events: int,
    seed: int = SEED,
    block_events: int = BLOCK_EVENTS,
    empty_blocks: int = 0,
    committed: int = COMMITTED_BLOCKS,
    most_blocks: int | None = None,
) -> int:
    """Write a recording of devnet-a and `events` more of Vesu's events; returns its head.

    `empty_blocks` blocks without events follow each block with events. The last `committed`
    blocks have their event commitment. With `most_blocks` the chain ends after so many more
    blocks at the latest.
    """
    recorded, told = _begin(folder)
    users = actors.Actors(recordings.bundled(), seed)
    with _Branch(folder) as branch:
        branch.copy(recorded, told)
        invented = _invent(
            users, recorded[-1], block_events, proved=False, empty_blocks=empty_blocks
        )
        return branch.grow(itertools.islice(invented, most_blocks), events, committed)


def build_fork(
    folder: Path, events: int, depth: int, seed: int = SEED, block_events: int = BLOCK_EVENTS
) -> int:
    """As `build`, without commitments, and then two branches of `depth` blocks, as dense.

    Returns the number of the last block that both share; the head is `depth` blocks above it.
    """
    recorded, told = _begin(folder)
    users = actors.Actors(recordings.bundled(), seed)
    fork = folder / "forks" / "1"
    fork.mkdir(parents=True)
    shutil.copy(folder / "calls.jsonl.gz", fork / "calls.jsonl.gz")
    with _Branch(folder) as main, _Branch(fork) as branch:
        main.copy(recorded, told)
        main.grow(_invent(users, recorded[-1], block_events, proved=False), events)
        last, others = main.last, copy.deepcopy(users)
        others.reseed(seed + 1)
        for _ in range(depth):
            main.grow(_invent(users, main.last, block_events, proved=False), 1)
            below = branch.last or last
            branch.grow(_invent(others, below, block_events, proved=False, salt="fork"), 1)
    common = int(last["block_number"])
    (fork / "abort.json").write_text(json.dumps({"common_block_number": common}), "utf-8")
    return common


def build_crowd(
    folder: Path, positions: int, blocks: int, seed: int = SEED, foreign: int = 0
) -> tuple[int, int]:
    """As `build`: one market with so many positions, and then `blocks` blocks with a change of one.

    Where positions are opened, headers have no event commitment, as before Starknet 0.13.2.
    Without positions the blocks hold a transaction of anybody's in any market, and with `foreign`
    about so many events of other contracts beside it. Returns the number of the last block before
    these blocks, and the head.
    """
    recorded, told = _begin(folder)
    invented = actors.Actors(recordings.bundled(), seed)
    users = _crowd(invented, recorded[-1], positions, seed) if positions else None
    with _Branch(folder) as branch:
        branch.copy(recorded, told)
        while users is not None and users.left:
            # Each position takes two events.
            events = min(CROWDED_EVENTS, 2 * users.left)
            block, emitted, _ = next(_invent(users, branch.last, events, proved=False))
            del block["event_commitment"]
            branch.add(block, emitted)
        below = int(branch.last["block_number"])
        following = _invent(users or invented, branch.last, 1, proved=False, foreign=foreign)
        for block, emitted, _ in itertools.islice(following, blocks):
            block["event_commitment"] = _commitment(block["transactions"])
            branch.add(block, emitted)
        return below, int(branch.last["block_number"])


def _crowd(invented: actors.Actors, last: dict[str, Any], positions: int, seed: int) -> crowd.Crowd:
    market = next(one for one in invented.markets if one.prices and one.debt)
    world = folding.folded(recordings.bundled()).world
    block = valuations.Block(last["block_number"], last["timestamp"])
    return crowd.Crowd(invented, market, world, block, positions, NEAR_SHARE, random.Random(seed))


def build_story(
    folder: Path, blocks: int, fork_every: int, depth: int, seed: int = SEED, block_events: int = 3
) -> int:
    """As `build`, with `blocks` more blocks and again and again a fork; returns its head.

    Few users, so that soon as many positions are closed as are opened.
    """
    recorded, told = _begin(folder)
    users = actors.Actors(recordings.bundled(), seed, users=FEW_USERS)
    with _Branch(folder) as main:
        main.copy(recorded, told)
        for made in range(blocks):
            if made % fork_every == 0:
                _fork(folder / "forks" / str(made // fork_every + 1), main.last, users, depth)
            main.grow(_invent(users, main.last, block_events), 1)
        return int(main.last["block_number"])


def _fork(folder: Path, common: dict[str, Any], users: actors.Actors, depth: int) -> None:
    """A branch that leaves the main one above `common`."""
    folder.mkdir(parents=True)
    others = copy.deepcopy(users)
    others.reseed(int(folder.name))
    (folder / "calls.jsonl").touch()
    with _Branch(folder) as branch:
        branch.last = common
        for _ in range(depth):
            branch.grow(_invent(others, branch.last, 3, salt=f"fork {folder.name}"), 1)
    abort = {"common_block_number": common["block_number"]}
    (folder / "abort.json").write_text(json.dumps(abort), "utf-8")


def _begin(folder: Path) -> tuple[list[dict[str, Any]], Iterator[dict[str, Any]]]:
    """A folder with what devnet-a says besides blocks and events, which are returned."""
    source = recordings.bundled()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("calls.jsonl.gz", "manifest.json"):
        shutil.copy(source / name, folder / name)
    blocks, events = (
        lines.Lines(source, name).decoded(dict[str, Any]) for name in ("blocks", "events")
    )
    return list(blocks), events


class _Branch:
    """Writes a branch's blocks and events; `last` is its last block.

    Not compressed: gigabytes are served as they lie on the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = contextlib.ExitStack()
        self.last: dict[str, Any] = {}

    def __enter__(self) -> _Branch:
        opened = self._files.enter_context
        self._blocks = opened((self._folder / "blocks.jsonl").open("wb"))
        self._events = opened((self._folder / "events.jsonl").open("wb"))
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def copy(self, blocks: list[dict[str, Any]], events: Iterator[dict[str, Any]]) -> None:
        """Take over what was recorded."""
        self._blocks.writelines(_line(block) for block in blocks)
        self._events.writelines(_line(event) for event in events)
        self.last = blocks[-1]

    def add(self, block: dict[str, Any], events: list[dict[str, Any]]) -> None:
        """Add one block as it is."""
        self._blocks.write(_line(block))
        self._events.writelines(_line(event) for event in events)
        self.last = block

    def grow(
        self,
        invented: Iterator[tuple[dict[str, Any], list[dict[str, Any]], int]],
        events: int,
        committed: int = 0,
    ) -> int:
        """Add blocks until so many events of Vesu's are in them; returns the head.

        The last `committed` blocks get their event commitment.
        """
        made = 0
        newest: collections.deque[dict[str, Any]] = collections.deque()
        for block, emitted, ours in invented:
            newest.append(block)
            if len(newest) > committed:
                self._blocks.write(_line(newest.popleft()))
            self._events.writelines(_line(event) for event in emitted)
            self.last = block
            made += ours
            if made >= events:
                break
        # The hash's C function releases the interpreter's lock: one block a core.
        with futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            found = threads.map(_commitment, [block["transactions"] for block in newest])
            for block, commitment_ in zip(newest, found, strict=True):
                self._blocks.write(_line(block | {"event_commitment": commitment_}))
        return int(self.last["block_number"])


def _invent(
    users: Emitting,
    last: dict[str, Any],
    block_events: int,
    proved: bool = True,
    salt: str = "",
    empty_blocks: int = 0,
    foreign: int = 0,
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], int]]:
    """Block after block above `last`: the block, its events, and how many of them are Vesu's.

    `foreign`: about how many events of others a block holds, behind Vesu's.
    """
    template = last["transactions"][0]
    header = last
    fee = template["receipt"]["events"][-1]
    while True:
        header = _next_header(header, salt)
        number = header["block_number"]
        transactions: list[dict[str, Any]] = []
        emitted: list[dict[str, Any]] = []
        ours = 0
        while ours < block_events or len(emitted) < foreign:
            if ours < block_events:
                inside = [_event(*event) for event in users.transaction(header["timestamp"])]
                ours += len(inside)
            else:
                inside = [
                    _transfer(number, len(transactions), index) for index in range(FOREIGN_EVENTS)
                ]
            # What no transaction changes is shared: a copy took half of the time.
            hash_ = _hash("transaction", number, len(transactions), *salt.split())
            receipt = template["receipt"] | {
                "transaction_hash": hash_,
                "events": [*inside, fee],
            }
            emitted += [
                event
                | {
                    "block_hash": header["block_hash"],
                    "block_number": number,
                    "transaction_hash": receipt["transaction_hash"],
                    "transaction_index": len(transactions),
                    "event_index": index,
                }
                for index, event in enumerate(receipt["events"])
            ]
            transactions.append(template | {"receipt": receipt})
        told = {
            "transaction_count": len(transactions),
            "event_count": len(emitted),
            "event_commitment": _commitment(transactions) if proved else "0x0",
            "transactions": transactions,
        }
        yield header | told, emitted, ours
        for _ in range(empty_blocks):
            header = _next_header(header, salt)
            yield header | NOTHING, [], 0


def _next_header(below: dict[str, Any], salt: str) -> dict[str, Any]:
    number = below["block_number"] + 1
    return below | {
        "block_number": number,
        "parent_hash": below["block_hash"],
        "block_hash": _hash("block", number, *salt.split()),
        "timestamp": below["timestamp"] + SECONDS_PER_BLOCK,
    }


def _commitment(transactions: list[dict[str, Any]]) -> str:
    receipts = [
        types.Receipt(
            item["receipt"]["transaction_hash"],
            index,
            0,
            "FRI",
            "SUCCEEDED",
            [_receipt_event(event) for event in item["receipt"]["events"]],
        )
        for index, item in enumerate(transactions)
    ]
    return hex(commitment.of_block(receipts))


def _receipt_event(event: dict[str, Any]) -> types.ReceiptEvent:
    keys, data = ([int(felt, 16) for felt in event[name]] for name in ("keys", "data"))
    return types.ReceiptEvent(event["from_address"], keys, data)


def _event(emitter: int, keys: list[int], data: list[int]) -> dict[str, Any]:
    return {
        "from_address": hex(emitter),
        "keys": [hex(felt) for felt in keys],
        "data": [hex(felt) for felt in data],
    }


def _transfer(*place: int) -> dict[str, Any]:
    """A Transfer of some token between two wallets."""
    token, sender, recipient, amount = (_hash(name, *place) for name in TRANSFER[1:])
    return {
        "from_address": token,
        "keys": [hex(selector.of(TRANSFER[0])), sender, recipient],
        "data": [amount, "0x0"],
    }


def _hash(*parts: object) -> str:
    text = "/".join(map(str, parts))
    return hex(int.from_bytes(hashlib.sha256(text.encode()).digest()[:31], "big"))


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
