"""When the oracle prices of all markets are sampled."""

from __future__ import annotations

import asyncpg

from indexer.chain import types
from indexer.log import observations
from indexer.projections import engine as engines
from indexer.vesu import views


async def due_prices(
    connection: asyncpg.Connection,
    engine: engines.Engine,
    tip: types.BlockHeader,
    sample_seconds: int,
) -> list[observations.View]:
    """The prices to read at the state after `tip`; none before `sample_seconds` are over.

    The chain's own time decides, so that a restart neither samples twice nor skips.
    0 seconds: never.
    """
    if not sample_seconds:
        return []
    last = await observations.last_time(connection, views.PRICE.name)
    if last is not None and tip.timestamp - last < sample_seconds:
        return []
    return engine.sampled(tip.number, tip.hash)
