"""Liquidators: counts, volumes and profit at the prices that the contract used."""

from __future__ import annotations

import datetime

import asyncpg
import msgspec

from indexer.projections import rows
from indexer.query import kinds, point_in_time
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "analysis")


class Sums(msgspec.Struct, frozen=True):
    """Sums over liquidations."""

    liquidations: kinds.Block
    users_liquidated: kinds.Block
    repaid_usd: kinds.Usd
    seized_usd: kinds.Usd
    profit_usd: kinds.Usd
    bad_debt_usd: kinds.Usd


class Liquidator(msgspec.Struct, frozen=True):
    """One liquidator's liquidations over the time.

    `profit_usd` is what was seized less what was repaid, at the contract's prices of the time,
    before gas and trading. Counted are liquidations in listed pools; `unlisted` are the others,
    whose prices the pools' curators choose.
    """

    liquidator_address: kinds.Felt
    liquidations: kinds.Block
    users_liquidated: kinds.Block
    repaid_usd: kinds.Usd
    seized_usd: kinds.Usd
    profit_usd: kinds.Usd
    bad_debt_usd: kinds.Usd
    unlisted: Sums
    first_at: datetime.datetime
    last_at: datetime.datetime


async def leaderboard(
    connection: point_in_time.Connection,
    moment: point_in_time.Moment,
    since: datetime.datetime,
    limit: int,
) -> list[Liquidator]:
    """The liquidators who repaid most in USD since a time, up to a moment."""
    rows = await connection.fetch(
        _SQL["leaderboard"], moment.block_number, since, moment.valued_at, limit
    )
    return [
        Liquidator(
            row["liquidator_address"],
            *_sums(row),
            Sums(*_sums(row, "unlisted_")),
            row["first_at"],
            row["last_at"],
        )
        for row in rows
    ]


def _sums(row: asyncpg.Record, prefix: str = "") -> tuple[int, int, str, str, str, str]:
    """The fields of Sums, from the columns with a prefix."""
    repaid, seized = int(row[f"{prefix}repaid"]), int(row[f"{prefix}seized"])
    return (
        row[f"{prefix}liquidations"],
        row[f"{prefix}users_liquidated"],
        _usd(repaid),
        _usd(seized),
        _usd(seized - repaid),
        _usd(int(row[f"{prefix}bad_debt"])),
    )


def _usd(scaled: int) -> str:
    return rows.units(scaled, 18)
