"""The proofs of a block, and of all blocks up to the committed one."""

from __future__ import annotations

import datetime

import msgspec

from indexer.query import completeness, counts, kinds, point_in_time, status
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "proof")


class Proof(msgspec.Struct, frozen=True):
    """How a block's events are known to be complete, and what checks of the tables found.

    `method` and `verified_at` are those of the block, None where nobody looked at it yet; the rest
    is of the whole database as it stands now. What each method proves: docs/protocol.md.
    """

    block_number: kinds.Block
    block_hash: kinds.Felt
    method: str | None
    verified_at: datetime.datetime | None
    completeness: completeness.Completeness
    reconciled: status.Check | None
    standing_differences: kinds.Block
    differing: list[status.Differing]
    invariant_breaks: list[status.Break]


async def of(
    connection: point_in_time.Connection,
    moment: point_in_time.Moment,
    limits: status.Limits,
    known: counts.Counts | None = None,
) -> Proof:
    """The proof of a moment's block; `known`: the counts that the process keeps."""
    row = await connection.fetchrow(_SQL["range_of"], moment.block_number)
    whole = await status.read(connection, limits, known)
    return Proof(
        moment.block_number,
        moment.block_hash,
        None if row is None else row["method"],
        None if row is None else row["verified_at"],
        whole.completeness,
        whole.reconciled,
        whole.standing_differences,
        whole.differing,
        whole.invariant_breaks,
    )
