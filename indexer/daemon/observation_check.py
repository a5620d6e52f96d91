"""Asks stored observations again, at the hash of their block, and finds those that differ.

No event carries what a view answered, so nothing else can show that an answer was wrong.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Collection, Sequence

import asyncpg
import msgspec
import structlog

from indexer import errors
from indexer.audit import log_verification
from indexer.cairo import view_call
from indexer.chain import client
from indexer.daemon import view_calls
from indexer.log import cursor, observations

log = structlog.get_logger(__name__)

VIEWS_AT_ONCE = 100

AGAIN_SECONDS = 60.0
"""How long a view that was not answered before may take when it is asked again."""

MOST_FAILURES = 5
"""After so many views at whose blocks the node runs none at all, the older ones are not asked: it
holds states of the newest blocks only, as most do. After as many that fail while it runs others,
no more of that contract or V1 pool are asked: so no stranger's keep another's unconfirmed."""


class Checked(msgspec.Struct):
    """The number of views asked again, those with another answer, and the unanswered ones."""

    asked: int = 0
    differing: list[view_call.ViewCall] = []
    unanswered: int = 0
    unanswered_block: int = -1
    """The newest block at which the node runs no views; -1: there is none."""
    unsettled: set[observations.Subject] = set()
    """Whose views failed while the node ran others, or were not answered twice alike."""

    def add(self, other: Checked) -> None:
        """Add the result of another check."""
        self.asked += other.asked
        self.differing += other.differing
        self.unanswered += other.unanswered


class Check:
    """Asks observations again, and notes which were confirmed.

    `contract` is one of ours. LogMovedError where the log was rolled back since `committed` was
    read.
    """

    def __init__(
        self,
        node: client.StarknetNode,
        connection: asyncpg.Connection,
        committed: cursor.Cursor,
        contract: int,
    ) -> None:
        self._node = node
        self._connection = connection
        self._committed = committed
        self._contract = contract
        self._failures: collections.Counter[observations.Subject | None] = collections.Counter()
        """By subject; those of the node itself under None."""
        self.checked = Checked()

    async def run(
        self,
        first: int,
        last: int,
        *,
        with_confirmed: bool,
        most: int | None = None,
        without: Collection[observations.Subject] = (),
    ) -> Checked:
        """Ask the observations of a range, at most `most`, the newest first (None: all).

        None of the subjects in `without` is asked. Those that differ are for the caller to store
        (`log_verification.note_gaps`).
        """
        seen = await observations.to_confirm(
            self._connection,
            first,
            last,
            with_confirmed=with_confirmed,
            most=most,
            without=without,
        )
        parts = [
            seen[start : start + VIEWS_AT_ONCE] for start in range(0, len(seen), VIEWS_AT_ONCE)
        ]
        while parts:
            parts = [*await self._ask(parts.pop(0)), *parts]
        return self.checked

    async def _ask(
        self, stored: list[observations.Observation]
    ) -> list[list[observations.Observation]]:
        """Ask a part again; what is to be asked apart because one of it fails."""
        part = [observation for observation in stored if self._is_asked(observation)]
        self.checked.unanswered += len(stored) - len(part)
        if not part:
            return []
        try:
            again = await _asked_again(self._node, part)
        except errors.NodeError as error:
            if len(part) > 1:
                return [part[: len(part) // 2], part[len(part) // 2 :]]
            await self._failed(part[0], error)
            return []
        await self._settle(part, again)
        return []

    def _is_asked(self, observation: observations.Observation) -> bool:
        of_contract = self._failures[observations.subject_of(observation.call)]
        return max(self._failures[None], of_contract) < MOST_FAILURES

    async def _failed(self, observation: observations.Observation, error: errors.NodeError) -> None:
        call = observation.call
        _warn(call, str(error))
        self.checked.unanswered += 1
        hashes = {call.block_number: observation.block_hash}
        if await view_calls.runs_views(self._node, self._contract, call.block_number, hashes):
            subject = observations.subject_of(call)
            self._failures[subject] += 1
            self.checked.unsettled.add(subject)
        else:
            self._failures[None] += 1
            self.checked.unanswered_block = max(self.checked.unanswered_block, call.block_number)

    async def _settle(
        self,
        part: Sequence[observations.Observation],
        again: Sequence[observations.Observation | None],
    ) -> None:
        """Confirm what was answered alike; note what was not."""
        pairs = list(zip(part, again, strict=True))
        confirmed = [observation for observation, other in pairs if observation == other]
        async with self._connection.transaction():
            await log_verification.hold(self._connection, self._committed)
            await observations.confirm(self._connection, confirmed)
        self.checked.asked += len(part)
        for observation, other in pairs:
            if other is None:
                self.checked.unsettled.add(observations.subject_of(observation.call))
            elif observation != other:
                self.checked.differing.append(observation.call)
                log.error(
                    "observation_differs",
                    **view_calls.log_fields(observation.call),
                    stored=_described(observation),
                    answered=_described(other),
                )


async def _asked_again(
    node: client.StarknetNode, stored: Sequence[observations.Observation]
) -> list[observations.Observation | None]:
    """The answers now; None where one that differs is not given a second time.

    A repair takes the tables back, so one wrong answer of a node must not cause it.
    """
    hashes = {observation.call.block_number: observation.block_hash for observation in stored}
    again = await view_calls.ask(node, [observation.call for observation in stored], hashes)
    found: list[observations.Observation | None] = list(again)
    doubted = [index for index, observation in enumerate(stored) if observation != again[index]]
    if not doubted:
        return found
    answers = await node.calls_elsewhere([stored[index].call for index in doubted], hashes)
    for index, answer in zip(doubted, answers, strict=True):
        observation = stored[index]
        if view_calls.observation(observation.call, observation.block_hash, answer) != again[index]:
            found[index] = None
            _warn(observation.call, "another answer was not given a second time")
    return found


async def ask_unanswered(
    node: client.StarknetNode, connection: asyncpg.Connection, first: int, last: int
) -> Checked:
    """Ask the views of a range again that no endpoint could answer, each for itself.

    Those that are answered now, twice alike, are for the caller to store as differing.
    """
    checked = Checked()
    stored = await observations.unanswered(connection, first, last, VIEWS_AT_ONCE)
    is_answered = await asyncio.gather(*(_is_answered(node, observation) for observation in stored))
    for seen, has_answer in zip(stored, is_answered, strict=True):
        if has_answer:
            checked.asked += 1
            checked.differing.append(seen.call)
            log.warning("view_answered_late", **view_calls.log_fields(seen.call))
    checked.unanswered = len(stored) - checked.asked
    return checked


async def _is_answered(node: client.StarknetNode, stored: observations.Observation) -> bool:
    try:
        async with asyncio.timeout(AGAIN_SECONDS):
            (again,) = await _asked_again(node, [stored])
    except (errors.NodeError, TimeoutError) as error:
        _warn(stored.call, str(error) or f"no answer within {AGAIN_SECONDS:g} s")
        return False
    return again is not None


def _described(observation: observations.Observation) -> str:
    return "refused" if observation.result is None else f"{len(observation.result)} felts"


def _warn(call: view_call.ViewCall, reason: str) -> None:
    log.warning("observation_not_asked", **view_calls.log_fields(call), reason=reason)
