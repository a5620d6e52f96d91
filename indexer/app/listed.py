"""The configured list of pools that count in sums."""

from __future__ import annotations

from indexer import config
from indexer.projections import listed_pools
from indexer.vesu import known_pools


def pools(settings: config.Settings) -> tuple[listed_pools.ListedPool, ...]:
    """The pools that count: mainnet's known ones and the configured; none: every pool."""
    found = {
        pool: listed_pools.ListedPool(pool, None, "configuration") for pool in settings.trust.pools
    }
    if settings.network.name == "mainnet":
        for known in known_pools.mainnet().pools:
            found[known.id] = listed_pools.ListedPool(known.id, known.name, "package")
    return tuple(found.values())
