"""Which blocks count as accepted on L1: what one answer says is not believed.

Below a final block nothing is rolled back without an operator, so a single wrong answer would
stop the daemon at the next reorganisation.
"""

from __future__ import annotations


class Finality:
    """The node's latest answers. `looks`: how often a lower answer must come."""

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._before: int | None = None
        self._now: int | None = None
        self._lower: list[int] = []

    def believed(self, answer: int | None, head: int) -> int | None:
        """The block up to which two answers in a row agree; None: there are none such.

        A final block above the head is no answer.
        """
        self._before, self._now = self._now, answer
        if answer is not None and answer > head:
            self._now = None
        if self._before is None or self._now is None:
            return None
        return min(self._before, self._now)

    def lowered(self, stored: int | None) -> int | None:
        """What to believe instead of a stored final block; None: go on believing it.

        Asked after a look that found the committed block on the node's chain. The node must have
        answered less in more than `looks` of these in a row: then the highest of its answers.
        """
        if self._now is None or stored is None:
            return None
        if self._now >= stored:
            self._lower = []
            return None
        self._lower.append(self._now)
        if len(self._lower) <= self._looks:
            return None
        highest = max(self._lower)
        self._lower = []
        return highest
