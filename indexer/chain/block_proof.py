"""Proof that the events of a block are complete, from its receipts and header.

Three checks: the receipts hold as many events as the header counts; their event commitment is
the header's; and getEvents returned exactly those events of the watched addresses that the
receipts hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from indexer import errors
from indexer.chain import commitment, types


def prove(
    block: types.BlockWithReceipts,
    returned: Sequence[types.EmittedEvent],
    addresses: Collection[str],
    threads: int = 1,
) -> types.Proof:
    """Run all three checks on a block read with its receipts' events; returns the proof reached.

    `returned`: what getEvents returned for `addresses` in this block, in chain order. `threads`
    hash the event commitment, which takes some tenths of a second for a busy block; 0: it is not
    computed. InconsistentAnswerError where the node contradicts itself.
    """
    in_receipts = types.events_of(block, addresses)
    if in_receipts != list(returned):
        raise errors.InconsistentAnswerError(
            f"getEvents returned {len(returned)} watched events in block {block.header.number}, "
            f"its receipts hold {len(in_receipts)}: {_first_difference(in_receipts, returned)}",
            kind="incomplete",
        )
    return prove_receipts(block, threads)


def prove_receipts(block: types.BlockWithReceipts, threads: int = 1) -> types.Proof:
    """Run the first two checks: the receipts hold every event that the header counts."""
    header = block.header
    count = sum(len(receipt.events) for receipt in block.receipts)
    if header.event_count is not None and header.event_count != count:
        raise errors.InconsistentAnswerError(
            f"block {header.number} counts {header.event_count} events, its receipts hold {count}",
            kind="incomplete",
        )
    if threads and header.event_commitment is not None:
        if hex(commitment.of_block(block.receipts, threads)) != header.event_commitment:
            raise errors.InconsistentAnswerError(
                f"the receipts of block {header.number} do not have the event commitment of its "
                "header",
                kind="incomplete",
            )
        return "commitment"
    return "receipts" if header.event_count is None else "count"


def is_sampled(number: int, rate: float, seed: int) -> bool:
    """Whether a block belongs to the sample of this rate, decided by number and seed alone."""
    drawn = hashlib.sha256(f"{seed} {number}".encode()).digest()[:8]
    return int.from_bytes(drawn, "big") < rate * 2**64


def _first_difference(
    in_receipts: Sequence[types.EmittedEvent], returned: Sequence[types.EmittedEvent]
) -> str:
    for event, other in zip(in_receipts, returned, strict=False):
        if event != other:
            return f"first at transaction {event.transaction_index}, event {event.event_index}"
    longer = max(in_receipts, returned, key=len)
    event = longer[min(len(in_receipts), len(returned))]
    return f"first at transaction {event.transaction_index}, event {event.event_index}"
