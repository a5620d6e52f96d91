"""Finds positions near their limit by an index, without valuing every position.

Health is one factor of a pair times shares over debt, so a bound on health is a bound on shares to
debt, which `idx_vesu_positions_shares_to_debt` answers for the current rows. What changed since an
earlier block is a candidate there, too. Candidates are a superset: each is valued afterwards.
"""

from __future__ import annotations

import decimal
from typing import NamedTuple

import asyncpg

from indexer.projections import rows
from indexer.query import changes, point_in_time
from indexer.store import sqlfile
from indexer.vesu import maths

_SQL = sqlfile.load(__package__, "near")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

MOST_SCALED = 10**30
"""A health above 10^12 bounds nothing."""


class Candidates(NamedTuple):
    """Keys of positions: pool ids, and ids in the same order."""

    pool_ids: list[str]
    ids: list[str]


async def candidates(
    connection: Connection,
    snapshot: point_in_time.Snapshot,
    health: decimal.Decimal,
    most: int,
) -> Candidates | None:
    """Every position whose health may be `health` or less at the snapshot's moment.

    Of the pools that the snapshot has loaded. None: they, or those that changed since the moment,
    are more than `most`.
    """
    since = await changes.keys(connection, snapshot.moment.block_number, most)
    if since is None:
        return None
    rows = await connection.fetch(_SQL["below"], *_bounds(snapshot, health), most + 1)
    if len(rows) > most:
        return None
    rows += since
    keys = sorted({(row["pool_id"], row["id"]) for row in rows})
    return Candidates([pool_id for pool_id, _ in keys], [id_ for _, id_ in keys])


def _bounds(
    snapshot: point_in_time.Snapshot, health: decimal.Decimal
) -> tuple[list[str], list[int]]:
    """Ids of pairs, and of each its bound on shares to debt x 10^9."""
    scaled = min(int(health * maths.SCALE) + 1, MOST_SCALED)
    valuer = snapshot.valuer()
    found: dict[str, int] = {}
    for key in snapshot.world.pairs:
        bound = valuer.edge(key, scaled)
        if bound is not None:
            found[rows.pair_id(snapshot.protocol(key.pool), key)] = bound
    return list(found), list(found.values())
