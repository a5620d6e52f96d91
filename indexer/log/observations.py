"""Observations: answers of contract views, kept in the log because no event carries them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from indexer import errors
from indexer.cairo import felt252, view_call
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "observations")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

REFUSED = "refused"
"""The error that the log keeps where a contract refuses a view."""

UNANSWERED = "unanswered"
"""The error that the log keeps where no endpoint could answer a view, and all answered others."""


class Observation(msgspec.Struct, frozen=True):
    """The felts that a view answered at the block with this hash.

    Without a result, `error` is what the log keeps of why: REFUSED or UNANSWERED.
    """

    call: view_call.ViewCall
    block_hash: str
    result: tuple[int, ...] | None
    error: str | None = None


class Subject(NamedTuple):
    """What a view tells of: a contract, or what its first argument names in it, as V1's pools."""

    contract: int
    argument: int | None


def subject_of(call: view_call.ViewCall) -> Subject:
    """What a view tells of."""
    return Subject(call.contract, call.calldata[0] if call.calldata else None)


async def append(connection: Connection, observations: Iterable[Observation]) -> None:
    """Add observations to the log, inside the caller's transaction."""
    rows = [
        (
            *_key(seen.call),
            seen.block_hash,
            None if seen.result is None else list(map(hex, seen.result)),
            seen.error,
        )
        for seen in observations
    ]
    if rows:
        await connection.executemany(_SQL["append"], rows)


async def read_blocks(connection: Connection, from_block: int, to_block: int) -> list[Observation]:
    """All observations of these blocks, oldest first."""
    rows = await connection.fetch(_SQL["read_blocks"], from_block, to_block)
    return [_observation(row) for row in rows]


async def read(connection: Connection, views: Sequence[str]) -> list[Observation]:
    """All observations of the named views, in the order of their blocks."""
    rows = await connection.fetch(_SQL["read"], list(views))
    return [_observation(row) for row in rows]


async def to_confirm(
    connection: Connection,
    from_block: int,
    to_block: int,
    *,
    with_confirmed: bool,
    most: int | None = None,
    without: Collection[Subject] = (),
) -> list[Observation]:
    """The observations of a range that nobody asked again yet, or all of them; newest first.

    At most `most` of them (None: every one), and none of the subjects in `without`.
    """
    rows = await connection.fetch(
        _SQL["to_confirm"],
        from_block,
        to_block,
        with_confirmed,
        most,
        [felt252.padded(subject.contract) for subject in without],
        [None if subject.argument is None else hex(subject.argument) for subject in without],
    )
    return [_observation(row) for row in rows]


async def unanswered(
    connection: Connection, from_block: int, to_block: int, most: int
) -> list[Observation]:
    """Views of a range that no endpoint could answer, the newest first."""
    rows = await connection.fetch(_SQL["unanswered"], UNANSWERED, from_block, to_block, most)
    return [_observation(row) for row in rows]


def missing(call: view_call.ViewCall) -> errors.MissingObservationError:
    """The error where the log lacks an answer that the fold needs."""
    arguments = ", ".join(map(hex, call.calldata))
    return errors.MissingObservationError(
        f"the log lacks the observation {call.view}({arguments}) of "
        f"{felt252.padded(call.contract)} at block {call.block_number}: restore it from a backup, "
        "or index again from a node"
    )


async def confirm(connection: Connection, seen: Iterable[Observation]) -> None:
    """Note that these views were asked again and gave the same answers."""
    await connection.executemany(_SQL["confirm"], [_key(observation.call) for observation in seen])


def _key(call: view_call.ViewCall) -> tuple[int, str, str, list[str]]:
    return (
        call.block_number,
        felt252.padded(call.contract),
        call.view,
        list(map(hex, call.calldata)),
    )


def _observation(row: asyncpg.Record) -> Observation:
    return Observation(
        view_call.ViewCall(
            row["block_number"],
            int(row["contract"], 16),
            row["view"],
            _felts(row["calldata"]),
        ),
        row["block_hash"],
        None if row["result"] is None else _felts(row["result"]),
        row["error"],
    )


def _felts(texts: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(text, 16) for text in texts)
