"""The network that the settings name: its chain id, contracts and first block."""

from __future__ import annotations

from indexer import config
from indexer.app import singletons
from indexer.log import watch_list
from indexer.vesu import deployments, kinds, views


def contracts(settings: config.Settings) -> list[deployments.Contract]:
    """The contracts that discovery starts from: configured ones, or the network's deployments."""
    if settings.network.name == "custom":
        entries = [
            deployments.Contract(kinds.Kind(entry.kind), int(entry.address, 16), entry.from_block)
            for entry in settings.network.contracts
        ]
        singletons.check(entries)
        return entries
    return list(
        deployments.mainnet() if settings.network.name == "mainnet" else deployments.sepolia()
    )


def watched_contracts(settings: config.Settings) -> tuple[watch_list.Contract, ...]:
    """The configured contracts as the database remembers them."""
    return tuple(
        watch_list.Contract(entry.address, entry.kind.value, entry.from_block)
        for entry in contracts(settings)
    )


def known_addresses(settings: config.Settings) -> list[int]:
    """Addresses of the contracts that are watched before any event names one."""
    return [entry.address for entry in contracts(settings)]


def start_block(settings: config.Settings) -> int:
    """The first block to read."""
    if settings.network.start_block is not None:
        return settings.network.start_block
    return min(entry.from_block for entry in contracts(settings))


def extensions(settings: config.Settings) -> views.Extensions:
    """The configured extensions of Vesu V1, by address."""
    return {
        entry.address: entry.kind for entry in contracts(settings) if entry.kind in kinds.EXTENSIONS
    }


def chain_id(settings: config.Settings) -> int:
    """The configured chain id as the felt that a node answers with."""
    return int(settings.network.chain_id, 16)
