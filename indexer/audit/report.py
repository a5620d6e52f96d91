"""The audit: everything that can be proved without a node, in one report."""

from __future__ import annotations

import asyncpg
import msgspec

from indexer import errors
from indexer.audit import completeness as log_completeness
from indexer.audit import digest, indexes, invariants
from indexer.query import completeness, status
from indexer.store import sqlfile

NOT_COVERED = (
    "the contracts' own views at this block (`vesu-indexer reconcile`, which needs a node)",
    "prices between events and samples",
    "that the log is what the chain has, where it was not proved yet (`vesu-indexer verify`)",
)


class Check(msgspec.Struct, frozen=True):
    """One thing that was checked: how many comparisons, what was found."""

    name: str
    is_good: bool
    compared: int
    found: str


class Report(msgspec.Struct, frozen=True):
    """The whole audit, true for one block."""

    block_number: int
    block_hash: str
    digest: str
    is_good: bool
    compared: int
    checks: list[Check]
    not_covered: tuple[str, ...] = NOT_COVERED


async def make(connection: asyncpg.Connection) -> Report:
    """Run every check."""
    stands = await status.read(connection)
    if stands.committed_hash is None:
        raise errors.ConfigError("there is nothing to audit: no block is committed yet")
    now = await digest.at_block(connection)
    from_history = await digest.at_block(connection, now.block_number)
    checks = [
        _histories(now, from_history),
        *[_invariant(one) for one in await invariants.check(connection)],
        await _seals(connection, stands.committed_block),
        _completeness(stands.completeness),
        _undecoded(stands),
        *_recorded(stands),
        await _indexes(connection),
    ]
    return Report(
        now.block_number,
        stands.committed_hash,
        now.all,
        all(check.is_good for check in checks),
        sum(check.compared for check in checks),
        checks,
    )


def _histories(now: digest.Digest, from_history: digest.Digest) -> Check:
    parted = [table for table in now.tables if now.tables[table] != from_history.tables[table]]
    rows = sum(now.tables[table].rows for table in digest.STATE_TABLES)
    found = f"current rows differ from their history in {', '.join(parted)}" if parted else "equal"
    return Check("current rows equal their history", not parted, rows, found)


def _invariant(one: invariants.Invariant) -> Check:
    found = "all agree"
    if one.broken:
        first = one.examples[0]
        found = f"{one.broken} broken; {first.what}: {first.found}, expected {first.expected}"
    return Check(f"sum of {one.name.replace('_', ' ')}", not one.broken, one.compared, found)


async def _seals(connection: asyncpg.Connection, committed: int) -> Check:
    broken = await log_completeness.broken_seals(connection, 0, committed)
    sealed = await connection.fetchval(sqlfile.load("verification")["sealed"])
    found = (
        f"blocks {', '.join(str(span.first_block) for span in broken[:5])}" if broken else "none"
    )
    return Check("events as they were committed", not broken, sealed, f"changed since: {found}")


def _completeness(known: completeness.Completeness) -> Check:
    # Not proved is no contradiction; what was found missing is.
    proved = sum(known.blocks.values()) - known.unproved_blocks
    found = f"{known.gaps_open} open gaps, {known.gaps_repaired} repaired; {known.sentence()}"
    return Check("log complete against the chain", not known.gaps_open, proved, found)


def _undecoded(stands: status.Status) -> Check:
    events = sum(one.events for one in stands.undecoded)
    return Check("events decoded", not events, stands.rows["events"], f"{events} undecoded")


def _recorded(stands: status.Status) -> list[Check]:
    """What earlier checks left: values that differ from the contracts', sums that broke."""
    checks = []
    if stands.reconciled is not None:
        found = f"{stands.standing_differences} stand, last check at block " + str(
            stands.reconciled.block_number
        )
        good = not stands.standing_differences
        checks.append(
            Check("recorded differences from contracts", good, stands.reconciled.compared, found)
        )
    broken = len(stands.invariant_breaks)
    checks.append(Check("recorded breaks of sums", not broken, broken, f"{broken} stand"))
    return checks


async def _indexes(connection: asyncpg.Connection) -> Check:
    report = await indexes.check(connection)
    bad = report.missing + report.invalid
    found = f"missing or invalid: {', '.join(bad)}" if bad else "all present"
    return Check("indexes", report.is_good, report.expected, found)
