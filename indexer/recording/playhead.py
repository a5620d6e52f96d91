"""The playhead: which part of a recorded chain is visible now, and how its head moves."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterator

from indexer import errors
from indexer.recording import chain, view

Tip = view.Tip


class Playhead:
    """The head's path through a recording: its past tips, and those to come.

    Without `story` the head follows the main chain. With it, the head follows each fork first
    when it reaches the fork's common block, then drops back to that block and continues.
    Made by `everything`, `at_block` and `paced`.
    """

    def __init__(
        self,
        recording: chain.Recording,
        *,
        story: bool = False,
        finality_lag: int | None = None,
        blocks_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recording = recording
        self.finality_lag = finality_lag
        self._story = story
        self._pace = blocks_per_second
        self._clock = clock
        self._started: float | None = None
        self._paced = 0  # steps that the pace has released so far
        self._past: list[Tip] = []
        self._future = collections.deque(self._tips_after(None))

    @classmethod
    def everything(cls, recording: chain.Recording, *, finality_lag: int | None = None) -> Playhead:
        """The whole main chain at once."""
        playhead = cls(recording, finality_lag=finality_lag)
        playhead.release(playhead.steps_left)
        return playhead

    @classmethod
    def at_block(
        cls,
        recording: chain.Recording,
        number: int,
        *,
        story: bool = False,
        finality_lag: int | None = None,
    ) -> Playhead:
        """A head at main block `number` (below the first: an empty node); `release` moves it."""
        playhead = cls(recording, story=story, finality_lag=finality_lag)
        if number >= recording.main.first:
            playhead.go_to(number)
        return playhead

    @classmethod
    def paced(
        cls,
        recording: chain.Recording,
        *,
        held_back: int,
        blocks_per_second: float,
        story: bool = False,
        finality_lag: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Playhead:
        """All but the last `held_back` steps at once, the rest at a pace from the first access on.

        With `story` a fork's blocks and each drop of the head are steps too.
        """
        playhead = cls(
            recording,
            story=story,
            finality_lag=finality_lag,
            blocks_per_second=blocks_per_second,
            clock=clock,
        )
        playhead._step(max(len(playhead._future) - held_back, 0))
        return playhead

    @property
    def tip(self) -> Tip | None:
        """The head now; None while nothing is visible."""
        self._keep_pace()
        return self._past[-1] if self._past else None

    @property
    def steps_left(self) -> int:
        """How many steps the head has left."""
        self._keep_pace()
        return len(self._future)

    def view(self) -> view.View:
        """The chain below the head now."""
        return view.View(self.recording, self.tip, self.finality_lag)

    def release(self, steps: int = 1) -> Tip | None:
        """Advance the head; RecordingError when the recording has not so many steps left."""
        if steps > self.steps_left:
            raise errors.RecordingError(
                f"The recording has {self.steps_left} steps left, so {steps} cannot be released."
            )
        self._step(steps)
        return self.tip

    def go_to(self, number: int, branch: int = 0) -> None:
        """Move the head to any block. On the way up the blocks in between count as shown.

        From a fork to the main chain the head jumps at once: the rest of the fork is never
        shown. With `story`, forks that the head was on are not played again.
        """
        tip = Tip(branch, number)
        if number not in self.recording.branch(branch).blocks:
            raise errors.RecordingError(f"The recording has no block {number} on branch {branch}.")
        leaves_fork = bool(self._past) and self._past[-1].branch not in (0, branch)
        if tip in self._future and not leaves_fork:
            self._step(self._future.index(tip) + 1)
            return
        self._past.append(tip)
        self._future = collections.deque(self._tips_after(tip))

    def was_shown(self, block: chain.Block) -> bool:
        """Whether the head was ever on this block or above it on its branch."""
        return any(tip.branch == block.branch and tip.number >= block.number for tip in self._past)

    def _step(self, steps: int) -> None:
        self._past.extend(self._future.popleft() for _ in range(steps))

    def _keep_pace(self) -> None:
        if self._pace is None:
            return
        if self._started is None:
            self._started = self._clock()
        due = int((self._clock() - self._started) * self._pace)
        self._step(min(due - self._paced, len(self._future)))
        self._paced = due

    def _tips_after(self, tip: Tip | None) -> Iterator[Tip]:
        main = self.recording.main
        played = {seen.branch for seen in self._past}
        number = main.first - 1 if tip is None else tip.number
        if tip is not None and tip.branch:
            fork = self.recording.branch(tip.branch)
            yield from _climb(fork, tip.number)
            yield Tip(0, fork.common)
            number = fork.common
        while True:
            for fork in self.recording.forks if self._story else []:
                if fork.common == number and fork.index not in played:
                    yield from _climb(fork, fork.common)
                    yield Tip(0, number)
            if number == main.last:
                return
            number += 1
            yield Tip(0, number)


def _climb(branch: chain.Branch, above: int) -> Iterator[Tip]:
    return (Tip(branch.index, number) for number in range(above + 1, branch.last + 1))
