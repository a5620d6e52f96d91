"""Proves that the log is complete: compares committed blocks with the chain's receipts.

A block's receipts count once they were proved against its header and once the node was seen,
before and after, to hold the committed block: then they are of the chain that the log follows.
The log must hold exactly those of their events that known contracts emitted.
"""

from __future__ import annotations

import asyncio
import collections
import datetime
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from typing import NamedTuple

import asyncpg
import msgspec
import structlog

from indexer import errors
from indexer.audit import proof_batches
from indexer.cairo import view_call
from indexer.chain import ancestry, block_proof, client, failures, types
from indexer.chain import source as sources
from indexer.log import cursor, facts, gaps, seals, verified
from indexer.projections import fees
from indexer.store import locks, sqlfile

_SQL = sqlfile.load(__package__, "log_verification")

log = structlog.get_logger(__name__)

ATTEMPTS = 4
PAUSE_SECONDS = 0.5

BATCHES_AHEAD = 4
"""How many batches of blocks are read at once."""

LOCAL_EVENTS = 5_000
"""About how many stored events are compared with their seals at a time."""

_NEVER_STORED = ""
"""The seal of a block that no row is of: of no events."""


class Proved(msgspec.Struct, frozen=True):
    """A block read with its receipts, and what the receipts were checked against."""

    block: types.BlockWithReceipts
    proof: types.Proof


class _Ahead(NamedTuple):
    """A batch that is being read, and how many stored events it will be compared with."""

    events: int
    task: asyncio.Task[list[Proved]]


class VerifiedBatch(msgspec.Struct, frozen=True):
    """What a batch of blocks showed: by what each complete one is proved; the rest's gaps."""

    proofs: dict[int, types.Proof]
    gaps: list[gaps.Gap]
    events: int


async def committed(connection: asyncpg.Connection) -> cursor.Cursor:
    """The committed block that everything is compared with.

    NothingCommittedError: there is none.
    """
    found = await cursor.read(connection)
    if found is None or found.block_hash is None:
        raise errors.NothingCommittedError("there is nothing to verify: no block is committed yet")
    return found


async def sweep(
    node: client.StarknetNode,
    connection: asyncpg.Connection,
    addresses: Collection[int],
    committed: cursor.Cursor,
    batches: Iterator[Sequence[int]],
    *,
    note_ranges: bool = True,
) -> AsyncGenerator[VerifiedBatch, None]:
    """Prove batches of blocks in their order, and store their proofs, headers and receipts.

    A batch holds every block with events between its first and its last. Gaps are for the caller
    to store at the end (`note_gaps`): the writer repairs stored gaps, and rolls back blocks that
    are still to be proved. `addresses` are the contracts watched from the start.
    `note_ranges` False leaves the verified ranges to the caller. Raises LogMovedError where the
    log was rolled back since `committed` was read, RetryableNodeError where the node gives no
    proof, and FatalNodeError where it refuses and there is no other.
    """
    ahead: collections.deque[_Ahead] = collections.deque()
    limited = proof_batches.limited(connection, batches)
    try:
        while True:
            while (
                len(ahead) < BATCHES_AHEAD
                and sum(batch.events for batch in ahead) < proof_batches.MOST_EVENTS
                and (batch := await anext(limited, None))
            ):
                task = asyncio.create_task(_read(node, batch.numbers, committed))
                ahead.append(_Ahead(batch.events, task))
            if not ahead:
                return
            proved_blocks = await ahead[0].task
            ahead.popleft()
            yield await _settle(connection, addresses, committed, proved_blocks, note_ranges)
    finally:
        tasks = [batch.task for batch in ahead]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- what the chain has -----------------------------------------------------------------


async def _read(
    node: client.StarknetNode, numbers: Sequence[int], committed: cursor.Cursor
) -> list[Proved]:
    """Blocks with proved receipts; asked again, elsewhere if need be, where that fails.

    InconsistentAnswerError at once where the node is on another branch: which one is right is
    not decided here.
    """
    for attempt in range(1, ATTEMPTS + 1):
        node_source = node.source
        try:
            found = await _read_once(node_source, numbers, committed)
        except errors.NodeError as error:
            failed_over = attempt < ATTEMPTS and await node.fail_over(node_source)
            if attempt == ATTEMPTS or (
                isinstance(error, errors.FatalNodeError) and not failed_over
            ):
                raise
            outcome = "again" if node.source is node_source else "other_endpoint"
            failures.record(node_source.name, error, outcome, blocks=len(numbers))
            await asyncio.sleep(PAUSE_SECONDS * attempt)
            continue
        if found is not None:
            return found
        break
    raise errors.InconsistentAnswerError(
        f"{node_source.name} does not hold the committed block {committed.block_number}: "
        "it lags, or the chain was reorganised; once `vesu-indexer run` has followed it, try again"
    )


async def _read_once(
    node_source: sources.Source, numbers: Sequence[int], committed: cursor.Cursor
) -> list[Proved] | None:
    """None where the source does not hold the committed block, before or after."""
    if not await _holds(node_source, committed):
        return None
    blocks = await _blocks(node_source, numbers)
    if not await _holds(node_source, committed):
        return None
    return [
        Proved(block, await asyncio.to_thread(block_proof.prove_receipts, block))
        for block in blocks
    ]


async def _holds(node_source: sources.Source, committed: cursor.Cursor) -> bool:
    if committed.block_hash is None:
        return False
    return await ancestry.has_block(node_source, committed.block_number, committed.block_hash)


async def _blocks(
    node_source: sources.Source, numbers: Sequence[int]
) -> list[types.BlockWithReceipts]:
    try:
        return await node_source.blocks(numbers, with_events=True)
    except errors.RangeTooLargeError:
        if len(numbers) == 1:
            raise
    half = len(numbers) // 2
    return [
        *await _blocks(node_source, numbers[:half]),
        *await _blocks(node_source, numbers[half:]),
    ]


# --- what the log has -------------------------------------------------------------------


async def _settle(
    connection: asyncpg.Connection,
    addresses: Collection[int],
    committed: cursor.Cursor,
    proved_blocks: Sequence[Proved],
    note_ranges: bool,
) -> VerifiedBatch:
    """Compare proved blocks with the log and store the outcome, while the log cannot move."""
    numbers = [proof.block.header.number for proof in proved_blocks]
    async with connection.transaction():
        await hold(connection, committed)
        since = await _watched(connection, addresses)
        stored = facts.by_block(await facts.read_events(connection, numbers[0], numbers[-1]))
        times = await facts.block_times(connection, numbers[0], numbers[-1])
        proofs: dict[int, types.Proof] = {}
        wrong: dict[int, list[gaps.Gap]] = {}
        for proved in proved_blocks:
            number = proved.block.header.number
            if gaps_found := differences(
                proved.block, stored.get(number, []), since, times.get(number)
            ):
                wrong[number] = gaps_found
            else:
                proofs[number] = proved.proof
        await _note(connection, proofs, wrong, stored, note_ranges)
        blocks = [proof.block for proof in proved_blocks if proof.block.header.number in proofs]
        await fees.fill(connection, await facts.complete(connection, blocks, stored))
        if not wrong:
            # The writer waits for the cursor, not for the disk too: a lost proof is made again.
            await connection.execute(_SQL["wait_for_no_disk"])
    _report(wrong)
    events = sum(map(len, stored.values()))
    return VerifiedBatch(
        proofs, [gap for gaps_found in wrong.values() for gap in gaps_found], events
    )


async def hold(connection: asyncpg.Connection, committed: cursor.Cursor) -> None:
    """Keep the log from moving until the transaction ends; refuse one that was taken back."""
    await locks.limit_idle(connection, in_this_transaction=True)
    forks = await connection.fetchval(_SQL["hold_cursor"])
    if forks != committed.fork_counter:
        raise errors.LogMovedError()


async def note_range(
    connection: asyncpg.Connection, committed: cursor.Cursor, proved: types.Verified
) -> None:
    """Store a range as verified; LogMovedError where the log was rolled back since `committed`."""
    async with connection.transaction():
        await hold(connection, committed)
        await verified.add(connection, [proved], datetime.datetime.now(datetime.UTC))


async def note_gaps(
    connection: asyncpg.Connection,
    committed: cursor.Cursor,
    found: Sequence[gaps.Gap],
    views: Sequence[view_call.ViewCall] = (),
) -> None:
    """Note what a sweep from `committed` found, for the writer to repair; LogMovedError as there.

    `views` are those that answer otherwise than the log keeps.
    """
    if found or views:
        async with connection.transaction():
            await hold(connection, committed)
            await gaps.add(connection, found)
            await gaps.add_observations(connection, views)


async def _watched(connection: asyncpg.Connection, addresses: Collection[int]) -> dict[int, int]:
    """The watched contracts, and the first block from which their events belong to the log."""
    rows = await connection.fetch(_SQL["watched"])
    return {int(row["address"], 16): row["since"] for row in rows} | dict.fromkeys(addresses, 0)


def differences(
    block: types.BlockWithReceipts,
    stored: Sequence[types.EmittedEvent],
    since: dict[int, int],
    stored_time: int | None = None,
) -> list[gaps.Gap]:
    """Where the log's events of a block are not those of its receipts, in chain order.

    A contract that is named only later may be in the log already: it was read in the range
    that named it. Then all its events of the block must. A block stored with another time than
    its header's, which its own events told, counts as changed in its first event.
    """
    number = block.header.number
    watched = {hex(address) for address, first in since.items() if first <= number}
    watched |= {event.from_address for event in stored}
    chain = {_key(event): event for event in types.events_of(block, watched)}
    log_ = {_key(event): event for event in stored}
    found = []
    for key in sorted(chain.keys() | log_.keys()):
        chain_event, mine = chain.get(key), log_.get(key)
        if chain_event is None and mine is not None:
            found.append(_gap(mine, "extra"))
        elif chain_event is not None and chain_event != mine:
            found.append(_gap(chain_event, "missing" if mine is None else "changed"))
    if stored and not found and stored_time not in (None, block.header.timestamp):
        found.append(_gap(stored[0], "changed"))
    return found


def _key(event: types.EmittedEvent) -> tuple[int, int]:
    return event.transaction_index, event.event_index


def _gap(event: types.EmittedEvent, difference: gaps.Difference) -> gaps.Gap:
    return gaps.Gap(
        event.block_number,
        event.transaction_index,
        event.event_index,
        facts.padded(event.transaction_hash),
        facts.padded(event.from_address),
        difference,
    )


async def _note(
    connection: asyncpg.Connection,
    proofs: dict[int, types.Proof],
    wrong: dict[int, list[gaps.Gap]],
    stored: dict[int, list[types.EmittedEvent]],
    note_ranges: bool,
) -> None:
    if note_ranges:
        await verified.add(connection, types.runs(proofs), datetime.datetime.now(datetime.UTC))
    by_commitment = [number for number, proof in proofs.items() if proof == "commitment"]
    await connection.execute(
        _SQL["mark"],
        [*by_commitment, *wrong],
        [True] * len(by_commitment) + [False] * len(wrong),
        [seals.seal_of(stored.get(number, [])) for number in by_commitment] + [None] * len(wrong),
    )
    for number in wrong:
        await verified.take_out(connection, number)


def _report(wrong: dict[int, list[gaps.Gap]]) -> None:
    for number, gaps_found in wrong.items():
        first = gaps_found[0]
        log.error(
            "log_incomplete",
            block=number,
            events=len(gaps_found),
            difference=first.difference,
            transaction=first.transaction_hash,
            event_index=first.event_index,
            contract=first.from_address,
        )


# --- without a node ---------------------------------------------------------------------


async def broken_seals(
    connection: asyncpg.Connection, first_block: int, last_block: int
) -> list[verified.Span]:
    """Blocks that no longer hold the events they were committed with, ascending.

    Needs no node: what was proved once stays proved while its seal is whole. A block that holds
    events and was never stored has no seal, and cannot be whole.
    """
    spans: list[verified.Span] = []
    first = first_block
    async for batch in facts.read_batches(connection, first_block, last_block, LOCAL_EVENTS):
        stored = facts.by_block(batch.events)
        rows = await connection.fetch(_SQL["seals"], first, batch.to_block)
        sealed = {row["number"]: row["seal"] for row in rows}
        for number in sorted(sealed.keys() | stored.keys()):
            seal = sealed.get(number, _NEVER_STORED)
            # NULL: committed before seals were kept, or known to be wrong.
            if seal is not None and not seals.is_whole(seal, stored.get(number, [])):
                spans.append(verified.Span(number, number))
        first = batch.to_block + 1
    return spans
