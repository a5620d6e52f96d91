"""The facts of a range in the log: blocks, receipts and raw events, written once.

Addresses and hashes of blocks are stored padded (0x and 64 digits); of events, hashes, keys and
data as bytes, emitter and layout by their numbers. These two are derived by decoding and may be
rewritten by a replay.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import AsyncIterator, Iterable, Sequence

import asyncpg
import msgspec

from indexer.cairo import abi, felt252, packed
from indexer.chain import types
from indexer.store import sqlfile, turns

_SQL = sqlfile.load(__package__, "facts")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Fee(msgspec.Struct, frozen=True, gc=False):
    """What a transaction paid, in 10^-18 of STRK ('FRI') or ETH ('WEI')."""

    amount: int
    unit: str


class Derived(msgspec.Struct, frozen=True, gc=False):
    """What decoding says of an event. `layout` is None where it cannot be decoded."""

    contract: str
    layout: abi.Layout | None = None


class Batch(msgspec.Struct, frozen=True):
    """The input of a fold: events in chain order with the times and fees of their blocks.

    `timestamps` by block number, in seconds; `fees` by (block number, transaction index).
    `numbers` are those of each event's emitter and layout, where the log was read.
    """

    from_block: int
    to_block: int
    events: Sequence[types.EmittedEvent]
    timestamps: dict[int, int]
    fees: dict[tuple[int, int], Fee]
    numbers: Sequence[tuple[int | None, int | None]] = ()


padded = felt252.pad
"""A canonical felt as the tables hold hashes and addresses."""


@functools.lru_cache(maxsize=4_096)
def minimal(felt: str) -> str:
    """A padded felt in the minimal hex of the chain."""
    return "0x" + (felt[2:].lstrip("0") or "0")


def as_datetime(seconds: int) -> datetime.datetime:
    """A block time in the type that the database takes."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def by_block(events: Iterable[types.EmittedEvent]) -> dict[int, list[types.EmittedEvent]]:
    """Events in chain order, by the number of their block."""
    found: dict[int, list[types.EmittedEvent]] = {}
    for event in events:
        found.setdefault(event.block_number, []).append(event)
    return found


def batch_of(part: types.Range) -> Batch:
    """The part of a range that a fold needs."""
    senders = {(event.block_number, event.transaction_index) for event in part.events}
    return Batch(
        part.from_block,
        part.to_block,
        part.events,
        {header.number: header.timestamp for header in headers_of(part)} | dict(part.event_times),
        {
            (block.header.number, receipt.transaction_index): Fee(
                receipt.actual_fee, receipt.fee_unit
            )
            for block in part.blocks
            for receipt in block.receipts
            if (block.header.number, receipt.transaction_index) in senders
        },
    )


def headers_of(part: types.Range) -> list[types.BlockHeader]:
    """The headers of a range that were read, the tip's among them, each once."""
    found = {header.number: header for header in part.headers}
    found |= {block.header.number: block.header for block in part.blocks}
    found[part.tip.number] = part.tip
    return list(found.values())


async def complete(
    connection: Connection,
    blocks: Sequence[types.BlockWithReceipts],
    stored: dict[int, list[types.EmittedEvent]],
) -> dict[tuple[int, int], Fee]:
    """Fill in missing fields of stored blocks from their headers and receipts.

    `stored` are the events of these blocks that the log holds. Returns the fees that were added,
    by (block number, transaction index).
    """
    headers = [block.header for block in blocks]
    await connection.execute(
        _SQL["complete_blocks"],
        [header.number for header in headers],
        [padded(header.parent_hash) for header in headers],
        [header.status for header in headers],
        [header.event_count for header in headers],
        [header.event_commitment for header in headers],
    )
    senders = {
        (event.block_number, event.transaction_index)
        for events in stored.values()
        for event in events
    }
    receipts = {
        (block.header.number, receipt.transaction_index): receipt
        for block in blocks
        for receipt in block.receipts
        if (block.header.number, receipt.transaction_index) in senders
    }
    added = await connection.fetch(
        _SQL["add_receipts"],
        [number for number, _ in receipts],
        [index for _, index in receipts],
        [padded(receipt.transaction_hash) for receipt in receipts.values()],
        [receipt.actual_fee for receipt in receipts.values()],
        [receipt.fee_unit for receipt in receipts.values()],
    )
    keys = [(row["block_number"], row["transaction_index"]) for row in added]
    return {key: Fee(receipts[key].actual_fee, receipts[key].fee_unit) for key in keys}


async def newest_blocks_with_events(
    connection: Connection, first: int, last: int, most: int
) -> list[int]:
    """The newest blocks of a range that hold events, descending, at most so many."""
    rows = await connection.fetch(_SQL["newest_with_events"], first, last, most)
    return [row["block_number"] for row in rows]


async def block_times(connection: Connection, first: int, last: int) -> dict[int, int]:
    """Times of the stored blocks of a range, in seconds since 1970, by number."""
    rows = await connection.fetch(_SQL["read_times"], first, last)
    return {row["number"]: int(row["timestamp"].timestamp()) for row in rows}


async def block_time(connection: Connection, number: int) -> int | None:
    """The time of a stored block in seconds since 1970; None where it is not stored."""
    time = await connection.fetchval(_SQL["block_time"], number)
    return None if time is None else int(time.timestamp())


async def count_events(connection: Connection, first: int, last: int) -> int:
    """How many events the log holds from block to block."""
    return int(await connection.fetchval(_SQL["count_between"], first, last))


async def batch_end(connection: Connection, first: int, last: int, size: int) -> int | None:
    """The last block of a batch of about `size` events; None where the rest is smaller."""
    number: int | None = await connection.fetchval(_SQL["batch_end"], first, last, size)
    return number


async def read_batches(
    connection: Connection, from_block: int, to_block: int, size: int
) -> AsyncIterator[Batch]:
    """The log from block to block in batches of whole blocks of about `size` events."""
    first = from_block
    while first <= to_block:
        batch = await read_batch(connection, first, to_block, size)
        yield batch
        first = batch.to_block + 1


async def read_batch(connection: Connection, first: int, to_block: int, size: int) -> Batch:
    """The log from block `first` on, whole blocks of about `size` events, at most to `to_block`."""
    end = await batch_end(connection, first, to_block, size)
    last = to_block if end is None else end
    rows = await connection.fetch(_SQL["read"], first, last)
    emitted: list[types.EmittedEvent] = []
    async for part in turns.of(rows):
        emitted += map(_emitted, part)
    times = await block_times(connection, first, last)
    fees = await connection.fetch(_SQL["read_fees"], first, last)
    return Batch(
        first,
        last,
        emitted,
        times,
        {
            (row["block_number"], row["transaction_index"]): Fee(
                int(row["actual_fee"]), row["fee_unit"]
            )
            for row in fees
        },
        [(row["emitter"], row["decoded_as"]) for row in rows],
    )


async def read_events(connection: Connection, first: int, last: int) -> list[types.EmittedEvent]:
    """The log's events from block to block, in chain order."""
    rows = await connection.fetch(_SQL["read"], first, last)
    return [_emitted(row) for row in rows]


def _emitted(row: asyncpg.Record) -> types.EmittedEvent:
    return types.EmittedEvent(
        row["block_number"],
        row["transaction_index"],
        row["event_index"],
        minimal(row["block_hash"]),
        minimal("0x" + row["transaction_hash"].hex()),
        minimal(row["from_address"]),
        packed.unpack(row["keys"]),
        packed.unpack(row["data"]),
    )
