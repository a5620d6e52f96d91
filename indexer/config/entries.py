"""The configured contracts, checked and made uniform."""

from __future__ import annotations

from indexer.cairo import felt252
from indexer.config import sections, values


def contracts(
    entries: tuple[sections.ContractEntry, ...],
) -> tuple[sections.ContractEntry, ...]:
    """The entries with padded addresses; ValueError where one is no felt, or stands there twice."""
    normal = []
    for index, entry in enumerate(entries):
        try:
            address = felt252.padded(values.felt(entry.address))
        except ValueError as error:
            raise ValueError(f"{error} - at `$[{index}].address`") from error
        normal.append(sections.ContractEntry(entry.kind, address, entry.from_block))
    if len({entry.address for entry in normal}) < len(normal):
        raise ValueError("an address stands there twice: keep one entry an address")
    return tuple(normal)
