"""Decides when the oracle prices of all markets are sampled."""

from __future__ import annotations

import asyncpg

from indexer.chain import types
from indexer.log import observations
from indexer.vesu import views


async def last_time(connection: asyncpg.Connection) -> int | None:
    """The time of the block at which prices were sampled last, in seconds since 1970."""
    return await observations.last_time(connection, views.PRICE.name)


async def is_due(
    connection: asyncpg.Connection, tip: types.BlockHeader, sample_seconds: int
) -> bool:
    """Whether `sample_seconds` of chain time passed since the last sample; 0 never samples.

    The chain's own time decides, so that a restart neither samples twice nor skips.
    """
    if not sample_seconds:
        return False
    last = await last_time(connection)
    return last is None or tip.timestamp - last >= sample_seconds
