"""When requests to one endpoint are sent: so many at once, so many a second, the writer's first.

An endpoint that refuses because it is busy is left alone for a pause, and is sent fewer requests a
second from then on. Each answer raises that rate again: quickly while it is far from the rate that
was refused last, slowly near it (after TCP's CUBIC, RFC 9438). So the rate stays just below what
the endpoint takes, and finds what it takes later.
"""

from __future__ import annotations

import asyncio
import collections
import math
import random

LOWERED = 0.7
"""What a refusal multiplies the rate with."""

RAISED = 1.02
RAISED_NEAR = 1.001
"""What an answer multiplies it with; the latter from NEAR_FROM to NEAR_TO times the rate that was
refused last."""

NEAR_FROM = 0.9
NEAR_TO = 1.1

SLOWEST = 0.5
"""The lowest rate that refusals lead to, in requests a second."""

LONGEST_PAUSE = 30.0
LONGEST_OWN_PAUSE = 5.0
"""The longest pauses in seconds: what the endpoint asks for by Retry-After, and without it."""

MOST_DOUBLINGS = 20
"""How often the pause without Retry-After doubles while everything is refused."""

SHORTEST_WAIT = 1e-6
"""Less is no wait: sums of times are not exact."""

TURNS = 8
"""After so many requests of the writer that went before it, a background request is sent."""


class Turn:
    """A request's permission to be sent, until it is given back."""

    __slots__ = ("is_background", "is_paced", "sent_at")

    def __init__(self, sent_at: float, *, is_background: bool, is_paced: bool) -> None:
        self.sent_at = sent_at
        self.is_background = is_background
        self.is_paced = is_paced
        """Whether it waited for the rate: only then its answer shows that the rate is taken."""


_Queue = collections.deque[tuple[float, asyncio.Future[Turn]]]
"""Since when requests wait, in their order."""


class Throttle:
    """The queue before one endpoint.

    At most `most_at_once` requests are on their way, half of them background ones, and
    `most_per_second` start in a second (in any second, also all at once), fewer while `rate` is
    lower. After `patience` refusals in a row the endpoint counts as refusing everything. Pauses in
    seconds, the first of which is about `first_pause`.
    """

    def __init__(
        self, most_at_once: int, most_per_second: float, first_pause: float, patience: int
    ) -> None:
        self.rate = most_per_second
        self._most_at_once = most_at_once
        self._most_background = max(most_at_once // 2, 1)
        self._most_per_second = most_per_second
        self._first_pause = first_pause
        self._patience = patience
        self._queues: dict[bool, _Queue] = {False: collections.deque(), True: collections.deque()}
        self._on_their_way = {False: 0, True: 0}
        self._passed_over = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        """When the next request would start if all so far had started evenly."""
        self._held_until = 0.0
        self._lowered_at = -math.inf
        self._refused_rate = math.inf
        self._refusals = 0

    @property
    def is_lowered(self) -> bool:
        """Whether the endpoint is sent fewer requests a second than are allowed."""
        return self.rate < self._most_per_second

    @property
    def is_refusing(self) -> bool:
        """Whether the endpoint refused so many requests in a row that waiting is of no use."""
        return self._refusals >= self._patience

    def seconds_for(self, requests: int) -> float:
        """How long so many requests take by the present rate alone; 0 where it is not lowered."""
        return requests / self.rate if self.is_lowered else 0.0

    async def take(self, *, is_background: bool) -> Turn:
        """Wait for the request's turn, which must be given back."""
        loop = asyncio.get_running_loop()
        admitted: asyncio.Future[Turn] = loop.create_future()
        self._queues[is_background].append((loop.time(), admitted))
        self._admit()
        try:
            return await admitted
        except asyncio.CancelledError:
            if not admitted.cancelled():
                self.give_back(admitted.result())
            raise

    def give_back(self, turn: Turn) -> None:
        """The request is over, whatever came of it."""
        self._on_their_way[turn.is_background] -= 1
        self._admit()

    def close(self) -> None:
        """Admit nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    # --- whose turn it is -------------------------------------------------------------

    def _admit(self) -> None:
        """Let those requests start whose turn has come, and look again when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while (is_background := self._next()) is not None:
            now = loop.time()
            starts_at = max(self._due_at - self._burst_seconds(), self._held_until)
            if starts_at - now > SHORTEST_WAIT:
                self._timer = loop.call_at(starts_at, self._admit)
                return
            since, admitted = self._queues[is_background].popleft()
            self._due_at = max(self._due_at, now) + 1 / self.rate
            self._on_their_way[is_background] += 1
            self._passed_over = 0 if is_background else self._passed_over + 1
            is_paced = starts_at > since + SHORTEST_WAIT
            admitted.set_result(Turn(now, is_background=is_background, is_paced=is_paced))

    def _next(self) -> bool | None:
        """Whether a background request is next; None: nobody waits, or nobody may be sent."""
        writers, others = self._queues[False], self._queues[True]
        for queue in (writers, others):
            while queue and queue[0][1].cancelled():
                queue.popleft()
        if sum(self._on_their_way.values()) >= self._most_at_once:
            return None
        may_be_background = others and self._on_their_way[True] < self._most_background
        if may_be_background and (not writers or self._passed_over >= TURNS):
            return True
        return False if writers else None

    def _burst_seconds(self) -> float:
        """How far ahead of an even pace requests may start; a lowered rate is kept evenly."""
        if self.is_lowered:
            return 0.0
        return max(self._most_per_second - 1, 0) / self._most_per_second

    # --- what the endpoint takes ------------------------------------------------------

    def answered(self, turn: Turn) -> None:
        """Note that the endpoint answered: the next ones may come a little faster."""
        if turn.sent_at < self._lowered_at:
            return  # It was sent before the last refusal, which is newer knowledge.
        self._refusals = 0
        if not (self.is_lowered and turn.is_paced):
            return
        is_near = NEAR_FROM <= self.rate / self._refused_rate <= NEAR_TO
        raised = self.rate * (RAISED_NEAR if is_near else RAISED)
        self.rate = min(raised, self._most_per_second)

    def refused(self, turn: Turn, retry_after: float | None = None) -> float:
        """Note that the endpoint is busy; how many seconds it is left alone.

        Requests that were on their way together are one refusal. `retry_after`: the seconds for
        which the endpoint asks.
        """
        now = asyncio.get_running_loop().time()
        if turn.sent_at >= self._lowered_at:
            self._lower(now)
        if retry_after is None:
            growing = self._first_pause * 2.0 ** min(self._refusals - 1, MOST_DOUBLINGS)
            seconds = min(growing * random.uniform(0.5, 1.5), LONGEST_OWN_PAUSE)  # noqa: S311
        else:
            seconds = min(retry_after, LONGEST_PAUSE)
        self._hold(seconds)
        return seconds

    def _lower(self, now: float) -> None:
        if not self._refusals:
            self._refused_rate = self.rate
        self._refusals += 1
        self._lowered_at = now
        # What refuses everything does not show which rate it would take.
        if self._refusals <= self._patience:
            self.rate = max(self.rate * LOWERED, min(SLOWEST, self._most_per_second))

    def _hold(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        self._held_until = max(self._held_until, until)
