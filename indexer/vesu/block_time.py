"""The time of a block as an UpdateContext in it tells: the accrual that it reports ran there.

The contracts accrue both assets to the block's time before they emit UpdateContext, so
`last_updated` of each asset that exists is that time (docs/protocol.md, "Block times").
"""

from __future__ import annotations

from collections.abc import Sequence

from indexer.cairo import selector

UPDATE_CONTEXT = selector.of("UpdateContext")

LAST_UPDATED = {46: (13, 33), 50: (13, 35)}
"""Positions of the two `last_updated` felts by the number of data felts: V1 has 46, V2 has 50."""


def of_event(keys: Sequence[int], data: Sequence[int]) -> int | None:
    """Seconds since 1970 of the block that holds this event; None where it does not tell.

    An asset that does not exist has 0; two times that differ tell nothing.
    """
    indexes = LAST_UPDATED.get(len(data))
    if indexes is None or not keys or keys[0] != UPDATE_CONTEXT:
        return None
    found = {data[index] for index in indexes} - {0}
    return found.pop() if len(found) == 1 else None
