"""The JSON shapes of the Starknet RPC (0.8 to 0.10), and their conversion to chain.types.

Felts become canonical here. An answer that cannot be valid is an InconsistentAnswerError.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.cairo import text as texts
from indexer.chain import types

_FELT = re.compile(r"0[xX][0-9a-fA-F]{1,64}")
_CANONICAL = re.compile(r"0x(?:0|[1-7][0-9a-f]{0,62}|[89a-f][0-9a-f]{0,61})")
"""A felt that is canonical; those of 63 digits from 8 on may not be below the prime."""

_VALUE = re.compile(r"value '.*'(?= - at `|$)", re.DOTALL)
"""What was answered, as msgspec repeats it where a few words are allowed."""

MOST_REMEMBERED = 16_384

# Bounds of what the chain can mean and the tables can hold: other values are refused.
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Index = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
Felts = Annotated[list[str], msgspec.Meta(max_length=100_000)]
Version = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{0,32}$")]


class Event(msgspec.Struct, gc=False):
    """An emitted event. RPC 0.10 added the indexes. No hash: it is not in a sealed block."""

    from_address: str
    keys: Felts
    data: Felts
    transaction_hash: str
    block_hash: str | None = None
    block_number: Number | None = None
    transaction_index: Index | None = None
    event_index: Index | None = None


class EventsPage(msgspec.Struct):
    """One page of getEvents."""

    events: list[Event]
    continuation_token: str | None = None


class Header(msgspec.Struct):
    """The header fields of a block that the indexer uses."""

    block_hash: str
    parent_hash: str
    block_number: Number
    timestamp: Seconds
    status: Literal["ACCEPTED_ON_L2", "ACCEPTED_ON_L1"] = "ACCEPTED_ON_L2"
    starknet_version: Version = ""
    event_count: Index | None = None
    event_commitment: str | None = None


class Fee(msgspec.Struct):
    """The fee that a transaction paid: hex amount and unit."""

    amount: str
    unit: Literal["WEI", "FRI"]


class ReceiptEvent(msgspec.Struct, gc=False):
    """An event inside a receipt."""

    from_address: str
    keys: Felts
    data: Felts


class Receipt(msgspec.Struct):
    """The receipt fields that every block read needs; its events are not decoded."""

    transaction_hash: str
    actual_fee: Fee
    execution_status: Literal["SUCCEEDED", "REVERTED"]


class FullReceipt(Receipt):
    """A receipt with its events."""

    events: list[ReceiptEvent] = []


class SingleReceipt(Receipt):
    """The receipt of one transaction; without a block it is not in a sealed one."""

    block_hash: str | None = None
    block_number: Number | None = None
    revert_reason: str | None = None


class TransactionStatus(msgspec.Struct):
    """How far a transaction has come."""

    finality_status: Version
    failure_reason: str | None = None


class WithReceipt(msgspec.Struct):
    """A transaction of a block; its body is not decoded."""

    receipt: Receipt


class WithFullReceipt(msgspec.Struct):
    """The same, with the receipt's events."""

    receipt: FullReceipt


class Block(Header):
    """A block with receipts."""

    transactions: list[WithReceipt] = []


class FullBlock(Header):
    """A block with receipts and their events."""

    transactions: list[WithFullReceipt] = []


single_receipt_decoder = msgspec.json.Decoder(SingleReceipt)
status_decoder = msgspec.json.Decoder(TransactionStatus)
header_decoder = msgspec.json.Decoder(Header)
block_decoder = msgspec.json.Decoder(Block)
full_block_decoder = msgspec.json.Decoder(FullBlock)
page_decoder = msgspec.json.Decoder(EventsPage)
felts_decoder = msgspec.json.Decoder(list[str])
text_decoder = msgspec.json.Decoder(str)


def decoded(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, answer_name: str) -> Any:
    """A result decoded to its shape; InconsistentAnswerError where it has another.

    The error repeats no word of the node's, which may hold a key of ours.
    """
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = _VALUE.sub("value", str(error))
        raise errors.InconsistentAnswerError(
            f"the node's {answer_name} has no known shape: {texts.clean(reason, 300)}", kind="shape"
        ) from None


class _Canonical(dict[str, str]):
    """Canonical felts by the texts that were answered: most repeat, and equal ones are one object.

    Full, it begins anew: what repeats comes back at once.
    """

    def __missing__(self, text: str) -> str:
        found = text if _CANONICAL.fullmatch(text) else _canonical(text)
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[text] = found
        return found


def _canonical(text: str) -> str:
    if not _FELT.fullmatch(text):
        # Not repeated: it may hold a key of ours.
        raise errors.InconsistentAnswerError(
            f"the node's answer holds no felt but {len(text):,} other characters", kind="felt"
        )
    value = int(text, 16)
    if value >= felt252.PRIME:
        raise errors.InconsistentAnswerError(
            f"the node's answer holds no felt: {text} is above the largest", kind="felt"
        )
    return hex(value)


felt = _Canonical().__getitem__
"""A felt in canonical form: 0x, lower case, no leading zeros, below the prime."""


class _Integers(dict[str, int]):
    """Felts by the texts that were answered: most repeat. Full, it begins anew."""

    def __missing__(self, text: str) -> int:
        try:
            found = int(text, 16)
        except ValueError:
            found = -1
        # Python reads more spellings than a node may use.
        if not 0 <= found < felt252.PRIME or hex(found) != text:
            found = int(_canonical(text), 16)
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[text] = found
        return found


_integer = _Integers().__getitem__


def felts(texts: list[str]) -> list[int]:
    """The felts of an event. InconsistentAnswerError where a text holds none."""
    return list(map(_integer, texts))


def header(block: Header) -> types.BlockHeader:
    """A header as chain.types has it. A commitment of 0x0 over events means: not known."""
    commitment = None if block.event_commitment is None else felt(block.event_commitment)
    return types.BlockHeader(
        block.block_number,
        felt(block.block_hash),
        felt(block.parent_hash),
        block.timestamp,
        block.status,
        block.starknet_version,
        block.event_count,
        None if commitment == "0x0" and block.event_count else commitment,
    )


def block(wire: Block | FullBlock) -> types.BlockWithReceipts:
    """A block with receipts as chain.types has it."""
    receipts: list[Receipt] = [item.receipt for item in wire.transactions]
    return types.BlockWithReceipts(
        header(wire), [_receipt(index, receipt) for index, receipt in enumerate(receipts)]
    )


def _receipt(index: int, wire: Receipt) -> types.Receipt:
    return types.Receipt(
        felt(wire.transaction_hash),
        index,
        int(felt(wire.actual_fee.amount), 16),
        wire.actual_fee.unit,
        wire.execution_status,
        [
            types.ReceiptEvent(
                felt(event.from_address),
                felts(event.keys),
                felts(event.data),
            )
            for event in (wire.events if isinstance(wire, FullReceipt) else ())
        ],
    )
