"""Recorded chains with other transactions in them, and the commitments that their blocks then have.

Block hashes stay: they commit to what nobody can compute from a block's answer alone.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from indexer.chain import commitment, types
from tests.acceptance import truth

Block = dict[str, Any]
"""A block as getBlockWithReceipts answers it."""

Event = dict[str, Any]
"""An event of a receipt: from_address, keys and data."""


def rewrite(recorded: truth.Recorded, folder: Path, change: Callable[[Block], None]) -> None:
    """Write the recording into a folder, its main chain and its forks, as `change` alters it.

    `change` alters a block's transactions and their receipts in place; counts, commitments and
    what getEvents answers are made from them.
    """
    shutil.copytree(recorded.folder, folder, dirs_exist_ok=True)
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    for branch in (folder, *folder.glob("forks/*")):
        blocks = list(_lines(branch / "blocks.jsonl.gz"))
        for block in blocks:
            before = copy.deepcopy(block)
            change(block)
            if block != before:
                _commit_to(block)
        _write(branch / "blocks.jsonl.gz", blocks)
        _write(branch / "events.jsonl.gz", (event for one in blocks for event in events_of(one)))


def append(block: Block, emitted: Sequence[Event]) -> None:
    """Add a transaction that emits these events to the end of a block."""
    transactions = block["transactions"]
    like = transactions[-1]
    place = f"{block['block_hash']} {len(transactions)}"
    receipt = like["receipt"] | {
        "transaction_hash": hex(int.from_bytes(hashlib.sha256(place.encode()).digest()[:31])),
        "events": list(emitted),
    }
    transactions.append(like | {"receipt": receipt})


def emitted(emitter: int, keys: Iterable[int], data: Iterable[int]) -> Event:
    """An event with these felts."""
    return {
        "from_address": hex(emitter),
        "keys": [hex(felt) for felt in keys],
        "data": [hex(felt) for felt in data],
    }


def _commit_to(block: Block) -> None:
    receipts = [
        types.Receipt(
            one["receipt"]["transaction_hash"],
            index,
            0,
            "FRI",
            "SUCCEEDED",
            [
                types.ReceiptEvent(
                    event["from_address"], truth.felts(event["keys"]), truth.felts(event["data"])
                )
                for event in one["receipt"]["events"]
            ],
        )
        for index, one in enumerate(block["transactions"])
    ]
    block["transaction_count"] = len(receipts)
    block["event_count"] = sum(len(one.events) for one in receipts)
    block["event_commitment"] = hex(commitment.of_block(receipts))


def events_of(block: Block) -> Iterator[dict[str, Any]]:
    """A block's events as getEvents answers them."""
    for index, transaction in enumerate(block["transactions"]):
        receipt = transaction["receipt"]
        for place, event in enumerate(receipt["events"]):
            yield event | {
                "block_number": block["block_number"],
                "block_hash": block["block_hash"],
                "transaction_hash": receipt["transaction_hash"],
                "transaction_index": index,
                "event_index": place,
            }


def _lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt") as lines:
        yield from map(json.loads, lines)


def _write(path: Path, lines: Iterable[Any]) -> None:
    with gzip.open(path, "wt", 1) as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
