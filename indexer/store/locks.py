"""The single writer: a session advisory lock on a connection of its own, tried, never awaited."""

from __future__ import annotations

from types import TracebackType

import asyncpg

from indexer import errors
from indexer.store import database, sqlfile

WRITER_KEY = 0x5645_5355
"""The advisory lock's key: the letters VESU."""


class WriterLock:
    """Held from entering to leaving the context, or until its connection ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> WriterLock:
        connection = await database.connect(self._url)
        statements = sqlfile.load("locks")
        if not await connection.fetchval(statements["try"], WRITER_KEY):
            holder = await connection.fetchrow(statements["holder"], WRITER_KEY)
            await connection.close()
            raise errors.WriterConflictError(_conflict(holder))
        self._connection = connection
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def is_held(self) -> bool:
        """Whether the connection that holds the lock still lives."""
        return self._connection is not None and not self._connection.is_closed()


def _conflict(holder: asyncpg.Record | None) -> str:
    if holder is None:
        return "another indexer just let go of this database: try again"
    where = holder["client_addr"] or "this machine"
    return (
        f"another indexer writes to this database: server process {holder['pid']} from {where}, "
        f"since {holder['backend_start']:%Y-%m-%d %H:%M:%S %Z}; stop it first"
    )
