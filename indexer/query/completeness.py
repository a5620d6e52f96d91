"""The log's completeness as far as it is known: verified ranges, holes, and gaps found."""

from __future__ import annotations

import datetime

import asyncpg
import msgspec

from indexer import values
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "completeness")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

MOST = 20
"""How many ranges, holes and gaps are listed; the counts include all."""

FEW = 5
"""Up to this many ranges, a sentence names each of them."""


def _proved(method: str) -> str:
    return "sampled" if method == "sampled" else f"by {method}"


def _named(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}..{last}"


class Range(msgspec.Struct, frozen=True):
    """A closed range of blocks and how it was verified: commitment, count, receipts, sampled."""

    first_block: int
    last_block: int
    method: str
    verified_at: datetime.datetime


class Hole(msgspec.Struct, frozen=True):
    """A closed range of committed blocks that were never verified."""

    first_block: int
    last_block: int


class Gap(msgspec.Struct, frozen=True):
    """An event in which the log still differs from the chain: missing, extra or changed."""

    block_number: int
    transaction_index: int
    event_index: int
    transaction_hash: str
    from_address: str
    difference: str
    found_at: datetime.datetime


class Completeness(msgspec.Struct, frozen=True):
    """The whole picture. `blocks` counts committed blocks by method, "hole" among them.

    `unproved_blocks` are those that were only sampled or never looked at. Lists hold the newest
    first, at most 20 of each.
    """

    blocks: dict[str, int]
    unproved_blocks: int
    ranges: list[Range]
    more_ranges: int
    holes: list[Hole]
    open_gaps: list[Gap]
    gaps_open: int
    gaps_repaired: int
    watch_list: str | None = None
    """Digest of the watch list for which all this holds; None: none is remembered yet."""
    outdated_blocks: int = 0
    """How many blocks were verified for another watch list alone: they count as holes."""

    def sentence(self) -> str:
        """For people, from the lowest block up: 0..125 by commitment; holes: none.

        With more than FEW ranges it counts the blocks of each method instead.
        """
        count = len(self.ranges) + self.more_ranges
        if count <= FEW:
            sentences = [
                f"{_named(block_range.first_block, block_range.last_block)} "
                f"{_proved(block_range.method)}"
                for block_range in reversed(self.ranges)
            ]
        else:
            sentences = [
                f"{values.counted(blocks, 'block')} {_proved(method)}"
                for method, blocks in sorted(self.blocks.items())
                if method != "hole"
            ]
            sentences.append(f"{count:,} ranges in all")
        holes = ", ".join(
            _named(hole.first_block, hole.last_block) for hole in reversed(self.holes)
        )
        outdated = (
            [f"{values.counted(self.outdated_blocks, 'block')} for another watch list alone"]
            if self.outdated_blocks
            else []
        )
        return "; ".join([*(sentences or ["nothing"]), f"holes: {holes or 'none'}", *outdated])


async def read(connection: Connection) -> Completeness:
    """The completeness of the committed blocks as it is known now."""
    blocks = {row["method"]: int(row["blocks"]) for row in await connection.fetch(_SQL["blocks"])}
    counts = await connection.fetchrow(_SQL["counts"])
    assert counts is not None  # aggregates have one row
    holes = [Hole(*row.values()) for row in await connection.fetch(_SQL["holes"], MOST)]
    committed = int(counts["committed_blocks"])
    hole_blocks = committed - sum(blocks.values())
    ranges = [Range(*row.values()) for row in await connection.fetch(_SQL["ranges"], MOST)]
    gaps = [Gap(*row.values()) for row in await connection.fetch(_SQL["gaps"], MOST)]
    return Completeness(
        blocks=blocks | {"hole": hole_blocks},
        unproved_blocks=hole_blocks + blocks.get("sampled", 0),
        ranges=ranges,
        more_ranges=int(counts["ranges"]) - len(ranges),
        holes=holes,
        open_gaps=gaps,
        gaps_open=int(counts["gaps_open"]),
        gaps_repaired=int(counts["gaps_repaired"]),
        watch_list=counts["watch_list"],
        outdated_blocks=int(counts["outdated_blocks"]),
    )
