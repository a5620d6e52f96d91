"""The configured contracts as the database remembers them: what shapes its data must not change.

A contract that was not read from its first event on, or is read no more, makes tables that look
fresh and are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg
import msgspec

from indexer import errors
from indexer.cairo import felt252
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


async def difference(connection: Connection, configured: Iterable[Contract]) -> str | None:
    """How the configured contracts differ from those of the database; None: not at all.

    Nothing differs from a database that remembers none, as one of an earlier version.
    """
    stored = {
        (int(row["address"], 16), row["kind"]) for row in await connection.fetch(_SQL["read"])
    }
    given = {(one.address, one.kind): one for one in configured}
    if not stored:
        return None
    added = [str(given[key]) for key in sorted(given.keys() - stored)]
    gone = [str(Contract(*key, 0)) for key in sorted(stored - given.keys())]
    parts = []
    if added:
        parts.append(f"{', '.join(added)} was not read when it was filled")
    if gone:
        parts.append(f"{', '.join(gone)}, which it was filled from, is not configured")
    return "; ".join(parts) or None


async def require_same(
    connection: Connection, stands: cursor.Cursor, configured: Iterable[Contract]
) -> None:
    """Remember the configured contracts, or compare them with those remembered.

    Raises ConfigError where blocks are committed that were read with other contracts.
    """
    configured = list(configured)
    if stands.block_hash is not None and (found := await difference(connection, configured)):
        raise errors.ConfigError(
            f"network.contracts is not what this database was filled with up to block "
            f"{stands.block_number}: {found}; configure the same, or fill a new database"
        )
    if stands.block_hash is not None and await connection.fetch(_SQL["read"]):
        return
    async with connection.transaction():
        await connection.execute(_SQL["clear"])
        await connection.executemany(
            _SQL["add"],
            [
                (felt252.padded(one.address), one.kind, one.from_block, stands.start_block)
                for one in configured
            ],
        )


async def unchecked(connection: Connection) -> set[int]:
    """The addresses at which no node has named a class yet."""
    rows = await connection.fetch(_SQL["read"])
    return {int(row["address"], 16) for row in rows if row["class_hash"] is None}


async def note_class(connection: Connection, address: int, class_hash: int) -> None:
    """Remember the class that stood at an address."""
    await connection.execute(
        _SQL["note_class"], felt252.padded(address), felt252.padded(class_hash)
    )
