"""Transactions by their hash: their state, and the watches that follow them."""

from __future__ import annotations

import datetime
from typing import Literal

import asyncpg
import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.query import kinds
from indexer.store import database, sqlfile

_SQL = sqlfile.load(__package__, "watches")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Seen = Literal["not_seen", "received", "in_block", "indexed"]
Status = Literal["pending", "confirmed", "failed", "dropped"]


class Sighting(msgspec.Struct, frozen=True):
    """What is known of a transaction.

    `seen`: `not_seen`, neither the tables nor (where it is watched) the node know it; `received`,
    the node knows it; `in_block`, a block above the committed one holds it; `indexed`, the block
    `block_number` holds it and the tables hold that block. `status` is None where nobody watches
    it and no event of ours is known. `effects` counts its rows in vesu_transactions. `gas_used` is
    the fee in tokens of `fee_unit` (FRI: STRK, WEI: ETH).
    """

    transaction_hash: kinds.Felt
    seen: Seen
    status: Status | None
    effects: kinds.Block
    block_number: kinds.Block | None
    block_hash: kinds.Felt | None
    block_time: datetime.datetime | None
    gas_used: kinds.Amount | None
    fee_unit: str | None
    error_message: str | None
    is_watched: bool
    node_status: str | None
    started_at: datetime.datetime | None
    asked_at: datetime.datetime | None
    settled_at: datetime.datetime | None


async def start(connection: Connection, transaction_hash: int) -> None:
    """Watch a transaction; one that is watched stays as it is, a dropped one begins again.

    TooManyWatchesError: the limit of watched transactions is reached.
    """
    await _start(connection, "start", transaction_hash)


async def _start(connection: Connection, statement: str, transaction_hash: int) -> None:
    try:
        await connection.execute(_SQL[statement], felt252.padded(transaction_hash))
    except asyncpg.ConfigurationLimitExceededError as error:
        raise errors.TooManyWatchesError(str(error)) from error


async def begin(url: str, transaction_hash: int) -> None:
    """Watch a transaction over a connection of its own, as a role that may do no more than that.

    DatabaseReadOnlyError and DatabaseRightsError: in this database, or as this role, none can be.
    """
    async with database.session(url) as connection:
        await _start(connection, "start_as_owner", transaction_hash)


async def read(connection: Connection, transaction_hash: int) -> Sighting:
    """What is known of a transaction, of one snapshot, watched or not."""
    row = await connection.fetchrow(_SQL["read"], felt252.padded(transaction_hash))
    assert row is not None  # one row, whatever is known
    return Sighting(**row)


def as_of(known: Sighting, block_number: int) -> Sighting:
    """The state of a transaction as of a block; watches are left out, they are of the present."""
    sighting = msgspec.structs.replace(
        known, is_watched=False, node_status=None, started_at=None, asked_at=None, settled_at=None
    )
    if known.effects and known.block_number is not None and known.block_number <= block_number:
        return sighting
    return msgspec.structs.replace(
        sighting,
        seen="not_seen",
        status=None,
        effects=0,
        block_number=None,
        block_hash=None,
        block_time=None,
        gas_used=None,
        fee_unit=None,
        error_message=None,
    )
