"""The protocol in numbers at a moment: what is supplied and owed, by generation, and by whom."""

from __future__ import annotations

import asyncpg
import msgspec

from indexer.query import assets as query_assets
from indexer.query import kinds, point_in_time, states, totals
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "analysis")


class Numbers(msgspec.Struct, frozen=True):
    """Numbers of some pools. `users` and positions are people's, active ones."""

    pools: kinds.Block
    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    unpriced: list[str]
    users: kinds.Block
    active_positions: kinds.Block
    positions_with_debt: kinds.Block


class Generation(Numbers, frozen=True, kw_only=True):
    """One generation's numbers: of its listed pools, and of the others (`unlisted`)."""

    protocol: str
    unlisted: Numbers


class Effects(msgspec.Struct, frozen=True):
    """How often people did one thing in listed pools, and in others (`unlisted_effects`)."""

    type: str
    effects: kinds.Block
    users: kinds.Block
    unlisted_effects: kinds.Block


class Stats(msgspec.Struct, frozen=True):
    """The whole protocol. `tvl_usd` is what is supplied less what is lent out.

    Listed pools are counted, the rest stands apart in `unlisted`.
    """

    supply_usd: kinds.Usd
    borrow_usd: kinds.Usd
    tvl_usd: kinds.Usd
    unpriced: list[str]
    unlisted: totals.Sums
    generations: list[Generation]
    effects: list[Effects]


async def at(connection: point_in_time.Connection, state: states.State) -> Stats:
    """The numbers at a moment."""
    number = state.moment.block_number
    counted = totals.newest(state.assets)
    supply, borrow, unpriced = totals.listed(counted)
    counts = {
        (row["protocol"], row["is_listed"]): row
        for row in await connection.fetch(_SQL["counts"], number)
    }
    effects = await connection.fetch(_SQL["effects"], number)
    protocols = sorted({asset.protocol for asset in counted} | {protocol for protocol, _ in counts})
    return Stats(
        supply,
        borrow,
        point_in_time.total([supply, f"-{borrow}"]),
        unpriced,
        totals.unlisted(counted),
        [_generation(protocol, counted, counts) for protocol in protocols],
        [Effects(**dict(row)) for row in effects],
    )


Counts = dict[tuple[str, bool], asyncpg.Record]


def _generation(protocol: str, counted: list[query_assets.Asset], counts: Counts) -> Generation:
    members = [asset for asset in counted if asset.protocol == protocol]
    of_listed = _numbers(
        [asset for asset in members if asset.is_listed], counts.get((protocol, True))
    )
    others = [asset for asset in members if not asset.is_listed]
    return Generation(
        **msgspec.structs.asdict(of_listed),
        protocol=protocol,
        unlisted=_numbers(others, counts.get((protocol, False))),
    )


def _numbers(members: list[query_assets.Asset], counts: asyncpg.Record | None) -> Numbers:
    found = {} if counts is None else dict(counts)
    return Numbers(
        len({asset.pool_id for asset in members}),
        *totals.sums(members),
        found.get("users", 0),
        found.get("active_positions", 0),
        found.get("positions_with_debt", 0),
    )
