"""A range as rows of the log, made before the transaction that writes them begins."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import asyncpg
import msgspec

from indexer.cairo import abi
from indexer.chain import types
from indexer.log import dictionaries, facts, seals
from indexer.store import copying, turns

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

EVENT_COLUMNS = (
    "block_number",
    "transaction_index",
    "event_index",
    "emitter",
    "decoded_as",
    "transaction_hash",
    "keys",
    "data",
)

BLOCK_COLUMNS = (
    "number",
    "hash",
    "parent_hash",
    "timestamp",
    "finality",
    "event_count",
    "event_commitment",
    "verified",
    "seal",
)

RECEIPT_COLUMNS = (
    "block_number",
    "transaction_index",
    "transaction_hash",
    "actual_fee",
    "fee_unit",
)

Row = tuple[object, ...]

_Contents = list[tuple[types.EmittedEvent, bytes]]
"""Our events of a block, each with its payload."""

_HEAD = struct.Struct(">h iq ii ii ii ii").pack
"""The fields of a row of event_log before its bytes, each after its length."""

_HEAD_WITHOUT_LAYOUT = struct.Struct(">h iq ii ii ii i").pack

_NULL_LENGTH = -1


class EncodedRange(msgspec.Struct, frozen=True):
    """The rows of blocks and receipts, and of each event its key, contract, layout and bytes.

    `emitter_of` and `layout_of` point into `emitters` (address, kind and generation) and `layouts`,
    of which the dictionaries know the numbers; `payloads` are hash, keys and data as COPY's binary
    format has them.
    """

    blocks: Sequence[Row]
    receipts: Sequence[Row]
    event_keys: Sequence[tuple[int, int, int]]
    emitters: Sequence[tuple[str, str]]
    emitter_of: Sequence[int]
    layouts: Sequence[abi.Layout]
    layout_of: Sequence[int | None]
    payloads: Sequence[bytes]


async def encode(
    part: types.Range, batch: facts.Batch, derived: Sequence[facts.Derived]
) -> EncodedRange:
    """Encode a range; `derived` is what decoding says of each of its events."""
    emitters: dict[tuple[str, str], int] = {}
    emitter_of = [
        emitters.setdefault((event.from_address, about.contract), len(emitters))
        for event, about in zip(part.events, derived, strict=True)
    ]
    layouts = dictionaries.distinct(about.layout for about in derived)
    layout_numbers = {id(layout): number for number, layout in enumerate(layouts)}
    payloads = [seals.payload(event) async for some in turns.of(part.events) for event in some]
    return EncodedRange(
        await _block_rows(part, payloads),
        _receipt_rows(part, batch),
        [(event.block_number, event.transaction_index, event.event_index) for event in part.events],
        [(facts.padded(address), contract) for address, contract in emitters],
        emitter_of,
        layouts,
        [layout_numbers.get(id(about.layout)) for about in derived],
        payloads,
    )


async def append_blocks(connection: Connection, encoded: EncodedRange) -> None:
    """Write a range's blocks and receipts, inside the caller's transaction."""
    await connection.copy_records_to_table("blocks", columns=BLOCK_COLUMNS, records=encoded.blocks)
    await connection.copy_records_to_table(
        "receipts", columns=RECEIPT_COLUMNS, records=encoded.receipts
    )


class Numbers(msgspec.Struct, frozen=True):
    """The numbers that the dictionaries give a range's emitters and layouts, in its order."""

    emitters: Sequence[int]
    layouts: Sequence[int]


async def number(connection: Connection, encoded: EncodedRange) -> Numbers:
    """Add what the dictionaries lack, inside the caller's transaction."""
    return Numbers(
        await dictionaries.emitter_ids(connection, encoded.emitters),
        await dictionaries.layout_ids(connection, encoded.layouts),
    )


async def append_events(connection: Connection, encoded: EncodedRange, numbers: Numbers) -> None:
    """Write a range's events, inside the caller's transaction."""
    heads = (
        _head(key, numbers.emitters[emitter], None if layout is None else numbers.layouts[layout])
        for key, emitter, layout in zip(
            encoded.event_keys, encoded.emitter_of, encoded.layout_of, strict=True
        )
    )
    rows = b"".join(itertools.chain.from_iterable(zip(heads, encoded.payloads, strict=True)))
    if rows:
        await copying.copy_binary(connection, "event_log", EVENT_COLUMNS, rows)


def _head(event_key: tuple[int, int, int], emitter: int, layout: int | None) -> bytes:
    block, transaction, event = event_key
    fields = (len(EVENT_COLUMNS), 8, block, 4, transaction, 4, event, 4, emitter)
    if layout is None:
        return _HEAD_WITHOUT_LAYOUT(*fields, _NULL_LENGTH)
    return _HEAD(*fields, 4, layout)


async def _block_rows(part: types.Range, payloads: Sequence[bytes]) -> list[Row]:
    blocks: dict[int, _Contents] = {}
    for event, payload in zip(part.events, payloads, strict=True):
        blocks.setdefault(event.block_number, []).append((event, payload))
    rows = [
        _block_row(header, blocks.get(header.number, []), header.number in part.proved)
        async for some in turns.of(facts.headers_of(part))
        for header in some
    ]
    rows += [
        _block_of_events(blocks[number], time)
        async for some in turns.of(list(part.event_times.items()))
        for number, time in some
    ]
    return rows


def _block_row(header: types.BlockHeader, contents: _Contents, is_proved: bool) -> Row:
    return (
        header.number,
        facts.padded(header.hash),
        facts.padded(header.parent_hash),
        facts.as_datetime(header.timestamp),
        header.status,
        header.event_count,
        header.event_commitment,
        True if is_proved else None,
        seals.seal(contents),
    )


def _block_of_events(contents: _Contents, seconds: int) -> Row:
    """A block known only by its events; the prover adds its header's fields later."""
    first, _ = contents[0]
    return (
        first.block_number,
        facts.padded(first.block_hash),
        None,
        facts.as_datetime(seconds),
        "ACCEPTED_ON_L2",
        None,
        None,
        None,
        seals.seal(contents),
    )


def _receipt_rows(part: types.Range, batch: facts.Batch) -> list[Row]:
    return [
        (
            block.header.number,
            receipt.transaction_index,
            facts.padded(receipt.transaction_hash),
            receipt.actual_fee,
            receipt.fee_unit,
        )
        for block in part.blocks
        for receipt in block.receipts
        if (block.header.number, receipt.transaction_index) in batch.fees
    ]
