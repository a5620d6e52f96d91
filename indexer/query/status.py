"""How fresh the tables are, and what the log could not explain."""

from __future__ import annotations

import datetime
import decimal

import asyncpg
import msgspec

from indexer import errors
from indexer.query import completeness
from indexer.store import sqlfile

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

STALE_AFTER_SECONDS = 300.0
"""A committed block this much older than the head's own time counts as stale."""

SILENT_AFTER_SECONDS = 120.0
"""A node that gave no good answer for so long counts as silent."""

STALE_PRICE_SECONDS = 900.0
"""A price this much older than the committed block counts as stale."""

NOTHING_YET = "nothing is committed yet"


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
    reason: str
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
    reconciled: Check | None
    standing_differences: int
    differing: list[Differing]
    invariant_breaks: list[Break]
    prices: Prices


async def read(connection: Connection) -> Status:
    """The whole status; ConfigError where no run has made a cursor yet."""
    statements = sqlfile.load("status")
    row = await connection.fetchrow(statements["status"])
    if row is None:
        raise errors.ConfigError("the database is empty: run `vesu-indexer run` first")
    standing = await connection.fetchrow(statements["standing_differences"])
    assert standing is not None  # aggregates have one row
    reason = stale_reason(row) or differing_reason(standing)
    counts = await connection.fetchrow(statements["counts"])
    assert counts is not None  # aggregates have one row
    undecoded = await connection.fetch(statements["undecoded"])
    reorgs = await connection.fetch(statements["reorgs"])
    reconciled = await connection.fetchrow(statements["last_reconciliation"])
    differing = await connection.fetch(statements["differences"])
    breaks = await connection.fetch(statements["invariant_breaks"])
    prices = await connection.fetchrow(statements["prices"], STALE_PRICE_SECONDS)
    assert prices is not None  # aggregates have one row
    return Status(
        is_fresh=reason is None,
        reason=reason or "the tables follow the head",
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
        reconciled=None if reconciled is None else Check(*reconciled.values()),
        standing_differences=standing["differences"],
        differing=[Differing(*one.values()) for one in differing],
        invariant_breaks=[Break(*one.values()) for one in breaks],
        prices=Prices(*prices.values()),
    )


async def freshness(connection: Connection) -> tuple[bool, str, int | None]:
    """Whether the tables are fresh, why not, and the committed block: what /health asks.

    The block is None before the first commit.
    """
    row = await connection.fetchrow(sqlfile.load("status")["status"])
    if row is None or row["committed_hash"] is None:
        return False, NOTHING_YET, None
    standing = await connection.fetchrow(sqlfile.load("status")["standing_differences"])
    assert standing is not None  # aggregates have one row
    reason = stale_reason(row) or differing_reason(standing)
    return reason is None, reason or "the tables follow the head", row["committed_block"]


def stale_reason(row: asyncpg.Record) -> str | None:
    """Why the tables are stale by a row of indexer_status; None where they are fresh.

    The committed block is held against what the node last said and when it said it: a stalled
    indexer stops hearing the node, and a stalled node stops moving; both show.
    """
    if row["committed_hash"] is None:
        return NOTHING_YET
    if row["gap_block"] is not None:
        return f"the log differs from the chain in block {row['gap_block']}: under repair"
    silence = _seconds(row["head_age_seconds"])
    if silence is None:
        return "the node was never heard"
    if silence > SILENT_AFTER_SECONDS:
        return f"no good answer from the node for {silence:.0f} s"
    if row["lag_blocks"] and (age := _seconds(row["age_seconds"]) or 0.0) > STALE_AFTER_SECONDS:
        return f"{row['lag_blocks']} blocks behind the head, committed block {age:.0f} s old"
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
