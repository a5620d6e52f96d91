"""Detects reorganisations: does the node's chain still hold the committed block?

Decided by hash, never by height alone. A look ends in one of three verdicts: the block is on the
chain; it is abandoned, down to a common ancestor; or the look is undecided, and nothing is
committed until it is decided.

    head with the committed block as parent ► on the chain
    else the header at the committed height
    ├─ same hash ──────────────────────────► on the chain
    ├─ none, and the head below ours has our hash
    │      another endpoint knows the block ► turn to that endpoint, decide again
    │      else, for `looks` looks ─────────► undecided, then abandoned down to that head
    └─ another hash ─► find the common ancestor in the stored blocks
           shallow ─────────────────────────► abandoned
           deep: other endpoints are asked
             one holds our branch and moves ► undecided: the endpoints disagree
             nobody confirms ───────────────► undecided for `looks` looks, then abandoned
           below the final block ───────────► undecided for ever: an operator decides
           none at all ─────────────────────► WrongChainError
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import asyncpg
import msgspec
import structlog

from indexer import errors
from indexer.chain import ancestry, client, failures, types
from indexer.chain import source as sources
from indexer.log import cursor, reorgs

log = structlog.get_logger(__name__)

FIRST_RUNGS = 64
"""How many stored blocks are searched first; eight times as many whenever none is shared."""


UNFIT_SECONDS = 5.0
"""How long a look that decides nothing leaves an endpoint alone that was unfit to be a witness."""


class Caution(msgspec.Struct, frozen=True):
    """When a verdict needs a second endpoint.

    A rollback of more than `rollback_depth` blocks does. After `looks` equal looks without a
    second endpoint's word, the endpoint in use is believed.
    """

    rollback_depth: int = 10
    looks: int = 30


class Abandoned(msgspec.Struct, frozen=True):
    """The chain departs from the stored blocks above `ancestor`, a (number, hash)."""

    ancestor: tuple[int, str]
    head: types.BlockHeader


class Suspect(msgspec.Struct, frozen=True):
    """The look is undecided, for this reason."""

    reason: str


Verdict = Abandoned | Suspect | None
"""None: the committed block is on the node's chain."""


class _Look(NamedTuple):
    """What a verdict compares: the committed block, and what `source` reports of its chain."""

    source: sources.Source
    committed: cursor.Cursor
    head: types.BlockHeader
    final: int | None

    def is_below_final(self, number: int) -> bool:
        """Whether a block is below the highest one that was reported as final."""
        return self.final is not None and number < self.final


class Detector:
    """Decides look after look; remembers only how long the present doubt has lasted."""

    def __init__(
        self, node: client.StarknetNode, connection: asyncpg.Connection, caution: Caution
    ) -> None:
        self._node = node
        self._connection = connection
        self._caution = caution
        self._clear()

    def _clear(self) -> None:
        self._doubt: Hashable = None
        self._looks = 0
        self._first_heads: dict[object, tuple[int, int]] = {}

    def _has_lasted(self, doubt: Hashable) -> bool:
        """Whether the same doubt came up in more than `looks` looks in a row."""
        if doubt != self._doubt:
            self._clear()
        self._doubt = doubt
        self._looks += 1
        return self._looks > self._caution.looks

    async def _witnesses(self, doubt: Hashable) -> list[sources.Source]:
        """The other endpoints that are fit to tell of a doubt.

        Where this look decides, all of them are asked: nobody is believed because another was
        unfit a moment ago.
        """
        earlier_looks = self._looks if doubt == self._doubt else 0
        is_decisive = earlier_looks >= self._caution.looks
        return await self._node.alternatives(0.0 if is_decisive else UNFIT_SECONDS)

    async def verdict(
        self, committed: cursor.Cursor, head: types.BlockHeader, final: int | None
    ) -> Verdict:
        """Whether the committed block is on the node's chain.

        `head` is the head that the endpoint in use reported, `final` the highest final block. An
        endpoint that cannot answer is replaced by the next. Raises WrongChainError where no
        stored block is on the node's chain.
        """
        if committed.block_hash is None:
            return None
        first = self._node.source

        async def decide(source: sources.Source) -> Verdict:
            source_head = head if source is first else await source.head()
            return await self._of(_Look(source, committed, source_head, final))

        return await self._node.ask_any(decide)

    async def _of(self, look: _Look) -> Verdict:
        source, committed, head, _ = look
        if head.number == committed.block_number + 1 and head.parent_hash == committed.block_hash:
            # It says so itself: a new block is not kept waiting for a question.
            self._clear()
            return None
        header = await _known(source, committed.block_number)
        if header is None and head.number >= committed.block_number:
            raise errors.InconsistentAnswerError(
                f"{source.name} told a head at or above block {committed.block_number} and "
                "does not know that block",
                kind="lagging",
            )
        if header is not None and header.hash == committed.block_hash:
            self._clear()
            return None
        if header is not None and header.number > head.number:
            # The chain moved on since it told its head: what it has at our height is its own.
            look = look._replace(head=header)
        if header is None and await self._is_cut_back(source, head):
            return await self._of_a_low_head(look)
        # Before anything is rolled back: is it still the configured chain?
        await self._node.probe_again()
        if self._node.source.endpoint is not source.endpoint:
            return Suspect(f"{source.name} became unfit: the next endpoint decides")
        return await self._of_another_branch(look)

    # --- a head below the committed block -------------------------------------------------

    async def _is_cut_back(self, source: sources.Source, head: types.BlockHeader) -> bool:
        """Whether the node's head is one of the stored blocks."""
        rungs = await reorgs.ladder(self._connection, head.number, 1)
        return not rungs or await ancestry.head_agrees(source, *rungs[0])

    async def _of_a_low_head(self, look: _Look) -> Verdict:
        """The node lags, or the chain was cut back to its head: another endpoint may know."""
        source, committed, head, _ = look
        doubt = (head.hash, committed.block_hash)
        for witness in await self._witnesses(doubt):
            if await _opinion(witness, (committed.block_number, "")) is None:
                continue
            lag = errors.InconsistentAnswerError(
                f"{source.name} has its head at block {head.number}, {witness.name} knows block "
                f"{committed.block_number}",
                kind="lagging",
            )
            failures.record(source.name, lag, "other_endpoint")
            await self._node.switch_to(witness)
            return await self.verdict(committed, await witness.head(), look.final)
        rungs = await reorgs.ladder(self._connection, head.number, 1)
        # A node that catches up moves; the same head look after look is a chain cut back.
        if self._has_lasted(doubt) and rungs:
            return self._unless_final(rungs[0], look)
        return Suspect(
            f"the head fell to block {head.number}, below the committed block "
            f"{committed.block_number}, and no endpoint knows that block: the node lags, "
            "or the chain was cut back"
        )

    # --- another branch -----------------------------------------------------------------

    async def _of_another_branch(self, look: _Look) -> Verdict:
        source, committed, head, _ = look
        highest = min(committed.block_number, head.number)
        ancestor = await self._ancestor(source, highest)
        if ancestor in await reorgs.ladder(self._connection, highest, 1):
            # Another block stood there a moment ago: the chain came back while it was searched.
            self._require_committed(ancestor, look)
            self._clear()
            return None
        if ancestor is not None and not self._is_deep(ancestor, look):
            return Abandoned(ancestor, head)
        doubt = (committed.block_hash, ancestor)
        answers = await self._ask_others(await self._witnesses(doubt), committed, ancestor)
        has_lasted = self._has_lasted(doubt)
        holding = [witness for witness, holds in answers if holds]
        names = ", ".join(witness.name for witness in holding)
        if await self._is_moving(holding) or (holding and not has_lasted):
            return Suspect(
                f"the endpoints disagree: {source.name} has another block "
                f"{committed.block_number}, {names} has ours"
            )
        if holding:
            log.warning("endpoint_overruled", endpoint=names, reason="its head stands still")
        if ancestor is None:
            raise errors.WrongChainError(
                "the node's chain shares no block with this database: it serves another chain, "
                "or the database was filled from one; nothing was changed"
            )
        verdict = self._unless_final(ancestor, look)
        if isinstance(verdict, Suspect) or answers:
            return verdict
        if not has_lasted:
            return Suspect(
                f"{source.name} abandoned {committed.block_number - ancestor[0]} blocks down to "
                f"block {ancestor[0]}, and no second endpoint confirms it yet"
            )
        log.warning("rollback_unconfirmed", ancestor=ancestor[0], looks=self._looks - 1)
        return verdict

    def _require_committed(self, block: tuple[int, str] | None, look: _Look) -> None:
        """InconsistentAnswerError unless it is the committed block that the chain came back to."""
        if block is None or block[0] != look.committed.block_number:
            raise errors.InconsistentAnswerError(
                f"the chain of {look.source.name} came back to ours below block "
                f"{look.committed.block_number} while the common ancestor was searched",
                kind="fork",
            )

    def _is_deep(self, ancestor: tuple[int, str], look: _Look) -> bool:
        depth = look.committed.block_number - ancestor[0]
        return look.is_below_final(ancestor[0]) or depth > self._caution.rollback_depth

    def _unless_final(self, ancestor: tuple[int, str], look: _Look) -> Verdict:
        number = ancestor[0]
        if not look.is_below_final(number):
            return Abandoned(ancestor, look.head)
        return Suspect(
            f"the chain left ours at block {number}, below block {look.final}, which was told to "
            "be accepted on L1: refused. If Starknet did abandon a final block, stop the daemon, "
            f"run `vesu-indexer reorg --to-block {number} --yes` and start it again"
        )

    async def _ancestor(self, source: sources.Source, from_block: int) -> tuple[int, str] | None:
        """The highest stored block on the source's chain, searched from the top."""
        most = FIRST_RUNGS
        while rungs := await reorgs.ladder(self._connection, from_block, most):
            found = await ancestry.find_common_ancestor(_StrictSource(source), rungs)
            if found is not None:
                return found
            from_block, most = rungs[-1][0] - 1, most * 8
        return None

    async def _ask_others(
        self,
        witnesses: list[sources.Source],
        committed: cursor.Cursor,
        ancestor: tuple[int, str] | None,
    ) -> list[tuple[sources.Source, bool]]:
        """For each witness that can tell, whether it still holds the stored branch."""
        rungs = [(committed.block_number, committed.block_hash or "")]
        lowest = await reorgs.next_rung(self._connection, -1 if ancestor is None else ancestor[0])
        rungs += [lowest] if lowest is not None else []
        opinions = [(witness, await _opinion(witness, *rungs)) for witness in witnesses]
        return [(witness, holds) for witness, holds in opinions if holds is not None]

    async def _is_moving(self, holding: list[sources.Source]) -> bool:
        """Whether the head of any of these moved since the doubt began, or is unknown.

        Who was heard for the first time only lately may move as well.
        """
        is_moving = False
        for witness in holding:
            try:
                head = await witness.head()
            except errors.NodeError as error:
                log.warning("witness_silent", endpoint=witness.name, reason=str(error))
                return True
            heard = (head.number, self._looks)
            first_number, first_look = self._first_heads.setdefault(witness.endpoint, heard)
            is_moving |= first_number != head.number
            is_moving |= self._looks - first_look < self._caution.looks
        return is_moving


class _StrictSource:
    """A source that must know each block it is asked for: all are at or below its head."""

    def __init__(self, source: sources.Source) -> None:
        self._source = source

    async def header(self, number: int) -> types.BlockHeader | None:
        header = await self._source.header(number)
        if header is None:
            raise errors.InconsistentAnswerError(
                f"{self._source.name} does not know block {number}, below its own head",
                kind="lagging",
            )
        return header


async def _known(source: sources.Source, number: int) -> types.BlockHeader | None:
    """A block's header, asked several times: behind one URL may be several nodes, some lagging."""
    for _ in range(failures.LAG_ATTEMPTS):
        if (header := await source.header(number)) is not None:
            return header
    return None


async def _opinion(witness: sources.Source, *rungs: tuple[int, str]) -> bool | None:
    """Whether a witness holds the first of these blocks that it knows at all; None: unknown."""
    try:
        for number, hash_ in rungs:
            header = await witness.header(number)
            if header is not None:
                return header.hash == hash_
    except errors.NodeError as error:
        log.warning("witness_silent", endpoint=witness.name, reason=str(error))
    return None
