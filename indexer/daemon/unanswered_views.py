"""Views that fail at every endpoint while the node answers others.

Such a view is the fault of its contract: a stranger's may run for ever, or break what runs it. A
name is given up at the second look. What a number rests on holds up its block for a while, in case
the node recovers. Then the log keeps that nobody answered.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from indexer import errors, metrics
from indexer.cairo import view_call
from indexer.chain import client, rpc_errors
from indexer.daemon import view_calls
from indexer.log import observations

log = structlog.get_logger(__name__)

NAMES = frozenset({"symbol", "name", "decimals", "pool_name"})
"""Views that say what a contract is called and how it is shown: no number rests on them."""

TRIES = 3
HELD_SECONDS = 30.0
"""How often, and how long at least, a view must fail until it is given up that is no name."""

BUDGET_SECONDS = 120.0
WINDOW_SECONDS = 3_600.0
"""How long such views may hold up blocks, all together, within such a time."""

LONGEST_SECONDS = 60.0
LEAST_SECONDS = 5.0
"""How long a view may take, while there is a budget and once it is spent."""

CALLS_PER_SECOND = 20
"""How many more calls get one second more: they wait for each other."""


class _Failing(msgspec.Struct):
    """Since when a view fails, by the monotonic clock, and how often it did."""

    since: float
    tries: int = 0


class Asker:
    """Asks the views that the fold needs; gives up those that fail too long on their own."""

    def __init__(self, node: client.StarknetNode) -> None:
        self._node = node
        self._failing: dict[tuple[view_call.ViewCall, str], _Failing] = {}
        self._spent: collections.deque[tuple[float, float]] = collections.deque()
        self._last: view_call.ViewCall | None = None

    async def ask(
        self,
        calls: Sequence[view_call.ViewCall],
        hashes: Mapping[int, str],
        contract: int,
    ) -> list[observations.Observation]:
        """The answers of these views, each at the hash of its block.

        RetryableNodeError where the node fails, or a view is still waited for. `contract` is any
        that the node may be asked about to see whether it runs views.
        """
        if not calls:
            return []
        is_known = any(self._key(call, hashes) in self._failing for call in calls)
        if not is_known and self._left() > 0:
            try:
                return self._answered(await view_calls.ask(self._node, calls, hashes))
            except errors.NodeError as error:
                if error.kind in ("lagging", "fork"):
                    raise
                some = {calls[0], calls[len(calls) // 2], calls[-1]}
                await self._require_that_views_run(some, hashes, contract, error)
        return await self._one_by_one(calls, hashes, contract)

    def _answered(self, seen: list[observations.Observation]) -> list[observations.Observation]:
        self._last = next((answer.call for answer in seen if answer.result), self._last)
        return seen

    async def _one_by_one(
        self,
        calls: Sequence[view_call.ViewCall],
        hashes: Mapping[int, str],
        contract: int,
    ) -> list[observations.Observation]:
        seconds = LONGEST_SECONDS if self._left() > 0 else LEAST_SECONDS
        seconds += len(calls) / CALLS_PER_SECOND
        apart = await view_calls.ask_apart(self._node, [[call] for call in calls], hashes, seconds)
        seen = self._answered(apart.seen)
        for answer in seen:
            self._failing.pop(self._key(answer.call, hashes), None)
        failed = {calls[index]: error for index, error in apart.failed.items()}
        if not failed:
            return seen
        blocks = {answer.call.block_number for answer in seen}
        for call, error in failed.items():
            if call.block_number not in blocks:
                await self._require_that_views_run({call}, hashes, contract, error)
                blocks.add(call.block_number)
        self._note(failed, hashes)
        return seen + self._given_up(failed, hashes)

    async def _require_that_views_run(
        self,
        calls: Iterable[view_call.ViewCall],
        hashes: Mapping[int, str],
        contract: int,
        error: errors.NodeError,
    ) -> None:
        """Raise `error` where the node answers neither these views nor another at their blocks.

        Then it is the node's own. A refusal in a contract's words is an answer.
        """
        groups = [[call] for call in calls]
        for block in {call.block_number for (call,) in groups}:
            groups.append([view_call.ViewCall(block, contract, view_calls.ABSENT_VIEW)])
            if self._last is not None:
                groups.append([self._last._replace(block_number=block)])
        apart = await view_calls.ask_apart(self._node, groups, hashes, LONGEST_SECONDS)
        if not apart.seen:
            raise error

    def _note(
        self,
        failed: Mapping[view_call.ViewCall, errors.NodeError],
        hashes: Mapping[int, str],
    ) -> None:
        now = time.monotonic()
        for key, failing in list(self._failing.items()):
            if now - failing.since > WINDOW_SECONDS:
                del self._failing[key]
        for call in failed:
            self._failing.setdefault(self._key(call, hashes), _Failing(now)).tries += 1

    def _given_up(
        self,
        failed: Mapping[view_call.ViewCall, errors.NodeError],
        hashes: Mapping[int, str],
    ) -> list[observations.Observation]:
        """What the log keeps of failed views; RetryableNodeError while one is still waited for."""
        now, is_spent = time.monotonic(), self._left() <= 0
        longest = 0.0
        for call, error in failed.items():
            failing = self._failing[self._key(call, hashes)]
            seconds_held = now - failing.since
            longest = max(longest, seconds_held)
            is_over = failing.tries >= TRIES and seconds_held >= HELD_SECONDS
            if not (
                is_spent
                or is_over
                or (call.view in NAMES and rpc_errors.may_be_the_contracts(error))
            ):
                raise errors.NodeUnreachableError(
                    f"{_named(call)} fails while others are answered: {error}", kind="view"
                )
        self._spent.append((now, longest))
        for call, error in failed.items():
            log.error("view_unanswered", **view_calls.log_fields(call), reason=str(error))
        metrics.views_unanswered_total.inc(len(failed))
        return [
            observations.Observation(call, hashes[call.block_number], None, observations.UNANSWERED)
            for call in failed
        ]

    def _left(self) -> float:
        """How much longer blocks may be delayed."""
        since = time.monotonic() - WINDOW_SECONDS
        while self._spent and self._spent[0][0] < since:
            self._spent.popleft()
        return BUDGET_SECONDS - sum(seconds for _, seconds in self._spent)

    @staticmethod
    def _key(call: view_call.ViewCall, hashes: Mapping[int, str]) -> tuple[view_call.ViewCall, str]:
        return call, hashes[call.block_number]


def _named(call: view_call.ViewCall) -> str:
    return f"the view {call.view} of {call.contract:#x} at block {call.block_number}"
