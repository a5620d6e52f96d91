"""The state of the database, and the moment that a question names by block, hash or time."""

from __future__ import annotations

import datetime
from typing import Literal

import asyncpg
import msgspec

from indexer import errors
from indexer.query import point_in_time
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "database_state")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Finality = Literal["accepted_l2", "accepted_l1"]

LONGEST_AHEAD = datetime.timedelta(days=366)
"""How far beyond the committed block interest is accrued for a question; rates compound, and
further on the contract's own arithmetic ends."""


class DatabaseState(msgspec.Struct, frozen=True):
    """Where the database stands. `generation` counts shadow replays that were put live; `sampling`
    is the newest storing of sampled prices; `stored_…` is the last stored block, which is the
    committed one but for blocks without an event of ours that were read far behind the head."""

    chain_id: str
    start_block: int
    block_number: int
    block_hash: str
    block_timestamp: datetime.datetime
    fork_counter: int
    generation: int
    finalised_block: int | None
    is_suspect: bool
    age_seconds: float
    sampling: int = 0
    stored_number: int | None = None
    stored_hash: str | None = None
    stored_time: datetime.datetime | None = None

    @property
    def newest(self) -> point_in_time.Moment | None:
        """The moment of a question that names none: the last stored block; None: none is stored."""
        if self.stored_number is None or self.stored_hash is None or self.stored_time is None:
            return None
        return point_in_time.Moment(
            self.stored_number, self.stored_hash, self.stored_time, self.stored_time
        )

    def finality(self, block_number: int) -> Finality:
        """Whether a committed block is known to be accepted on L1."""
        finalised = self.finalised_block
        return (
            "accepted_l1"
            if finalised is not None and block_number <= finalised
            else ("accepted_l2")
        )


class MomentQuery(msgspec.Struct, frozen=True):
    """The moment that a question names; at most one of the three."""

    at_block: int | None = None
    at_hash: str | None = None
    at_time: datetime.datetime | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the question names a moment, so that its answer never changes."""
        return self != MomentQuery()

    def check(self) -> None:
        """QuestionError where two moments are named."""
        named = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        if len(named) > 1:
            raise errors.QuestionError(
                f"{' and '.join(named)} exclude each other", parameter=named[1]
            )


async def read(connection: Connection) -> DatabaseState:
    """The state of the database; NothingCommittedError before the first commit."""
    row = await connection.fetchrow(_SQL["stands"])
    if row is None or row["block_hash"] is None:
        raise errors.NothingCommittedError(
            "no block is committed yet: start `vesu-indexer run` first"
        )
    return DatabaseState(**dict(row))


async def committed_block(connection: Connection) -> int | None:
    """The committed block; None before the first commit."""
    number: int | None = await connection.fetchval(_SQL["committed"])
    return number


async def moment(
    connection: Connection, state: DatabaseState, moment_query: MomentQuery
) -> point_in_time.Moment:
    """The moment that a question is about.

    QuestionError where two are named or the time is too far ahead, NotCommittedError above the
    committed block, NotFoundError for an unknown block, AbandonedBlockError for a hash that the
    chain gave up.
    """
    moment_query.check()
    if moment_query.at_hash is not None:
        return await point_in_time.moment(
            connection, await _number(connection, moment_query.at_hash)
        )
    if moment_query.at_time is not None:
        if moment_query.at_time > state.block_timestamp + LONGEST_AHEAD:
            raise errors.QuestionError(
                f"at_time is more than {LONGEST_AHEAD.days} days after the committed block",
                parameter="at_time",
            )
        return await point_in_time.moment(connection, moment_query.at_time)
    if moment_query.at_block is None and state.newest is not None:
        return state.newest
    return await point_in_time.moment(connection, moment_query.at_block)


async def _number(connection: Connection, block_hash: str) -> int:
    number: int | None = await connection.fetchval(_SQL["block_of_hash"], block_hash)
    if number is not None:
        return number
    abandoned: int | None = await connection.fetchval(_SQL["abandoned"], block_hash)
    if abandoned is None:
        raise errors.NotFoundError(
            f"at_hash: no stored block has the hash {block_hash}; blocks without an event of ours "
            "may not be stored",
            parameter="at_hash",
        )
    instead: str | None = await connection.fetchval(_SQL["stands_at"], abandoned)
    raise errors.AbandonedBlockError(
        f"the chain gave up the block {block_hash} at height {abandoned}",
        parameter="at_hash",
        block_number=abandoned,
        block_hash=instead,
    )


async def check_unchanged(
    connection: Connection,
    state: DatabaseState,
    block_number: int,
    block_hash: str,
    fork_counter: int,
) -> None:
    """AbandonedBlockError unless what was told at a block and fork still holds.

    It does where no rollback since then went below the block.
    """
    stored: str | None = await connection.fetchval(_SQL["stored_hash"], block_number)
    rollbacks = state.fork_counter - fork_counter
    is_same = stored == block_hash and rollbacks >= 0
    if is_same and rollbacks:
        since = await connection.fetchrow(_SQL["deepest_since"], rollbacks)
        assert since is not None  # aggregates have one row
        is_same = since["known"] == rollbacks and since["ancestor"] >= block_number
    if not is_same:
        instead: str | None = await connection.fetchval(_SQL["stands_at"], block_number)
        raise errors.AbandonedBlockError(
            f"a reorganisation took back block {block_number}, to which these pages are pinned: "
            "start again without a cursor",
            parameter="cursor",
            block_number=block_number,
            block_hash=instead,
        )
