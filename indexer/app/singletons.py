"""Configured extensions and the singleton that they name pools of."""

from __future__ import annotations

from indexer import errors
from indexer.vesu import deployments, kinds


def check(entries: list[deployments.Contract]) -> None:
    """Check that the singleton of the configured extensions is there and is a singleton."""
    found = [entry.kind for entry in entries]
    for kind in found:
        singleton = kinds.EXTENSIONS.get(kind, kind)
        if singleton in kinds.SINGLETONS and found.count(singleton) != 1:
            raise errors.ConfigError(
                f"network.contracts: {kind.value} needs exactly one {singleton.value}, whose "
                f"pools it decides on; {found.count(singleton)} are given"
            )
