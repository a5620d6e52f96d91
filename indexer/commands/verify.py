"""`verify`: is the log complete? Proved against the chain, and repaired where it is not."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import sys
from pathlib import Path
from typing import Literal

import asyncpg
import click
import msgspec
import structlog

from indexer import config, errors, values
from indexer.app import databases, networks, nodes, parts
from indexer.audit import log_verification, proof_batches
from indexer.cairo import felt252
from indexer.chain import client
from indexer.commands import arguments, event_loop, output, progress
from indexer.daemon import observation_check
from indexer.log import cursor, gaps, verified, watch_list
from indexer.query import completeness
from indexer.store import database, locks, migrate

log = structlog.get_logger(__name__)

ATTEMPTS = 3
"""How often a verification starts again where the chain is reorganised or the node fails."""

Repair = Literal["none_needed", "done", "left_to_daemon", "not_asked"]


class Differing(msgspec.Struct, frozen=True):
    """A view that answers otherwise than the log keeps."""

    block_number: int
    contract: str
    view: str


class Observations(msgspec.Struct, frozen=True):
    """What asking views again at their blocks showed.

    `unanswered`: the node could not tell, because it keeps no state of that block any more.
    """

    asked: int
    differing: list[Differing]
    unanswered: int


class VerificationReport(msgspec.Struct, frozen=True):
    """What was asked of which blocks, and what came out.

    `proved` counts the blocks checked now by method; `completeness` is the picture afterwards.
    `observations` says how many views were asked again, and which answer otherwise.
    """

    from_block: int
    to_block: int
    checked_blocks: int
    checked_events: int
    proved: dict[str, int]
    gaps: list[gaps.Gap]
    repair: Repair
    completeness: completeness.Completeness
    observations: Observations

    @property
    def is_good(self) -> bool:
        """Whether nothing differed in this run and no earlier gap is open."""
        found = self.completeness.gaps_open or self.observations.differing
        return not self.gaps and not found


class Tally(msgspec.Struct):
    """The sums of all checks of one run."""

    blocks: int = 0
    events: int = 0
    proved: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)
    gaps: list[gaps.Gap] = []
    views: observation_check.Checked = msgspec.field(default_factory=observation_check.Checked)

    @property
    def observations(self) -> Observations:
        """The result of calling views again, for the report."""
        differing = [
            Differing(view_call.block_number, felt252.padded(view_call.contract), view_call.view)
            for view_call in self.views.differing
        ]
        return Observations(self.views.asked, differing, self.views.unanswered)

    def add(self, outcome: log_verification.VerifiedBatch) -> None:
        """Take up a batch."""
        wrong = {gap.block_number for gap in outcome.gaps}
        self.blocks += len(outcome.proofs) + len(wrong)
        self.events += outcome.events
        self.proved.update(outcome.proofs.values())
        self.gaps += outcome.gaps


@click.command(epilog="Example: vesu-indexer verify --from-block 2000000 --json")
@arguments.options
@arguments.block_range
@click.option(
    "--repair/--no-repair",
    default=True,
    show_default=True,
    help="Read again from before what is missing.",
)
def command(
    config_file: Path | None,
    as_json: bool,
    from_block: int | None,
    to_block: int | None,
    repair: bool,
) -> None:
    """Prove that the log holds every event: against receipts, event counts and commitments.

    Without a range: every committed block that was not proved yet, and those that no longer
    hold what was proved. With one: all of its blocks, again. Answers of contract views that the
    log keeps are asked again in the same way. The daemon may go on meanwhile.

    What differs is listed and repaired: the tables go back to the block before, and the chain
    is read again from there. While a daemon runs, it does that. Exit code 0: proved; 1: a gap
    was found, repaired or not.
    """
    settings = arguments.settings(config_file)
    settings.require_node()
    with databases.database_url(settings) as url:
        migrate.require(url)
        verification = event_loop.run(_verify(settings, url, from_block, to_block, repair, as_json))
    if as_json:
        output.print_json(verification)
    else:
        _print(verification)
    sys.exit(0 if verification.is_good else 1)


async def _verify(
    settings: config.Settings,
    url: str,
    from_block: int | None,
    to_block: int | None,
    repair: bool,
    quiet: bool,
) -> VerificationReport:
    async with contextlib.AsyncExitStack() as stack:
        connection = await stack.enter_async_context(database.session(url))
        committed = await log_verification.committed(connection)
        await watch_list.require_same(connection, networks.watched_contracts(settings))
        first, last = _range(committed, from_block, to_block)
        node = await nodes.node(settings)
        stack.push_async_callback(node.close)
        is_asked = from_block is not None or to_block is not None
        tally = await _prove(
            settings, node, connection, verified.Span(first, last), is_asked, quiet
        )
        outcome = await _repaired(settings, url, node, connection, tally, repair)
        return VerificationReport(
            first,
            last,
            tally.blocks,
            tally.events,
            dict(tally.proved),
            tally.gaps,
            outcome,
            await completeness.read(connection),
            tally.observations,
        )


def _range(
    committed: cursor.Cursor, from_block: int | None, to_block: int | None
) -> tuple[int, int]:
    """The asked blocks; ConfigError where the log does not hold them all."""
    first = committed.start_block if from_block is None else from_block
    last = committed.block_number if to_block is None else to_block
    if not committed.start_block <= first <= last <= committed.block_number:
        raise errors.ConfigError(
            f"--from-block {first} --to-block {last}: the log holds the blocks "
            f"{committed.start_block} to {committed.block_number}; choose a range inside"
        )
    return first, last


async def _prove(
    settings: config.Settings,
    node: client.StarknetNode,
    connection: asyncpg.Connection,
    asked: verified.Span,
    is_asked: bool,
    quiet: bool,
) -> Tally:
    """Prove what was asked for, or what lacks a proof; again if the chain moves meanwhile."""
    for attempt in range(1, ATTEMPTS + 1):
        tally = Tally()
        committed = await log_verification.committed(connection)
        first, last = asked.first_block, min(asked.last_block, committed.block_number)
        if is_asked:
            spans = [verified.Span(first, last)] if first <= last else []
        else:
            spans = await _unproved(connection, first, last)
        total = sum(span.last_block - span.first_block + 1 for span in spans)
        line = progress.Blocks("verifying", 1, quiet=quiet or not total)
        addresses = networks.known_addresses(settings)
        sweep = log_verification.sweep(
            node,
            connection,
            addresses,
            committed,
            proof_batches.of_spans(spans),
        )
        try:
            async with contextlib.aclosing(sweep) as outcomes:
                async for outcome in outcomes:
                    tally.add(outcome)
                    line.update(tally.blocks, total, tally.events)
            check = observation_check.Check(node, connection, committed, min(addresses))
            tally.views = await check.run(first, last, with_confirmed=is_asked)
            tally.views.add(await observation_check.ask_unanswered(node, connection, first, last))
            await log_verification.note_gaps(
                connection, committed, tally.gaps, tally.views.differing
            )
        except errors.LogMovedError:
            if attempt == ATTEMPTS:
                raise
            log.warning("verification_begun_again", reason="the chain was reorganised")
        else:
            return tally
    raise AssertionError("the last attempt returns or raises")


async def _unproved(connection: asyncpg.Connection, first: int, last: int) -> list[verified.Span]:
    """Blocks without a proof, and blocks that are no longer what was proved; ascending."""
    lacking = await verified.lacking(connection, first, last)
    broken = [
        span
        for span in await log_verification.broken_seals(connection, first, last)
        if not any(other.first_block <= span.first_block <= other.last_block for other in lacking)
    ]
    return sorted([*lacking, *broken], key=lambda span: span.first_block)


async def _repaired(
    settings: config.Settings,
    url: str,
    node: client.StarknetNode,
    connection: asyncpg.Connection,
    tally: Tally,
    repair: bool,
) -> Repair:
    """Repair what is open, unless a daemon runs, which does it by itself."""
    if not (await gaps.still_open(connection)).blocks:
        return "done" if tally.gaps or tally.views.differing else "none_needed"
    if not repair:
        return "not_asked"
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(locks.WriterLock(url))
        except errors.WriterConflictError as error:
            log.warning("repair_left_to_daemon", reason=str(error))
            return "left_to_daemon"
        await _read_again(settings, node, connection)
    return "done"


async def _read_again(
    settings: config.Settings, node: client.StarknetNode, connection: asyncpg.Connection
) -> None:
    """Roll back to before the lowest gap, and index up to where the tables stood."""
    until = (await log_verification.committed(connection)).block_number
    worker = parts.ingestor(settings, node, connection)
    chain_id, start_block = hex(networks.chain_id(settings)), networks.start_block(settings)
    await worker.open(chain_id, start_block)
    await worker.repair()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            while worker.position.block_number < until:
                if not await worker.step(until):
                    raise errors.InconsistentAnswerError(
                        f"the node's head fell below block {until}, which was committed"
                    )
        except errors.RetryableNodeError as error:
            if attempt == ATTEMPTS:
                raise
            log.warning("repair_tried_again", reason=str(error))
            await asyncio.sleep(settings.node.poll_interval_seconds)
            # The reader may have taken up contracts of a range that was never committed.
            await worker.open(chain_id, start_block)
        else:
            return


def _print(verification: VerificationReport) -> None:
    proved = ", ".join(
        f"{count:,} by {method}" for method, count in sorted(verification.proved.items())
    )
    if not verification.checked_blocks:
        proved = "nothing was left to prove"
    click.echo(
        f"Checked {values.counted(verification.checked_blocks, 'block')} of "
        f"{verification.from_block:,} to {verification.to_block:,} with "
        f"{values.counted(verification.checked_events, 'event')} "
        f"of ours: {proved or 'none is proved'}."
    )
    for gap in verification.gaps:
        click.echo(
            f"GAP  {gap.difference} in block {gap.block_number:,}: transaction "
            f"{gap.transaction_hash}, event {gap.event_index}, of {gap.from_address}"
        )
    for answer in verification.observations.differing:
        click.echo(
            f"GAP  another answer at block {answer.block_number:,}: "
            f"{answer.view} of {answer.contract}"
        )
    observations = verification.observations
    if observations.asked or observations.unanswered:
        click.echo(
            f"Asked {values.counted(observations.asked, 'view')} again at their blocks"
            + (
                f"; {observations.unanswered:,} could not be: "
                "the node keeps no state of those blocks."
                if observations.unanswered
                else "."
            )
        )
    sentences = {
        "none_needed": "Complete.",
        "done": "Repaired: read again from the block before; what was there is in orphaned_events.",
        "left_to_daemon": "Not repaired here: a daemon writes this database. It repairs the gap at "
        "its next look; `vesu-indexer status` tells.",
        "not_asked": "Not repaired: leave out --no-repair.",
    }
    click.echo(sentences[verification.repair])
    click.echo(f"Verified {verification.completeness.sentence()}")
