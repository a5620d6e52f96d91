"""Finds what configured contracts emitted and the log lacks, because nobody read it then.

A contract may be configured later than the others, a release may know one more, and the first
block to read may lie above a contract's first event. Of each such contract the chain's first
event is looked for; where the log does not hold it, the log is taken back to before it.

    contracts that the database does not remember, or whose beginning was not looked for
      │
      ├─ none ───────────────────────────────────────────────► nothing to do
      └─ the first event of each, on chain
           ├─ all in the log ────────────────────────────────► they are remembered
           └─ one is not ─► back to before it; they are remembered; the range reader goes on
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence

import asyncpg
import msgspec
import structlog

from indexer import errors
from indexer.chain import client, ranges, types
from indexer.log import cursor, watch_list
from indexer.projections import storage
from indexer.vesu import kinds

log = structlog.get_logger(__name__)

READING = ranges.ReaderSettings(near_blocks=0)
"""By events alone: what is found is read again with the proofs that are configured."""


class Missing(msgspec.Struct, frozen=True):
    """What the log lacks of `contracts`, all that are configured.

    `first_block`: the first block to read again; None: none. `start_block`: where the log has to
    begin.
    """

    contracts: tuple[watch_list.Contract, ...]
    first_block: int | None
    start_block: int


async def missing(
    node: client.StarknetNode,
    connection: asyncpg.Connection,
    committed: cursor.Cursor,
    configured: Sequence[watch_list.Contract],
) -> Missing | None:
    """What the log lacks of the configured contracts; None: nothing, and that is remembered.

    Raises NodeError where the node cannot tell.
    """
    compared = await watch_list.compare(connection, configured)
    contracts = (*compared.added, *compared.unread)
    if not contracts:
        return None
    start = committed.start_block
    if start and await _may_have_begun(node, contracts, start - 1):
        start = 0
    unread = await _first_unread(
        node, connection, {contract.address for contract in contracts}, start, committed
    )
    # Contracts of an earlier version's database are none that were added, unless they show it.
    added = compared.added if compared.is_remembered or unread is not None else ()
    blocks = [] if unread is None else [unread]
    if committed.block_hash is not None:
        blocks += await _blocks_that_ask(connection, added, configured)
    if blocks:
        log.warning(
            "history_missing",
            contracts=", ".join(map(str, contracts)),
            from_block=min(blocks),
            committed_block=committed.block_number,
        )
    return Missing(
        tuple(configured),
        min(blocks, default=None),
        min([committed.start_block, *blocks]),
    )


async def _may_have_begun(
    node: client.StarknetNode, contracts: Sequence[watch_list.Contract], block: int
) -> bool:
    """Whether a contract stood at its address at a block; True also where no node can tell."""
    try:
        return any(
            [await node.class_hash(contract.address, block) is not None for contract in contracts]
        )
    except errors.NodeError as error:
        log.info("deployment_unknown", block=block, reason=str(error))
        return True


async def _first_unread(
    node: client.StarknetNode,
    connection: asyncpg.Connection,
    addresses: Collection[int],
    start: int,
    committed: cursor.Cursor,
) -> int | None:
    """The block of the lowest first event of these contracts that the log does not hold."""
    waiting = set(addresses)
    if start > committed.block_number:
        return None

    async def discover(_: Sequence[types.EmittedEvent]) -> None:
        """Discover nothing: a contract that these events name is younger."""

    reading = ranges.RangeReader(node, READING).ranges(
        start, committed.block_number, lambda: frozenset(waiting), discover
    )
    async with contextlib.aclosing(reading) as parts:
        async for part in parts:
            for event in part.events:
                address = int(event.from_address, 16)
                if address not in waiting:
                    continue
                if not await watch_list.holds(connection, event):
                    return event.block_number
                waiting.discard(address)
            if not waiting:
                return None
    return None


async def _blocks_that_ask(
    connection: asyncpg.Connection,
    added: Sequence[watch_list.Contract],
    configured: Sequence[watch_list.Contract],
) -> list[int]:
    """First blocks whose fold knows these contracts before they say anything.

    A singleton's events are folded by what its pools' extension is, and a position of a contract
    that is ours is the protocol's own.
    """
    singletons = {kinds.EXTENSIONS.get(kinds.Kind(contract.kind)) for contract in added}
    found = [
        await watch_list.first_event(connection, contract.address)
        for contract in configured
        if contract.kind in singletons
    ]
    found += [await storage.first_position(connection, contract.address) for contract in added]
    return [block for block in found if block is not None]
