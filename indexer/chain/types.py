"""Blocks, receipts and events of Starknet as typed values, shared by all rooms.

Hashes and addresses are canonical hex text (`0x`, lower case, no leading zeros); the felts of an
event's keys and data are integers below the field's prime.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import msgspec

from indexer.chain import closing as closings

Proof = Literal["commitment", "count", "receipts"]
"""What a block's receipts were checked against: the header's event count and event commitment,
its count alone, or neither, because the node has neither."""

Method = Literal["commitment", "count", "receipts", "sampled"]
"""How a range of blocks was proved complete. "sampled": the blocks with our events, and a sample
of the others."""


class EmittedEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of one accepted block. Its key is (block_number, transaction_index, event_index).

    `event_index` counts inside its transaction.
    """

    block_number: int
    transaction_index: int
    event_index: int
    block_hash: str
    transaction_hash: str
    from_address: str
    keys: list[int]
    data: list[int]


event_key: Callable[[EmittedEvent], tuple[int, int, int]] = operator.attrgetter(
    "block_number", "transaction_index", "event_index"
)
"""An event's key: block number, transaction index, event index."""


class BlockHeader(msgspec.Struct, frozen=True, gc=False):
    """A sealed block's header. `timestamp` is in whole seconds since 1970, UTC.

    `event_count` and `event_commitment` are None where the node has none (RPC below 0.10), and
    the commitment also where it is 0x0 for old blocks.
    """

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    status: str
    starknet_version: str
    event_count: int | None = None
    event_commitment: str | None = None


class ReceiptEvent(msgspec.Struct, frozen=True, gc=False):
    """An event in a receipt: its index is its position there."""

    from_address: str
    keys: list[int]
    data: list[int]


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """A transaction's receipt. `actual_fee` in units of 10^-18 STRK ('FRI') or ETH ('WEI').

    `events` is empty where the block was read without them.
    """

    transaction_hash: str
    transaction_index: int
    actual_fee: int
    fee_unit: str
    execution_status: str
    events: list[ReceiptEvent]


class BlockWithReceipts(msgspec.Struct, frozen=True):
    """A sealed block with all its receipts, in transaction order."""

    header: BlockHeader
    receipts: list[Receipt]


class Verified(msgspec.Struct, frozen=True):
    """A closed range of blocks whose events are known to be complete, and by which method."""

    first_block: int
    last_block: int
    method: Method


class Range(msgspec.Struct, frozen=True):
    """All events of a set of addresses in a closed range of blocks.

    Invariants: all of it comes from one endpoint; `events` ascend by their key without
    duplicates; `blocks` holds exactly the blocks that have an event here, ascending; `tip` is the
    header of `to_block`, read again after the events and unchanged; `parent_hash` is that
    of `from_block`, read in between. `proved` names the blocks whose events were proved
    complete against their headers' commitments; `verified` says the same of ranges, ascending,
    with weaker proofs too. Far behind the head receipts are left for later: then `blocks` is
    empty, and each block with an event here is in `headers` or, where its own events tell its
    time, in `event_times` (seconds by block number). With `closing`, the answer that `tip` is
    unchanged is still awaited: the range must be closed before it is committed.
    """

    from_block: int
    to_block: int
    parent_hash: str
    tip: BlockHeader
    events: list[EmittedEvent]
    blocks: list[BlockWithReceipts]
    proved: frozenset[int] = frozenset()
    verified: tuple[Verified, ...] = ()
    headers: tuple[BlockHeader, ...] = ()
    event_times: Mapping[int, int] = msgspec.field(default_factory=dict)
    closing: closings.Closing | None = None


class TransactionState(msgspec.Struct, frozen=True):
    """What a node knows of a transaction: its status, and its receipt once a block holds it.

    `status` is the node's word, such as RECEIVED or ACCEPTED_ON_L2; None: it does not know the
    transaction. `actual_fee` is in units of 10^-18 of the token of `fee_unit`.
    """

    transaction_hash: str
    status: str | None = None
    block_number: int | None = None
    block_hash: str | None = None
    is_reverted: bool = False
    actual_fee: int | None = None
    fee_unit: str | None = None
    reason: str | None = None
    """Why it was reverted, or refused by the sequencer."""


def events_of(block: BlockWithReceipts, addresses: Collection[str]) -> list[EmittedEvent]:
    """The events of these addresses that a block's receipts hold, in chain order."""
    return [
        EmittedEvent(
            block.header.number,
            receipt.transaction_index,
            index,
            block.header.hash,
            receipt.transaction_hash,
            event.from_address,
            event.keys,
            event.data,
        )
        for receipt in block.receipts
        for index, event in enumerate(receipt.events)
        if event.from_address in addresses
    ]


def without_events(block: BlockWithReceipts) -> BlockWithReceipts:
    """A block with its receipts, but without the events in them."""
    receipts = [msgspec.structs.replace(receipt, events=[]) for receipt in block.receipts]
    return BlockWithReceipts(block.header, receipts)


def runs(methods: Mapping[int, Method]) -> tuple[Verified, ...]:
    """Methods by block number as the fewest ranges, ascending."""
    verified_ranges: list[Verified] = []
    for number in sorted(methods):
        last = verified_ranges[-1] if verified_ranges else None
        if last and last.last_block == number - 1 and last.method == methods[number]:
            verified_ranges[-1] = Verified(last.first_block, number, last.method)
        else:
            verified_ranges.append(Verified(number, number, methods[number]))
    return tuple(verified_ranges)
