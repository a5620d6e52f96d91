"""The node that the settings name."""

from __future__ import annotations

from indexer import config
from indexer.app import networks
from indexer.chain import client


async def node(
    settings: config.Settings, start_timeout_seconds: float = 0.0
) -> client.StarknetNode:
    """A probed connection to the configured node; waits a while for one that is not up yet."""
    settings.require_node()
    return await client.connect(
        settings.node.urls,
        networks.chain_id(settings),
        client.NodeSettings(
            request_timeout_seconds=settings.node.request_timeout_seconds,
            max_concurrency=settings.node.max_concurrency,
            max_requests_per_second=settings.node.max_requests_per_second,
        ),
        start_timeout_seconds,
    )
