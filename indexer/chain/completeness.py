"""Is what the node told of a block's events everything? Proved from its receipts and header.

Three checks: the receipts hold as many events as the header counts; their event commitment is
the header's; and what getEvents told of our addresses is exactly what the receipts hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from indexer import errors
from indexer.chain import commitment, types


def prove(
    block: types.BlockWithReceipts,
    told: Sequence[types.EmittedEvent],
    addresses: Collection[str],
    hashed: bool = True,
) -> types.Proof:
    """All three checks of a block read with its receipts' events; by what it was proved.

    `told` are ours of it, in chain order. Without `hashed` the commitment, whose hashing takes
    a tenth of a second for a busy block, is left out. InconsistentAnswerError where the node
    contradicts itself.
    """
    held = types.events_of(block, addresses)
    if held != list(told):
        raise errors.InconsistentAnswerError(
            f"getEvents told {len(told)} events of ours in block {block.header.number}, its "
            f"receipts hold {len(held)}: {_first_difference(held, told)}",
            kind="incomplete",
        )
    return prove_receipts(block, hashed)


def prove_receipts(block: types.BlockWithReceipts, hashed: bool = True) -> types.Proof:
    """The first two checks: are the receipts everything that the header speaks of?"""
    header = block.header
    count = sum(len(receipt.events) for receipt in block.receipts)
    if header.event_count is not None and header.event_count != count:
        raise errors.InconsistentAnswerError(
            f"block {header.number} counts {header.event_count} events, its receipts hold {count}",
            kind="incomplete",
        )
    if hashed and header.event_commitment is not None:
        if hex(commitment.of_block(block.receipts)) != header.event_commitment:
            raise errors.InconsistentAnswerError(
                f"the receipts of block {header.number} do not have the event commitment of its "
                "header",
                kind="incomplete",
            )
        return "commitment"
    return "receipts" if header.event_count is None else "count"


def is_sampled(number: int, rate: float, seed: int) -> bool:
    """Whether a block belongs to the sample of this rate: by its number and the seed alone."""
    drawn = hashlib.sha256(f"{seed} {number}".encode()).digest()[:8]
    return int.from_bytes(drawn, "big") < rate * 2**64


def _first_difference(
    held: Sequence[types.EmittedEvent], told: Sequence[types.EmittedEvent]
) -> str:
    for mine, theirs in zip(held, told, strict=False):
        if mine != theirs:
            return f"first at transaction {mine.transaction_index}, event {mine.event_index}"
    longer = held if len(held) > len(told) else told
    event = longer[min(len(held), len(told))]
    return f"first at transaction {event.transaction_index}, event {event.event_index}"
