"""Gaps: events and answers of views in which the log was found to differ from the chain.

A gap is open until its block was committed again, proved. Whoever finds one notes it; the
writer, who alone may, goes back to before it and reads on from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import asyncpg
import msgspec

from indexer.cairo import view_call
from indexer.log import cursor, facts
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "gaps")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

Difference = Literal["missing", "extra", "changed"]
"""The chain has the event and the log has not; the other way round; or both, but not the same."""


class Gap(msgspec.Struct, frozen=True):
    """One event that is not in the log as the chain has it. Hashes and addresses are padded."""

    block_number: int
    transaction_index: int
    event_index: int
    transaction_hash: str
    from_address: str
    difference: Difference


class Open(msgspec.Struct, frozen=True):
    """Blocks whose gaps are not repaired, ascending.

    `untouched` are those of them that no rollback has taken out of the tables yet.
    """

    blocks: tuple[int, ...]
    untouched: tuple[int, ...]


async def add(connection: Connection, gaps: Iterable[Gap]) -> None:
    """Store gaps; one that is already stored and still open is not stored twice."""
    await connection.executemany(
        _SQL["add_gap"],
        [msgspec.structs.astuple(gap) for gap in gaps],
    )


async def add_observations(connection: Connection, found: Iterable[view_call.ViewCall]) -> None:
    """Note answers of views that are others than the log keeps; each once while it is open."""
    await connection.executemany(
        _SQL["add_observation_gap"],
        [
            (
                view_call.block_number,
                facts.padded(hex(view_call.contract)),
                view_call.view,
                list(map(hex, view_call.calldata)),
            )
            for view_call in found
        ],
    )


async def still_open(connection: Connection) -> Open:
    """The gaps that are still to be repaired."""
    rows = await connection.fetch(_SQL["open_blocks"])
    return Open(
        tuple(row["block_number"] for row in rows),
        tuple(row["block_number"] for row in rows if not row["is_rolled_back"]),
    )


async def place_before(
    connection: Connection, committed: cursor.Cursor, block: int
) -> tuple[int, str | None]:
    """The highest stored block below a gap's; before the first block where there is none."""
    row = await connection.fetchrow(_SQL["stored_below"], block)
    if row is None:
        return committed.start_block - 1, None
    return row["number"], facts.minimal(row["hash"])


async def roll_back(connection: Connection, reorg_id: int, block: int) -> None:
    """Note the rollback to `block` on the gaps above it."""
    await connection.execute(_SQL["roll_gaps_back"], reorg_id, block)
    await connection.execute(_SQL["roll_observation_gaps_back"], reorg_id, block)


async def close(connection: Connection, first_block: int, last_block: int) -> None:
    """Note that a range with gaps was read again, and proved."""
    await connection.execute(_SQL["close_gaps"], first_block, last_block)
    await connection.execute(_SQL["close_observation_gaps"], first_block, last_block)
