"""The audit: everything that can be proved, in one report.

A section is a function from an `Audit` to findings: checks with the number of comparisons, and
what could not be covered with the reason. A new one is added to `SECTIONS`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec

from indexer import errors, values
from indexer.audit import (
    digest,
    indexes,
    invariants,
    log_verification,
    reconcile,
    refold,
    stored_state,
)
from indexer.chain import client
from indexer.log import cursor
from indexer.projections import replay, stored_valuations, tables
from indexer.query import status
from indexer.store import sqlfile
from indexer.vesu import views

_SQL = sqlfile.load(__package__, "log_verification")


class Check(msgspec.Struct, frozen=True):
    """One thing that was checked: how many comparisons, what was found."""

    name: str
    is_good: bool
    compared: int
    found: str


class NotCovered(msgspec.Struct, frozen=True):
    """Something that this report does not prove, and why."""

    what: str
    why: str


class AuditReport(msgspec.Struct, frozen=True):
    """The whole audit, true for one block."""

    block_number: int
    block_hash: str
    digest: str
    is_good: bool
    compared: int
    seconds: float
    checks: list[Check]
    not_covered: list[NotCovered]


class ViewCheck(msgspec.Struct):
    """The node to ask for the contracts' own views, or why there is none.

    So many rows of each table as `sample` says are checked, chosen by `seed`; None: every row.
    """

    node: client.StarknetNode | None
    why_not: str
    extensions: views.Extensions
    sample: int | None
    seed: int


class Audit(msgspec.Struct):
    """What sections work with: a connection, where the tables stand, how to refold and ask."""

    connection: asyncpg.Connection
    status: status.Status
    now: digest.Digest
    refolding: refold.Refolding
    view_check: ViewCheck

    @property
    def events(self) -> int:
        """How many events the log holds."""
        events = self.status.rows["events"]
        assert events is not None, "an audit counts the rows itself"
        return events


Section = Callable[[Audit], Awaitable[Sequence[Check | NotCovered]]]


async def make(
    connection: asyncpg.Connection, refolding: refold.Refolding, view_check: ViewCheck
) -> AuditReport:
    """Run every section."""
    began = time.monotonic()
    state = await status.read(connection)
    if state.committed_hash is None:
        raise errors.NothingCommittedError("there is nothing to audit: no block is committed yet")
    audit = Audit(connection, state, await digest.at_block(connection), refolding, view_check)
    found = [finding for section in SECTIONS for finding in await section(audit)]
    checks = [finding for finding in found if isinstance(finding, Check)]
    return AuditReport(
        audit.now.block_number,
        state.committed_hash,
        audit.now.all,
        all(check.is_good for check in checks),
        sum(check.compared for check in checks),
        round(time.monotonic() - began, 1),
        checks,
        [finding for finding in found if isinstance(finding, NotCovered)],
    )


# --- the sections -----------------------------------------------------------------------------


async def _histories(audit: Audit) -> list[Check | NotCovered]:
    """Current rows are the last versions of their histories."""
    now = audit.now
    from_history = await digest.at_block(audit.connection, now.block_number)
    differing = [table for table in now.tables if now.tables[table] != from_history.tables[table]]
    rows = sum(now.tables[table.name].rows for table in tables.CURRENT)
    found = (
        f"current rows differ from their history in {', '.join(differing)}"
        if differing
        else "equal"
    )
    return [Check("current rows equal their history", not differing, rows, found)]


async def _fold(audit: Audit) -> list[Check | NotCovered]:
    """This version's fold made the tables."""
    committed = await cursor.read(audit.connection)
    reason = None if committed is None else replay.outdated(committed)
    found = reason or f"fold {audit.status.fold_version}"
    return [Check("tables of this version's fold", reason is None, 1, found)]


async def _refold(audit: Audit) -> list[Check | NotCovered]:
    """The log, folded again, gives the rows that the tables hold."""
    subject, refolding = "refolded log equals the tables", audit.refolding
    if refolding.scope == "off":
        return [NotCovered(subject, "not asked for (--refold off)")]
    if reason := await refold.obstacle(audit.connection):
        return [NotCovered(subject, reason)]
    try:
        outcome = await refold.refold(audit.connection, refolding)
    except errors.WriterConflictError as error:
        return [NotCovered(subject, str(error))]
    except (errors.ProjectionError, errors.MissingObservationError) as error:
        return [Check(subject, False, 0, f"the log cannot be folded: {error}")]  # noqa: FBT003
    check = Check(subject, not outcome.differing, outcome.rows, _refolded(outcome, refolding.seed))
    if outcome.is_whole:
        return [check]
    others = audit.events - outcome.events
    return [
        check,
        NotCovered(
            f"refolding of the other {values.counted(others, 'event')}",
            "a sample was refolded; --refold all takes them all",
        ),
    ]


def _refolded(outcome: refold.Refolded, seed: int) -> str:
    blocks = ", ".join(f"{first} to {last}" for first, last in outcome.blocks)
    sampled = "" if outcome.is_whole else f", seed {seed}"
    sentence = f"{values.counted(outcome.events, 'event')} of blocks {blocks}{sampled}: "
    if not outcome.differing:
        return sentence + "equal"
    first = outcome.differing[0]
    tables = ", ".join(name for name, table in first.tables.items() if not table.is_equal)
    position = ""
    if (event := first.first_event) is not None:
        position = (
            f" from event {event.block_number}/{event.transaction_index}/{event.event_index} on"
        )
    differ = values.counted(first.rows_differing, "row differs", "rows differ")
    return f"{sentence}{differ} in {tables}{position}"


async def _sums(audit: Audit) -> list[Check | NotCovered]:
    """Sums that must agree between the tables."""
    return [_invariant(invariant) for invariant in await invariants.check(audit.connection)]


def _invariant(invariant: invariants.Invariant) -> Check:
    found = "all agree"
    if invariant.broken:
        first = invariant.examples[0]
        found = f"{invariant.broken} broken; {first.what}: {first.found}, expected {first.expected}"
    return Check(
        f"sum of {invariant.name.replace('_', ' ')}",
        not invariant.broken,
        invariant.compared,
        found,
    )


async def _valuations(audit: Audit) -> list[Check | NotCovered]:
    """Every position is worth what its row says, at the block that the row names."""
    connection = audit.connection
    live = await connection.fetchval("SELECT quote_ident(current_schema())")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        checked = await stored_valuations.check(connection, live)
    differ = values.counted(checked.wrong_rows, "row differs", "rows differ")
    sentence = f"{differ}, valued anew at {values.counted(checked.blocks, 'block')}"
    if checked.wrong:
        first = checked.wrong[0]
        column, (stored, computed) = next(iter(first.columns.items()))
        sentence += f"; {column} of {first.id}: {stored}, not {computed}"
    return [Check("stored valuations", not checked.wrong_rows, checked.rows, sentence)]


async def _seals(audit: Audit) -> list[Check | NotCovered]:
    """The events of each block are those that were committed."""
    connection = audit.connection
    broken = await log_verification.broken_seals(connection, 0, audit.status.committed_block)
    sealed = await connection.fetchval(_SQL["sealed"])
    found = (
        f"blocks {', '.join(str(span.first_block) for span in broken[:5])}" if broken else "none"
    )
    return [Check("events as they were committed", not broken, sealed, f"changed since: {found}")]


async def _completeness(audit: Audit) -> list[Check | NotCovered]:
    """The log holds what the chain's own counts and commitments say."""
    known = audit.status.completeness
    proved = sum(known.blocks.values()) - known.unproved_blocks
    gaps = values.counted(known.gaps_open, "open gap")
    found = f"{gaps}, {known.gaps_repaired:,} repaired; {known.sentence()}"
    # Not proved is no contradiction; what was found missing is.
    check = Check("log complete against the chain", not known.gaps_open, proved, found)
    if not known.unproved_blocks:
        return [check]
    return [
        check,
        NotCovered(
            f"completeness of {values.counted(known.unproved_blocks, 'block')}",
            "not proved one by one while reading; `vesu-indexer verify` does, from a node",
        ),
    ]


async def _decoded(audit: Audit) -> list[Check | NotCovered]:
    """Every event of a known contract has a name."""
    events = sum(event.events for event in audit.status.undecoded)
    found = f"{events} undecoded"
    return [Check("events decoded", not events, audit.events, found)]


async def _recorded(audit: Audit) -> list[Check | NotCovered]:
    """What earlier checks left: values that differ from the contracts', sums that broke."""
    state = audit.status
    broken = len(state.invariant_breaks)
    found: list[Check | NotCovered] = [
        Check("recorded breaks of sums", not broken, broken, f"{broken} stand")
    ]
    if state.reconciled is None:
        return found
    count, block = state.standing_differences, state.reconciled.block_number
    sentence = f"{count} stand, last check at block {block}"
    good = not count
    return [
        *found,
        Check("recorded differences from contracts", good, state.reconciled.compared, sentence),
    ]


async def _indexes(audit: Audit) -> list[Check | NotCovered]:
    """Every expected index is there and valid."""
    report = await indexes.check(audit.connection)
    bad = report.missing + report.invalid
    found = f"missing or invalid: {', '.join(bad)}" if bad else "all present"
    return [Check("indexes", report.is_good, report.expected, found)]


async def _views(audit: Audit) -> list[Check | NotCovered]:
    """The rows are what the contracts themselves say at the block."""
    subject, view_check = "rows equal the contracts' views", audit.view_check
    between = NotCovered("prices between events and samples", "no event tells them")
    if view_check.node is None:
        return [NotCovered(subject, view_check.why_not), between]
    scope = stored_state.Scope(sample=view_check.sample, seed=str(view_check.seed))
    try:
        reconciliation, _ = await reconcile.check(
            audit.connection, view_check.node, audit.now.block_number, scope, view_check.extensions
        )
    except errors.NodeError as error:
        return [NotCovered(subject, str(error)), between]
    different = values.counted(len(reconciliation.differences), "value differs", "values differ")
    rows = values.counted(reconciliation.rows, "row")
    sentence = f"{rows} in {values.counted(reconciliation.asked, 'view')}: {different}"
    if reconciliation.differences:
        first = reconciliation.differences[0]
        sentence += (
            f"; {first.column} of {first.table} {first.row_id}: {first.ours}, not {first.theirs}"
        )
    return [
        Check(subject, reconciliation.is_equal, reconciliation.compared, sentence),
        between,
        *_unasked(reconciliation),
    ]


def _unasked(reconciliation: reconcile.Reconciliation) -> list[NotCovered]:
    """What a check against the contracts did not cover."""
    left = []
    if reconciliation.refused:
        refused = values.counted(reconciliation.refused, "view")
        left.append(NotCovered(refused, "the contracts refused to answer"))
    if reconciliation.sample is not None:
        rows = values.counted(reconciliation.sample, "row")
        sampled = f"{rows} of each were asked for, seed {reconciliation.seed}"
        left.append(NotCovered("the contracts' views of other rows", f"{sampled}; --views all"))
    return left


SECTIONS: tuple[Section, ...] = (
    _histories,
    _fold,
    _refold,
    _sums,
    _valuations,
    _seals,
    _completeness,
    _decoded,
    _recorded,
    _indexes,
    _views,
)
