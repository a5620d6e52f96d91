"""A node that leaves one event out of one answer of getEvents, and is honest otherwise."""

from __future__ import annotations

from typing import Any

from indexer.recording import options

Key = tuple[int, int, int]
"""Block number, transaction index, event index."""


class Dropping:
    """A fault of a recording's server: leaves these events out of the first answers that have them.

    `times`: how many answers each is left out of. `dropped` lists what was, in order.
    """

    def __init__(self, *keys: Key, times: int = 1) -> None:
        self._left = dict.fromkeys(keys, times)
        self.dropped: list[Key] = []

    def aim(self, *keys: Key, times: int = 1) -> None:
        """Leave others out from now on; forget what was dropped."""
        self._left = dict.fromkeys(keys, times)
        self.dropped.clear()

    def __call__(self, method: str, _: Any) -> options.Fault | None:
        return options.Fault(edit=self._edit) if method == "starknet_getEvents" else None

    def _edit(self, page: dict[str, Any]) -> dict[str, Any]:
        page["events"] = [event for event in page["events"] if not self._takes(event)]
        return page

    def _takes(self, event: dict[str, Any]) -> bool:
        key = (event["block_number"], event["transaction_index"], event["event_index"])
        if not self._left.get(key):
            return False
        self._left[key] -= 1
        self.dropped.append(key)
        return True
