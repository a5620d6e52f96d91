"""Is what the node told of a block's events everything? Proved from its receipts and header.

Three checks: the receipts hold as many events as the header counts; their event commitment is
the header's; and what getEvents told of our addresses is exactly what the receipts hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from indexer import errors
from indexer.chain import commitment, types


def prove(
    block: types.BlockWithReceipts, told: Sequence[types.EmittedEvent], addresses: Collection[str]
) -> bool:
    """All three checks of a block read with its receipts' events.

    `told` are ours of it, in chain order. True: proved complete. False: nothing contradicts,
    but the header carries no count or no commitment to prove it by (RPC below 0.10, old
    blocks). InconsistentAnswerError otherwise.
    """
    is_counted = match(block, told, addresses)
    header = block.header
    if header.event_commitment is None:
        return False
    if hex(commitment.of_block(block.receipts)) != header.event_commitment:
        raise errors.InconsistentAnswerError(
            f"the receipts of block {header.number} do not have the event commitment of its header"
        )
    return is_counted


def match(
    block: types.BlockWithReceipts, told: Sequence[types.EmittedEvent], addresses: Collection[str]
) -> bool:
    """The first and the last check alone, which cost no hashing; whether a count was there."""
    header = block.header
    held = types.events_of(block, addresses)
    if held != list(told):
        raise errors.InconsistentAnswerError(
            f"getEvents told {len(told)} events of ours in block {header.number}, its receipts "
            f"hold {len(held)}: {_first_difference(held, told)}"
        )
    count = sum(len(receipt.events) for receipt in block.receipts)
    if header.event_count is not None and header.event_count != count:
        raise errors.InconsistentAnswerError(
            f"block {header.number} counts {header.event_count} events, its receipts hold {count}"
        )
    return header.event_count is not None


def _first_difference(
    held: Sequence[types.EmittedEvent], told: Sequence[types.EmittedEvent]
) -> str:
    for mine, theirs in zip(held, told, strict=False):
        if mine != theirs:
            return f"first at transaction {mine.transaction_index}, event {mine.event_index}"
    longer = held if len(held) > len(told) else told
    event = longer[min(len(held), len(told))]
    return f"first at transaction {event.transaction_index}, event {event.event_index}"
