"""How fresh the tables are, and which events and contracts are not understood."""

from __future__ import annotations

import datetime
import decimal
from typing import Literal

import asyncpg
import msgspec

from indexer import errors, values
from indexer.query import completeness, counts, database_state, health
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "status")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

STALE_PRICE_SECONDS = 900.0
"""A price this much older than the committed block counts as stale."""

TABLES = ("events", "pools", "assets", "positions", "transactions", "liquidations")
NOTHING_YET = "nothing is committed yet"
FOLLOWS = "the tables follow the head"
State = Literal["fresh", "stale", "suspect"]


class Limits(msgspec.Struct, frozen=True):
    """From when on the tables are stale, in seconds.

    `silence`: no good answer from the node for so long. `stale`: behind the head, and the
    committed block older than this. `halt`: the committed block older than this, head or not,
    since a node that stands still tells no newer head; 0: never. `prices`: a price of a listed pool
    so much older than the committed block; 0: never.
    """

    silence: float = 120.0
    stale: float = 300.0
    halt: float = 0.0
    prices: float = 0.0


DEFAULTS = Limits()


class Freshness(msgspec.Struct, frozen=True):
    """How the tables are, why, and the committed block (None before the first commit).

    `reasons` are all that makes them unhealthy, `reason` is the first of them.
    """

    state: State
    reason: str
    committed_block: int | None
    reasons: tuple[health.Reason, ...] = ()

    @property
    def is_fresh(self) -> bool:
        """Whether the tables follow the head and no proof fails."""
        return self.state == "fresh"


class Undecoded(msgspec.Struct, frozen=True):
    """Events of one contract and selector that cannot be decoded."""

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


class UnknownClass(msgspec.Struct, frozen=True):
    """A contract whose class this release does not know."""

    address: str
    kind: str
    class_hash: str
    pools: int


class UnansweredView(msgspec.Struct, frozen=True):
    """A view that no endpoint could answer, and the pools that have that contract as an asset."""

    block_number: int
    contract: str
    view: str
    pools: list[str]


class Prices(msgspec.Struct, frozen=True):
    """Prices of assets that are supplied or owed. `sampled_block` None: never sampled."""

    assets: int
    missing: int
    invalid: int
    stale: int
    sampled_block: int | None


class Status(msgspec.Struct, frozen=True):
    """Where the tables stand. Ages and silence in seconds; None where nothing is known yet.

    `rows`: None for the large tables while a process that was just started counts them.
    """

    is_fresh: bool
    state: State
    reason: str
    reasons: tuple[health.Reason, ...]
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
    rows: dict[str, int | None]
    undecoded: list[Undecoded]
    reorgs: list[Reorg]
    completeness: completeness.Completeness
    blocks_by_events_alone: int
    reconciled: Check | None
    standing_differences: int
    differing: list[Differing]
    invariant_breaks: list[Break]
    quarantined: list[Quarantined]
    unknown_classes: list[UnknownClass]
    unanswered_views: list[UnansweredView]
    prices: Prices


async def read(
    connection: Connection, limits: Limits = DEFAULTS, known: counts.Counts | None = None
) -> Status:
    """The whole status; NothingCommittedError where no run has made a cursor yet.

    `known`: the counts that the process keeps; None: rows are counted.
    """
    row = await connection.fetchrow(_SQL["status"])
    if row is None:
        raise errors.NothingCommittedError("the database is empty: run `vesu-indexer run` first")
    standing = await connection.fetchrow(_SQL["standing_differences"])
    assert standing is not None  # aggregates have one row
    freshness = await _freshness(connection, row, limits)
    rows = await _rows(connection, row["committed_hash"], known)
    undecoded = await connection.fetch(_SQL["undecoded"])
    reorgs = await connection.fetch(_SQL["reorgs"])
    reconciled = await connection.fetchrow(_SQL["last_reconciliation"])
    differing = await connection.fetch(_SQL["differences"])
    breaks = await connection.fetch(_SQL["invariant_breaks"])
    quarantined = await connection.fetch(_SQL["quarantined"])
    unanswered = await connection.fetch(_SQL["unanswered_views"])
    prices = await connection.fetchrow(_SQL["prices"], STALE_PRICE_SECONDS)
    assert prices is not None  # aggregates have one row
    return Status(
        is_fresh=freshness.is_fresh,
        state=freshness.state,
        reason=freshness.reason,
        reasons=freshness.reasons,
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
        rows=rows,
        undecoded=[Undecoded(*row.values()) for row in undecoded],
        reorgs=[Reorg(*row.values()) for row in reorgs],
        completeness=await completeness.read(connection),
        blocks_by_events_alone=await connection.fetchval(_SQL["blocks_by_events_alone"]),
        reconciled=None if reconciled is None else Check(*reconciled.values()),
        standing_differences=standing["differences"],
        differing=[Differing(*row.values()) for row in differing],
        invariant_breaks=[Break(*row.values()) for row in breaks],
        quarantined=[Quarantined(*row.values()) for row in quarantined],
        unknown_classes=await unknown_classes(connection),
        unanswered_views=[UnansweredView(*view.values()) for view in unanswered],
        prices=Prices(*prices.values()),
    )


async def _rows(
    connection: Connection, committed_hash: str | None, known: counts.Counts | None
) -> dict[str, int | None]:
    """The number of rows of each table; None for the large ones while they are counted."""
    markets = await connection.fetchrow(_SQL["counts"])
    assert markets is not None  # aggregates have one row
    if known is None or committed_hash is None:
        large = await counts.rows(connection)
    else:
        standing = await database_state.read(connection)
        try:
            large = (await known.counts_at(connection, standing, standing.block_number)).rows
        except errors.BeingCountedError:
            large = {}
    found = {**markets, **large}
    return {name: found.get(name) for name in TABLES}


async def freshness(connection: Connection, limits: Limits = DEFAULTS) -> Freshness:
    """Whether the tables are fresh and every proof holds; /health answers with this."""
    row = await connection.fetchrow(_SQL["status"])
    if row is None or row["committed_hash"] is None:
        return unhealthy("nothing_committed", NOTHING_YET)
    return await _freshness(connection, row, limits)


async def unknown_classes(connection: Connection) -> list[UnknownClass]:
    """The contracts whose class this release does not know."""
    rows = await connection.fetch(_SQL["unknown_classes"])
    return [UnknownClass(*row.values()) for row in rows]


def unhealthy(name: health.Name, reason: str) -> Freshness:
    """The freshness of a database that cannot be read."""
    return Freshness("stale", reason, None, (health.reason(name, reason),))


async def _freshness(connection: Connection, row: asyncpg.Record, limits: Limits) -> Freshness:
    reasons = _stale_reasons(row, limits)
    reasons += await health.failed_proofs(connection, limits.prices)
    state: State = "stale" if reasons else "fresh"
    if row["suspect_reason"] is not None:
        reasons.insert(0, health.reason("suspect_chain", row["suspect_reason"]))
        state = "suspect"
    text = reasons[0].reason if reasons else FOLLOWS
    return Freshness(state, text, row["committed_block"], tuple(reasons))


def _stale_reasons(row: asyncpg.Record, limits: Limits) -> list[health.Reason]:
    """Why the tables are stale by a row of indexer_status; none where they are fresh.

    The committed block is held against what the node last said, when it said it, and the clock:
    a stalled indexer stops hearing the node, a stalled node stops moving; both show. Where the
    block's time lies ahead of the clock, the time since its commit counts.
    """
    if row["committed_hash"] is None:
        return [health.reason("nothing_committed", NOTHING_YET)]
    found = []
    if row["gap_block"] is not None:
        text = f"the log differs from the chain in block {row['gap_block']}: under repair"
        found.append(health.reason("log_gap", text))
    silence = _seconds(row["head_age_seconds"])
    age = max(_seconds(row["age_seconds"]) or 0.0, _seconds(row["idle_seconds"]) or 0.0)
    if silence is None:
        found.append(health.reason("node", "the node was never heard"))
    elif silence > limits.silence:
        found.append(
            health.reason("node", f"no good answer from the node for {values.duration(silence)}")
        )
    if row["lag_blocks"] and age > limits.stale:
        text = (
            f"{values.counted(row['lag_blocks'], 'block')} behind the head, committed block "
            f"{values.duration(age)} old"
        )
        found.append(health.reason("behind", text))
    elif limits.halt and age > limits.halt:
        text = f"the head itself is {values.duration(age)} old: the chain or the node stands still"
        found.append(health.reason("standstill", text))
    return found


def _seconds(value: object) -> float | None:
    return None if value is None else float(str(value))
