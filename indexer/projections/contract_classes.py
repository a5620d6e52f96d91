"""The classes that a node named for contracts, and the pools that run one that nobody knows.

They are the node's word at the head, no fact of the log: nothing is folded by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import asyncpg

from indexer.cairo import felt252
from indexer.store import sqlfile
from indexer.vesu import known_classes, state

_SQL = sqlfile.load(__package__, "contract_classes")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Unknown = Mapping[int, str]
"""By the address of a contract, its class hash (padded) where this release does not know it."""


class Due(NamedTuple):
    """A contract whose class is to be asked; `upgraded_to`: the class its last upgrade names."""

    address: str
    kind: str
    upgraded_to: str | None


async def due(connection: Connection, max_age_seconds: float) -> list[Due]:
    """Contracts without a stored answer, upgraded since, or with an answer older than that."""
    return [Due(*row) for row in await connection.fetch(_SQL["due"], max_age_seconds)]


async def note(connection: Connection, contract: Due, class_hash: int) -> str | None:
    """Store a node's answer and mark the pools that it concerns; returns the known class's name."""
    name = known_classes.name_of(class_hash)
    async with connection.transaction():
        await connection.execute(
            _SQL["note"],
            contract.address,
            contract.kind,
            felt252.padded(class_hash),
            name,
            contract.upgraded_to,
        )
        await connection.execute(_SQL["settle"])
    return name


async def settle(connection: Connection) -> None:
    """Mark every pool by the stored answers."""
    await connection.execute(_SQL["settle"])


async def read_unknown(connection: Connection) -> Unknown:
    """The contracts whose class this release does not know."""
    rows = await connection.fetch(_SQL["unknown"])
    return {int(row["address"], 16): row["class_hash"] for row in rows}


def of_pool(unknown: Unknown, pool: state.PoolKey, world: state.World) -> str | None:
    """The unknown class that a pool runs or, in V1, that decides on it; None: there is none."""
    inner = world.pools.get(pool)
    extension = inner.extension if inner is not None else None
    return unknown.get(pool.address) or unknown.get(extension or 0)
