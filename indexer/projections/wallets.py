"""The wallets table: which user stands for a wallet in the schema of the users' guide."""

from __future__ import annotations

from collections.abc import Iterable

from indexer.projections import memory, rows
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "wallets")


def user_id(address: str) -> str:
    """The user of a wallet that no application maps: uuid v5 of its padded address.

    The same as PostgreSQL's `wallet_uuid`.
    """
    return rows.uuid_of(address)


async def add(connection: memory.Connection, addresses: Iterable[str]) -> None:
    """Make sure that each of these wallets (padded addresses) has a user; what is there stays."""
    unique = sorted(set(addresses))
    if unique:
        await connection.execute(_SQL["add"], unique, [user_id(address) for address in unique])
