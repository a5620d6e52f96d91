"""The price sampler as the settings describe it."""

from __future__ import annotations

import asyncio

import asyncpg

from indexer import config
from indexer.chain import client
from indexer.daemon import price_sampler, process
from indexer.store import database
from indexer.vesu import views

SHARE = 0.1
"""The part of the node's requests that filling older points may take."""


def sampler(
    settings: config.Settings,
    extensions: views.Extensions,
    node: client.StarknetNode,
    connection: asyncpg.Connection,
) -> price_sampler.Sampler:
    """A sampler on a connection of its own."""
    return price_sampler.Sampler(
        node,
        connection,
        extensions,
        price_sampler.SamplerSettings(
            settings.prices.sample_seconds,
            settings.prices.backfill_seconds,
            settings.node.poll_interval_seconds,
            settings.node.max_requests_per_second * SHARE,
        ),
    )


def helper(settings: config.Settings, extensions: views.Extensions, url: str) -> process.Helper:
    """Samples prices concurrently with the ingestor, on a connection of its own."""

    async def sample(node: client.StarknetNode, stopping: asyncio.Event) -> None:
        async with database.session(url) as connection:
            await sampler(settings, extensions, node, connection).run(stopping)

    return sample
