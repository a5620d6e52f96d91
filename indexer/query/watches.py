"""Transactions by their hash: what became of them, and the watches that follow them."""

from __future__ import annotations

import datetime
import decimal
from typing import Literal

import asyncpg
import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.store import sqlfile

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

    transaction_hash: str
    seen: Seen
    status: Status | None
    effects: int
    block_number: int | None
    block_hash: str | None
    block_time: datetime.datetime | None
    gas_used: decimal.Decimal | None
    fee_unit: str | None
    error_message: str | None
    is_watched: bool
    node_status: str | None
    started_at: datetime.datetime | None
    asked_at: datetime.datetime | None
    settled_at: datetime.datetime | None


async def start(connection: Connection, transaction_hash: int) -> None:
    """Watch a transaction; one that is watched stays as it is, a dropped one begins again.

    QuestionError: so many are watched that no more may be.
    """
    try:
        await connection.execute(_SQL["start"], felt252.padded(transaction_hash))
    except asyncpg.ConfigurationLimitExceededError as error:
        raise errors.QuestionError(str(error), parameter="hash") from error


async def read(connection: Connection, transaction_hash: int) -> Sighting:
    """What is known of a transaction, of one snapshot, watched or not."""
    row = await connection.fetchrow(_SQL["read"], felt252.padded(transaction_hash))
    assert row is not None  # one row, whatever is known
    return Sighting(**row)
