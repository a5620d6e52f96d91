"""The ages from which the tables count as stale, as the settings describe them."""

from __future__ import annotations

from indexer import config
from indexer.query import status

HALT_SECONDS = 900.0
"""How long a public network may rest before that counts as stale; its incidents lasted longer."""

PRICE_SECONDS = 900.0
"""How old a sampled price of a listed pool may be: fifteen samples at the default pace."""


def limits(settings: config.Settings) -> status.Limits:
    """The ages from which the tables count as stale."""
    health = settings.health
    # A custom network may rest; its prices are held against its own blocks' times.
    halt = 0.0 if settings.network.name == "custom" else HALT_SECONDS
    sampled = PRICE_SECONDS if settings.prices.sample_seconds else 0.0
    return status.Limits(
        health.silence_seconds,
        health.stale_seconds,
        halt if health.halt_seconds is None else health.halt_seconds,
        sampled if health.price_seconds is None else health.price_seconds,
    )
