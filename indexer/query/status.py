"""How fresh the tables are, and what the log could not explain."""

from __future__ import annotations

import datetime
import decimal
from typing import Literal

import asyncpg
import msgspec

from indexer import errors
from indexer.query import completeness
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "status")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

STALE_PRICE_SECONDS = 900.0
"""A price this much older than the committed block counts as stale."""

NOTHING_YET = "nothing is committed yet"
FOLLOWS = "the tables follow the head"
State = Literal["fresh", "stale", "suspect"]


class Limits(msgspec.Struct, frozen=True):
    """From when on the tables are stale, in seconds.

    `silence`: no good answer from the node for so long. `stale`: behind the head, and the
    committed block older than this. `halt`: the committed block older than this, head or not,
    since a node that stands still tells no newer head; 0: never.
    """

    silence: float = 120.0
    stale: float = 300.0
    halt: float = 0.0


DEFAULTS = Limits()


class Freshness(msgspec.Struct, frozen=True):
    """How the tables are, why, and the committed block (None before the first commit)."""

    state: State
    reason: str
    committed_block: int | None

    @property
    def is_fresh(self) -> bool:
        """Whether the tables follow the head and nothing is doubted."""
        return self.state == "fresh"


class Undecoded(msgspec.Struct, frozen=True):
    """Events of one contract and selector that nobody can decode."""

    contract: str
    address: str
    selector: str | None
    events: int


class Reorg(msgspec.Struct, frozen=True):
    """One rollback that the database went through: the chain's, or a repair of the log."""

    detected_at: datetime.datetime
    ancestor_number: int
    old_number: int
    new_number: int
    depth: int
    events_orphaned: int
    rows_restored: int
    seconds: float
    cause: str


class Differing(msgspec.Struct, frozen=True):
    """A value that is not the contract's, as text."""

    table: str
    row_id: str
    column: str
    view: str
    ours: str
    theirs: str


class Check(msgspec.Struct, frozen=True):
    """The last check of rows against the contracts' own views."""

    checked_at: datetime.datetime
    origin: str
    block_number: int
    scope: str
    rows: int
    compared: int
    refused: int
    differences: int


class Break(msgspec.Struct, frozen=True):
    """A sum that does not agree after a batch; numbers as text."""

    invariant: str
    what: str
    found: decimal.Decimal
    expected: decimal.Decimal
    first_block: int
    last_block: int


class Quarantined(msgspec.Struct, frozen=True):
    """A pool that is frozen as it stood before it contradicted itself, and why."""

    pool_id: str
    pool_address: str
    name: str | None
    since_block: int
    reason: str


class Prices(msgspec.Struct, frozen=True):
    """Prices of assets that are supplied or owed. `sampled_block` None: never sampled."""

    assets: int
    missing: int
    invalid: int
    stale: int
    sampled_block: int | None


class Status(msgspec.Struct, frozen=True):
    """Where the tables stand. Ages and silence in seconds; None where nothing is known yet."""

    is_fresh: bool
    state: State
    reason: str
    suspect_since: datetime.datetime | None
    chain_id: str
    committed_block: int
    committed_hash: str | None
    committed_at: datetime.datetime | None
    age_seconds: float | None
    head_block: int | None
    head_silence_seconds: float | None
    lag_blocks: int | None
    finalised_block: int | None
    fork_counter: int
    fold_version: int
    rows: dict[str, int]
    undecoded: list[Undecoded]
    reorgs: list[Reorg]
    completeness: completeness.Completeness
    blocks_by_events_alone: int
    reconciled: Check | None
    standing_differences: int
    differing: list[Differing]
    invariant_breaks: list[Break]
    quarantined: list[Quarantined]
    prices: Prices


async def read(connection: Connection, limits: Limits = DEFAULTS) -> Status:
    """The whole status; NothingCommittedError where no run has made a cursor yet."""
    row = await connection.fetchrow(_SQL["status"])
    if row is None:
        raise errors.NothingCommittedError("the database is empty: run `vesu-indexer run` first")
    standing = await connection.fetchrow(_SQL["standing_differences"])
    assert standing is not None  # aggregates have one row
    failed = await connection.fetchrow(_SQL["failed_check"])
    found = _freshness(row, standing, failed, limits)
    counts = await connection.fetchrow(_SQL["counts"])
    assert counts is not None  # aggregates have one row
    undecoded = await connection.fetch(_SQL["undecoded"])
    reorgs = await connection.fetch(_SQL["reorgs"])
    reconciled = await connection.fetchrow(_SQL["last_reconciliation"])
    differing = await connection.fetch(_SQL["differences"])
    breaks = await connection.fetch(_SQL["invariant_breaks"])
    quarantined = await connection.fetch(_SQL["quarantined"])
    prices = await connection.fetchrow(_SQL["prices"], STALE_PRICE_SECONDS)
    assert prices is not None  # aggregates have one row
    return Status(
        is_fresh=found.is_fresh,
        state=found.state,
        reason=found.reason,
        suspect_since=row["suspect_since"],
        chain_id=row["chain_id"],
        committed_block=row["committed_block"],
        committed_hash=row["committed_hash"],
        committed_at=row["committed_at"],
        age_seconds=_seconds(row["age_seconds"]),
        head_block=row["head_block"],
        head_silence_seconds=_seconds(row["head_age_seconds"]),
        lag_blocks=row["lag_blocks"],
        finalised_block=row["finalised_block"],
        fork_counter=row["fork_counter"],
        fold_version=row["fold_version"],
        rows=dict(counts.items()),
        undecoded=[Undecoded(*one.values()) for one in undecoded],
        reorgs=[Reorg(*one.values()) for one in reorgs],
        completeness=await completeness.read(connection),
        blocks_by_events_alone=await connection.fetchval(_SQL["blocks_by_events_alone"]),
        reconciled=None if reconciled is None else Check(*reconciled.values()),
        standing_differences=standing["differences"],
        differing=[Differing(*one.values()) for one in differing],
        invariant_breaks=[Break(*one.values()) for one in breaks],
        quarantined=[Quarantined(*one.values()) for one in quarantined],
        prices=Prices(*prices.values()),
    )


async def freshness(connection: Connection, limits: Limits = DEFAULTS) -> Freshness:
    """Whether the tables are fresh: what /health asks."""
    row = await connection.fetchrow(_SQL["status"])
    if row is None or row["committed_hash"] is None:
        return Freshness("stale", NOTHING_YET, None)
    standing = await connection.fetchrow(_SQL["standing_differences"])
    assert standing is not None  # aggregates have one row
    failed = await connection.fetchrow(_SQL["failed_check"])
    return _freshness(row, standing, failed, limits)


def _freshness(
    row: asyncpg.Record, standing: asyncpg.Record, failed: asyncpg.Record | None, limits: Limits
) -> Freshness:
    block = row["committed_block"]
    if row["suspect_reason"] is not None:
        return Freshness("suspect", row["suspect_reason"], block)
    reason = _stale_reason(row, limits) or differing_reason(standing) or _failed_reason(failed)
    return Freshness("fresh" if reason is None else "stale", reason or FOLLOWS, block)


def _failed_reason(failed: asyncpg.Record | None) -> str | None:
    """Why a check could not be done; None where all were."""
    if failed is None:
        return None
    return (
        f"the check {failed['name']} could not be done {failed['failures']} times in a row: "
        f"{failed['reason']}"
    )


def _stale_reason(row: asyncpg.Record, limits: Limits) -> str | None:
    """Why the tables are stale by a row of indexer_status; None where they are fresh.

    The committed block is held against what the node last said, when it said it, and the clock:
    a stalled indexer stops hearing the node, a stalled node stops moving; both show. Where the
    block's time lies ahead of the clock, the time since its commit counts.
    """
    if row["committed_hash"] is None:
        return NOTHING_YET
    if row["gap_block"] is not None:
        return f"the log differs from the chain in block {row['gap_block']}: under repair"
    silence = _seconds(row["head_age_seconds"])
    age = max(_seconds(row["age_seconds"]) or 0.0, _seconds(row["idle_seconds"]) or 0.0)
    if silence is None:
        return "the node was never heard"
    if silence > limits.silence:
        return f"no good answer from the node for {silence:.0f} s"
    if row["lag_blocks"] and age > limits.stale:
        return f"{row['lag_blocks']} blocks behind the head, committed block {age:.0f} s old"
    if limits.halt and age > limits.halt:
        return f"the head itself is {age:.0f} s old: the chain or the node stands still"
    return None


def differing_reason(row: asyncpg.Record) -> str | None:
    """Why the tables are not to be trusted by the last checks; None where all was equal."""
    if not row["differences"]:
        return None
    return (
        f"{row['differences']} values in {row['rows']} rows differ from the contracts' own, first "
        f"seen at block {row['block_number']}: `vesu-indexer reconcile` lists them"
    )


def _seconds(value: object) -> float | None:
    return None if value is None else float(str(value))
