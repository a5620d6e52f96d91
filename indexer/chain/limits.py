"""The sizes of request that an endpoint answers, learnt from what it refuses.

Gateways limit ranges of blocks, batches, lists of addresses and pages, each in words and codes
of its own. A refused size is halved, and a larger one is tried again after a while.
"""

from __future__ import annotations

FIRST_PATIENCE = 16
LONGEST_PATIENCE = 4_096
UNLIMITED = 1 << 62


class Limit:
    """The largest size of one kind of request that an endpoint answers.

    A refusal halves it. After `FIRST_PATIENCE` answers of that size it doubles again; where the
    doubled size is refused, twice as many answers are waited for the next time.
    """

    def __init__(self, ceiling: int = UNLIMITED) -> None:
        self.size = ceiling
        self._ceiling = ceiling
        self._patience = FIRST_PATIENCE
        self._answers = 0
        self._has_grown = False

    @property
    def is_known(self) -> bool:
        """Whether a size was refused since the ceiling was last reached."""
        return self.size < self._ceiling

    def refused(self, size: int) -> None:
        """Note that a request of this size was refused; without effect above the limit."""
        if size > self.size:
            return
        if self._has_grown:
            self._patience = min(self._patience * 2, LONGEST_PATIENCE)
        self.size = max(size // 2, 1)
        self._answers = 0
        self._has_grown = False

    def answered(self, size: int) -> None:
        """Note that a request of this size was answered."""
        if size < self.size or not self.is_known:
            return
        self._answers += 1
        if self._answers < self._patience:
            return
        if self._has_grown:
            self._patience = FIRST_PATIENCE
        self.size = min(self.size * 2, self._ceiling)
        self._answers = 0
        self._has_grown = True


class Limits:
    """What one endpoint answers: blocks a getEvents, calls a batch, addresses a filter, events
    a page."""

    def __init__(self, largest_page: int) -> None:
        self.blocks = Limit()
        self.batch = Limit()
        self.addresses = Limit()
        self.page = Limit(largest_page)
