"""The watch list: the configured contracts as the database remembers them.

The contracts that events name follow from these. One that was not read from its first event on,
or is read no more, makes tables that look fresh and are wrong: so the list is compared at each
start, and a proof of the log names the list for which it holds (view `watch_list_version`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg
import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.chain import types
from indexer.log import cursor
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "watch_list")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Contract(msgspec.Struct, frozen=True):
    """A contract of the configuration. `from_block`: the first block that may hold an event."""

    address: int
    kind: str
    from_block: int

    def __str__(self) -> str:
        return f"{self.kind} {felt252.padded(self.address)}"


class Compared(msgspec.Struct, frozen=True):
    """The configured contracts beside those of the database.

    `added` are not remembered; `gone` are remembered and no longer configured; of `unread` no
    node was asked yet whether they emitted anything before the log begins. `is_remembered`:
    False in a database that remembers none, as one of an earlier version.
    """

    added: tuple[Contract, ...]
    gone: tuple[Contract, ...]
    unread: tuple[Contract, ...]
    is_remembered: bool

    def sentence(self) -> str | None:
        """How they differ, and what to do; None: not at all."""
        parts = []
        if self.added and self.is_remembered:
            parts.append(
                f"{', '.join(map(str, self.added))} is configured and its events were not read: "
                "`vesu-indexer run` reads its history back first"
            )
        if self.gone:
            parts.append(
                f"{', '.join(map(str, self.gone))}, which it was filled from, is not configured: "
                "configure it again, or fill a new database"
            )
        return "; ".join(parts) or None


async def compare(connection: Connection, configured: Iterable[Contract]) -> Compared:
    """Compare the configured contracts with those that the database remembers."""
    rows = await connection.fetch(_SQL["read"])
    stored = {(int(row["address"], 16), row["kind"]): row for row in rows}
    by_key = {(contract.address, contract.kind): contract for contract in configured}
    return Compared(
        tuple(by_key[key] for key in sorted(by_key.keys() - stored)),
        tuple(Contract(*key, stored[key]["from_block"]) for key in sorted(stored - by_key.keys())),
        tuple(
            by_key[key]
            for key in sorted(by_key.keys() & stored)
            if not stored[key]["is_history_read"]
        ),
        bool(stored),
    )


async def require_none_gone(
    connection: Connection, committed: cursor.Cursor, configured: Sequence[Contract]
) -> None:
    """Refuse to go on without a contract that the log was filled from.

    A database without a block remembers whatever is configured. Raises ConfigError.
    """
    if committed.block_hash is None:
        async with connection.transaction():
            await connection.execute(_SQL["clear"])
            await _store(connection, committed.start_block, configured, is_history_read=False)
        return
    compared = await compare(connection, configured)
    if compared.gone:
        raise errors.ConfigError(
            f"network.contracts is not what this database was filled with up to block "
            f"{committed.block_number}: {compared.sentence()}"
        )


async def require_same(connection: Connection, configured: Iterable[Contract]) -> None:
    """Refuse to work on a log that does not hold every configured contract; ConfigError."""
    if difference := (await compare(connection, configured)).sentence():
        raise errors.ConfigError(
            f"network.contracts is not what this database was filled with: {difference}"
        )


async def remember(
    connection: Connection, start_block: int, configured: Sequence[Contract]
) -> None:
    """Note that the log holds, or is about to be filled with, every event of these contracts."""
    await _store(connection, start_block, configured, is_history_read=True)


async def _store(
    connection: Connection,
    start_block: int,
    configured: Sequence[Contract],
    *,
    is_history_read: bool,
) -> None:
    await connection.executemany(
        _SQL["put"],
        [
            (
                felt252.padded(contract.address),
                contract.kind,
                contract.from_block,
                start_block,
                is_history_read,
            )
            for contract in configured
        ],
    )


async def holds(connection: Connection, event: types.EmittedEvent) -> bool:
    """Whether the log holds an event."""
    event_key = event.block_number, event.transaction_index, event.event_index
    return bool(await connection.fetchval(_SQL["holds_event"], *event_key))


async def first_event(connection: Connection, address: int) -> int | None:
    """The first block with an event of a contract in the log; None: it has none."""
    block: int | None = await connection.fetchval(_SQL["first_event"], felt252.padded(address))
    return block


async def lower_start(connection: Connection, committed: cursor.Cursor, block: int) -> None:
    """Let the log begin at a lower block, inside the caller's transaction."""
    await connection.fetchval(_SQL["lower_start"], block, committed.writer_token)


async def classed(connection: Connection) -> set[int]:
    """The addresses at which a node has named a class."""
    rows = await connection.fetch(_SQL["read"])
    return {int(row["address"], 16) for row in rows if row["class_hash"] is not None}


async def note_class(connection: Connection, address: int, class_hash: int) -> None:
    """Remember the class that stood at an address."""
    await connection.execute(
        _SQL["note_class"], felt252.padded(address), felt252.padded(class_hash)
    )
