"""The protocol in numbers at a moment: what is supplied and owed, by generation, and by whom."""

from __future__ import annotations

import asyncpg
import msgspec

from indexer.query import assets as query_assets
from indexer.query import kinds, point_in_time, states, totals
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "analysis")


class Generation(msgspec.Struct, frozen=True):
    """One generation's numbers. `users` and positions are people's, active ones."""

    protocol: str
    pools: kinds.Block
    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    unpriced: list[str]
    users: kinds.Block
    active_positions: kinds.Block
    positions_with_debt: kinds.Block


class Effects(msgspec.Struct, frozen=True):
    """How often people did one thing."""

    type: str
    effects: kinds.Block
    users: kinds.Block


class Stats(msgspec.Struct, frozen=True):
    """The whole protocol. `tvl_usd` is what is supplied less what is lent out."""

    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    tvl_usd: kinds.Usd
    unpriced: list[str]
    generations: list[Generation]
    effects: list[Effects]


async def at(connection: point_in_time.Connection, state: states.State) -> Stats:
    """The numbers at a moment."""
    number = state.moment.block_number
    counted = totals.newest(state.assets)
    supply, borrow, unpriced = totals.sums(counted)
    counts = {row["protocol"]: row for row in await connection.fetch(_SQL["counts"], number)}
    effects = await connection.fetch(_SQL["effects"], number)
    protocols = sorted({one.protocol for one in counted} | set(counts))
    return Stats(
        supply,
        borrow,
        point_in_time.total([supply, f"-{borrow}"]),
        unpriced,
        [_generation(one, counted, counts.get(one)) for one in protocols],
        [Effects(**dict(row)) for row in effects],
    )


def _generation(
    protocol: str, counted: list[query_assets.Asset], counts: asyncpg.Record | None
) -> Generation:
    members = [one for one in counted if one.protocol == protocol]
    found = {} if counts is None else dict(counts)
    return Generation(
        protocol,
        len({one.pool_id for one in members}),
        *totals.sums(members),
        found.get("users", 0),
        found.get("active_positions", 0),
        found.get("positions_with_debt", 0),
    )
