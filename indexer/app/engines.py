"""The fold's engine as the settings describe it."""

from __future__ import annotations

from indexer import config
from indexer.app import abi_folder, networks
from indexer.projections import engine as engines
from indexer.vesu import discovery


def engine(settings: config.Settings) -> engines.Engine:
    """An engine that knows the configured contracts."""
    return engines.Engine(
        ((entry.address, discovery.Known(entry.kind)) for entry in networks.contracts(settings)),
        abi_folder.read(settings),
        settings.valuation.max_age_seconds,
        abi_folder.digest(settings),
    )
