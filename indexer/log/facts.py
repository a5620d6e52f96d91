"""The facts of a range in the log: blocks, receipts and raw events, written once.

Addresses and hashes are stored padded (0x and 64 digits), keys and data as the chain gives
them. `contract`, `name` and `args` are derived by decoding and may be rewritten by a replay.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence

import asyncpg
import msgspec

from indexer.cairo import felt252
from indexer.chain import types
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "facts")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

EVENT_COLUMNS = (
    "block_number",
    "transaction_index",
    "event_index",
    "block_hash",
    "transaction_hash",
    "from_address",
    "keys",
    "data",
    "contract",
    "name",
    "args",
)


class Fee(msgspec.Struct, frozen=True, gc=False):
    """What a transaction paid, in 10^-18 of STRK ('FRI') or ETH ('WEI')."""

    amount: int
    unit: str


class Derived(msgspec.Struct, frozen=True, gc=False):
    """What decoding says of an event. `args` is a JSON text, None where it cannot be decoded."""

    contract: str
    name: str | None = None
    args: str | None = None


class Batch(msgspec.Struct, frozen=True):
    """What a fold reads: events in chain order with the times and fees of their blocks.

    `timestamps` by block number, in seconds; `fees` by (block number, transaction index).
    """

    from_block: int
    to_block: int
    events: Sequence[types.EmittedEvent]
    timestamps: dict[int, int]
    fees: dict[tuple[int, int], Fee]


padded = felt252.pad
"""A canonical felt as the tables hold hashes and addresses."""


def minimal(felt: str) -> str:
    """A padded felt as the chain gives it."""
    return "0x" + (felt[2:].lstrip("0") or "0")


def at(seconds: int) -> datetime.datetime:
    """A block time as the database takes it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def seal(ours: Sequence[types.EmittedEvent]) -> str:
    """What our events of one block were when they were committed: SHA-256, in hex.

    A row that is lost, added or changed later gives another one.
    """
    return hashlib.sha256(msgspec.json.encode(ours)).hexdigest()


def by_block(ours: Iterable[types.EmittedEvent]) -> dict[int, list[types.EmittedEvent]]:
    """Events in chain order, by the number of their block."""
    found: dict[int, list[types.EmittedEvent]] = {}
    for event in ours:
        found.setdefault(event.block_number, []).append(event)
    return found


def batch_of(part: types.Range) -> Batch:
    """The facts of a range that a fold needs."""
    senders = {(event.block_number, event.transaction_index) for event in part.events}
    return Batch(
        part.from_block,
        part.to_block,
        part.events,
        {block.header.number: block.header.timestamp for block in part.blocks}
        | {part.tip.number: part.tip.timestamp},
        {
            (block.header.number, receipt.transaction_index): Fee(
                receipt.actual_fee, receipt.fee_unit
            )
            for block in part.blocks
            for receipt in block.receipts
            if (block.header.number, receipt.transaction_index) in senders
        },
    )


async def append(
    connection: Connection, part: types.Range, batch: Batch, derived: Sequence[Derived]
) -> None:
    """Write a range's blocks, receipts and events, inside the caller's transaction."""
    await _append_blocks(connection, part)
    await connection.copy_records_to_table(
        "receipts",
        columns=("block_number", "transaction_index", "transaction_hash", "actual_fee", "fee_unit"),
        records=_receipt_rows(part, batch),
    )
    await connection.copy_records_to_table(
        "events", columns=EVENT_COLUMNS, records=_event_rows(part.events, derived)
    )


async def _append_blocks(connection: Connection, part: types.Range) -> None:
    headers = {block.header.number: block.header for block in part.blocks}
    headers[part.tip.number] = part.tip
    ours = by_block(part.events)
    await connection.executemany(
        _SQL["append_block"],
        [
            (
                header.number,
                padded(header.hash),
                padded(header.parent_hash),
                at(header.timestamp),
                header.status,
                header.event_count,
                header.event_commitment,
                True if header.number in part.proved else None,
                seal(ours.get(header.number, [])),
            )
            for header in headers.values()
        ],
    )


def _receipt_rows(part: types.Range, batch: Batch) -> Iterable[tuple[object, ...]]:
    for block in part.blocks:
        for receipt in block.receipts:
            if (block.header.number, receipt.transaction_index) in batch.fees:
                yield (
                    block.header.number,
                    receipt.transaction_index,
                    padded(receipt.transaction_hash),
                    receipt.actual_fee,
                    receipt.fee_unit,
                )


def _event_rows(
    emitted: Sequence[types.EmittedEvent], derived: Sequence[Derived]
) -> Iterable[tuple[object, ...]]:
    for event, about in zip(emitted, derived, strict=True):
        yield (
            event.block_number,
            event.transaction_index,
            event.event_index,
            padded(event.block_hash),
            padded(event.transaction_hash),
            padded(event.from_address),
            event.keys,
            event.data,
            about.contract,
            about.name,
            about.args,
        )


def derived_rows(
    emitted: Sequence[types.EmittedEvent], derived: Sequence[Derived]
) -> tuple[list[object], ...]:
    """What decoding says of events, as columns: place, contract, name and args."""
    return (
        [event.block_number for event in emitted],
        [event.transaction_index for event in emitted],
        [event.event_index for event in emitted],
        [about.contract for about in derived],
        [about.name for about in derived],
        [about.args for about in derived],
    )


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
        end = await batch_end(connection, first, to_block, size)
        last = to_block if end is None else end
        yield await _read_batch(connection, first, last)
        first = last + 1


async def _read_batch(connection: Connection, first: int, last: int) -> Batch:
    emitted = await read_events(connection, first, last)
    times = await connection.fetch(_SQL["read_times"], first, last)
    fees = await connection.fetch(_SQL["read_fees"], first, last)
    return Batch(
        first,
        last,
        emitted,
        {row["number"]: int(row["timestamp"].timestamp()) for row in times},
        {
            (row["block_number"], row["transaction_index"]): Fee(
                int(row["actual_fee"]), row["fee_unit"]
            )
            for row in fees
        },
    )


async def read_events(connection: Connection, first: int, last: int) -> list[types.EmittedEvent]:
    """Our events from block to block, in chain order."""
    rows = await connection.fetch(_SQL["read"], first, last)
    return [_emitted(row) for row in rows]


def _emitted(row: asyncpg.Record) -> types.EmittedEvent:
    return types.EmittedEvent(
        row["block_number"],
        row["transaction_index"],
        row["event_index"],
        minimal(row["block_hash"]),
        minimal(row["transaction_hash"]),
        minimal(row["from_address"]),
        row["keys"],
        row["data"],
    )
