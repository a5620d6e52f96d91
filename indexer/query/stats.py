"""The protocol's numbers at a moment: supply, debt and users, by generation."""

from __future__ import annotations

import msgspec

from indexer.query import assets as query_assets
from indexer.query import counts, database_state, kinds, point_in_time, states, totals


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
    """The number of effects of one type in listed pools, and in others (`unlisted_effects`)."""

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


async def at(
    connection: point_in_time.Connection, state: states.State, known: counts.Counts | None = None
) -> Stats:
    """The numbers at a moment; `known`: the counts that the process keeps."""
    standing = await database_state.read(connection)
    found = await (known or counts.Counts()).counts_at(
        connection, standing, state.moment.block_number
    )
    counted = totals.newest(state.assets)
    supply, borrow, unpriced = totals.listed(counted)
    protocols = sorted(
        {asset.protocol for asset in counted} | {protocol for protocol, _ in found.positions}
    )
    return Stats(
        supply,
        borrow,
        point_in_time.total([supply, f"-{borrow}"]),
        unpriced,
        totals.unlisted(counted),
        [_generation(protocol, counted, found.positions) for protocol in protocols],
        [
            Effects(type_, *msgspec.structs.astuple(numbers))
            for type_, numbers in sorted(found.effects.items())
        ],
    )


PositionCounts = dict[tuple[str, bool], counts.Positions]


def _generation(
    protocol: str, counted: list[query_assets.Asset], known: PositionCounts
) -> Generation:
    members = [asset for asset in counted if asset.protocol == protocol]
    of_listed = _numbers(
        [asset for asset in members if asset.is_listed], known.get((protocol, True))
    )
    others = [asset for asset in members if not asset.is_listed]
    return Generation(
        **msgspec.structs.asdict(of_listed),
        protocol=protocol,
        unlisted=_numbers(others, known.get((protocol, False))),
    )


def _numbers(members: list[query_assets.Asset], known: counts.Positions | None) -> Numbers:
    positions = known or counts.Positions()
    return Numbers(
        len({asset.pool_id for asset in members}),
        *totals.sums(members),
        positions.users,
        positions.active_positions,
        positions.positions_with_debt,
    )
