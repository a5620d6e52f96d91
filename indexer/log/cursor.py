"""The cursor: the single row that says which block all tables hold.

It moves only by compare-and-swap on (number, hash, token), inside the transaction that writes the
tables. Each writer raises the token when it opens the cursor, so one that was taken over from can
write nothing more, wherever the cursor has come to stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import asyncpg
import msgspec

from indexer import errors
from indexer.chain import types
from indexer.log import facts
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "cursor")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Committed(msgspec.Struct, frozen=True):
    """The chain and the committed block; the hash is padded, as the tables hold it."""

    chain_id: str
    block_number: int
    block_hash: str


class Cursor(msgspec.Struct, frozen=True):
    """The committed position. `block_hash` is canonical, None before the first commit."""

    chain_id: str
    start_block: int
    block_number: int
    block_hash: str | None
    timestamp: int | None
    fork_counter: int
    fold_version: int
    generation: int
    writer_token: int = 0
    """Raised by each writer that opens the cursor: one that was taken over from writes no more."""


async def read(connection: Connection) -> Cursor | None:
    """The cursor; None in a database that no run has touched."""
    row = await connection.fetchrow(_SQL["read"])
    return None if row is None else _cursor(row)


async def open_for(
    connection: Connection, chain_id: str, start_block: int, fold_version: int
) -> Cursor:
    """The cursor, made if the database is new; refuses another chain.

    Raises its token, so that every writer before this one can write nothing more.
    """
    await connection.execute(_SQL["create"], chain_id, start_block, fold_version)
    await connection.execute(_SQL["raise_token"])
    row = await connection.fetchrow(_SQL["read"])
    assert row is not None  # made above, if it was not there
    cursor = _cursor(row)
    if cursor.chain_id != chain_id:
        raise errors.ConfigError(
            f"this database follows chain {cursor.chain_id}, but network.chain_id is {chain_id}: "
            "use another database or another network"
        )
    return cursor


async def opened(connection: Connection, expected: Cursor) -> Cursor:
    """The cursor that this writer opened, read again; WriterConflictError: another has since."""
    cursor = await read(connection)
    if cursor is None or cursor.writer_token != expected.writer_token:
        raise errors.WriterConflictError(
            "another indexer has opened this database since: this one stops"
        )
    return cursor


async def advance(connection: Connection, expected: Cursor, tip: types.BlockHeader) -> Cursor:
    """Move on to `tip` if the cursor still stands where `expected` says."""
    return await _swap(
        connection, expected, tip.number, tip.hash, tip.timestamp, expected.fork_counter
    )


async def retreat(
    connection: Connection, expected: Cursor, number: int, hash_: str | None, timestamp: int | None
) -> Cursor:
    """Move back to an ancestor; counts a fork."""
    return await _swap(connection, expected, number, hash_, timestamp, expected.fork_counter + 1)


async def keep(connection: Connection, expected: Cursor) -> None:
    """Lock the cursor until the transaction ends, if it is where `expected` says.

    For what can be written again: a crash of the server may forget the transaction.
    """
    row = await connection.fetchrow(
        _SQL["keep"],
        expected.block_number,
        None if expected.block_hash is None else facts.padded(expected.block_hash),
        expected.generation,
        expected.writer_token,
    )
    if row is None:
        await _refuse(connection, expected)


async def _swap(
    connection: Connection,
    expected: Cursor,
    number: int,
    hash_: str | None,
    timestamp: int | None,
    fork_counter: int,
) -> Cursor:
    row = await connection.fetchrow(
        _SQL["swap"],
        expected.block_number,
        None if expected.block_hash is None else facts.padded(expected.block_hash),
        number,
        None if hash_ is None else facts.padded(hash_),
        None if timestamp is None else facts.as_datetime(timestamp),
        fork_counter,
        expected.generation,
        expected.writer_token,
    )
    if row is None:
        await _refuse(connection, expected)
    return _cursor(row)


async def _refuse(connection: Connection, expected: Cursor) -> NoReturn:
    now = await read(connection)
    is_replaced = now is not None and now.generation != expected.generation
    if is_replaced and now is not None and now.writer_token == expected.writer_token:
        raise errors.ProjectionsReplacedError()
    raise errors.WriterConflictError(
        f"the cursor is no longer at block {expected.block_number}: another indexer writes "
        "to this database; this one stops"
    )


async def note_head(
    connection: Connection, expected: Cursor, head: types.BlockHeader, finalised: int | None
) -> int | None:
    """Remember the head that the node told just now; returns the highest final block ever told.

    A final block above the head is no answer: it is left out. WriterConflictError: a later writer
    has opened the cursor.
    """
    noted = await connection.fetchrow(
        _SQL["note_head"],
        head.number,
        facts.padded(head.hash),
        facts.as_datetime(head.timestamp),
        finalised if finalised is not None and finalised <= head.number else None,
        expected.writer_token,
    )
    if noted is None:
        raise errors.WriterConflictError(
            "another indexer has opened this database since: this one stops"
        )
    final: int | None = noted["finalised_block"]
    return final


async def note_suspicion(connection: Connection, expected: Cursor, reason: str | None) -> None:
    """Tell readers why the chain is doubted, and since when; None: it is not.

    A writer that was taken over from tells nothing.
    """
    await connection.execute(_SQL["note_suspicion"], reason, expected.writer_token)


async def head(connection: Connection) -> int | None:
    """The number of the head that the node last reported; None before the first report."""
    number: int | None = await connection.fetchval(_SQL["head"])
    return number


async def finalised(connection: Connection) -> int | None:
    """The highest block reported as accepted on L1; None before the first report."""
    number: int | None = await connection.fetchval(_SQL["final"])
    return number


async def lower_finalised(connection: Connection, expected: Cursor, number: int) -> None:
    """Count nothing above a block as accepted on L1 any more; a writer taken over from cannot."""
    await connection.execute(_SQL["lower_final"], number, expected.writer_token)


async def hold(connection: Connection) -> None:
    """Keep the writer from committing until the caller's transaction ends."""
    await connection.fetchval(_SQL["hold"])


async def notify(connection: Connection, committed: Cursor, tables: Sequence[str]) -> None:
    """Notify listeners of `vesu_blocks` of the committed block, once the transaction commits."""
    message = {
        "block_number": committed.block_number,
        "block_hash": facts.padded(committed.block_hash or "0x0"),
        "fork_counter": committed.fork_counter,
        "tables": tables,
    }
    await connection.execute(_SQL["notify"], msgspec.json.encode(message).decode())


async def committed(connection: Connection) -> Committed | None:
    """Chain and committed block, in a database of any earlier version too; None: none yet."""
    row = await connection.fetchrow(_SQL["committed"])
    if row is None or row["block_hash"] is None:
        return None
    return Committed(row["chain_id"], row["block_number"], row["block_hash"])


def _cursor(row: asyncpg.Record) -> Cursor:
    return Cursor(
        row["chain_id"],
        row["start_block"],
        row["block_number"],
        None if row["block_hash"] is None else facts.minimal(row["block_hash"]),
        None if row["block_timestamp"] is None else int(row["block_timestamp"].timestamp()),
        row["fork_counter"],
        row["fold_version"],
        row["generation"],
        row["writer_token"],
    )
