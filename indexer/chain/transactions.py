"""Asks a node for the states of transactions by their hashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from indexer import errors
from indexer.cairo import text as texts
from indexer.chain import rpc, rpc_errors, source, types, wire

IN_A_BLOCK = frozenset({"ACCEPTED_ON_L2", "ACCEPTED_ON_L1"})

LONGEST_REASON = 10_000
"""How many characters of a reason are kept: the reverted contract chooses it."""

Answer = msgspec.Raw | errors.RpcError


async def states(node_source: source.Source, hashes: Sequence[str]) -> list[types.TransactionState]:
    """What the node knows of transactions (canonical hashes), in the order asked.

    RpcError where it refuses the question itself.
    """
    statuses = [
        _status(hash_, answer)
        for hash_, answer in zip(
            hashes, await _ask(node_source, "starknet_getTransactionStatus", hashes), strict=True
        )
    ]
    accepted = [state.transaction_hash for state in statuses if state.status in IN_A_BLOCK]
    receipts = dict(
        zip(
            accepted,
            await _ask(node_source, "starknet_getTransactionReceipt", accepted),
            strict=True,
        )
    )
    transaction_states = [
        _with_receipt(state, receipts[state.transaction_hash])
        if state.transaction_hash in receipts
        else state
        for state in statuses
    ]
    hide = node_source.endpoint.hide
    return [
        msgspec.structs.replace(state, reason=_reason(state.reason, hide))
        for state in transaction_states
    ]


async def _ask(node_source: source.Source, method: str, hashes: Sequence[str]) -> list[Answer]:
    if not hashes:
        return []
    return await node_source.endpoint.call_many(
        [rpc.Request(method, {"transaction_hash": hash_}) for hash_ in hashes]
    )


def _known(answer: Answer) -> msgspec.Raw | None:
    """The answer; None where the node does not know the transaction."""
    if not isinstance(answer, errors.RpcError):
        return answer
    if answer.code == rpc_errors.TRANSACTION_NOT_FOUND:
        return None
    raise answer


def _status(hash_: str, answer: Answer) -> types.TransactionState:
    known = _known(answer)
    if known is None:
        return types.TransactionState(hash_)
    status: wire.TransactionStatus = wire.decoded(wire.status_decoder, known, "transaction status")
    return types.TransactionState(hash_, status.finality_status, reason=status.failure_reason)


def _with_receipt(state: types.TransactionState, answer: Answer) -> types.TransactionState:
    known = _known(answer)
    if known is None:  # A reorganisation in between.
        return types.TransactionState(state.transaction_hash)
    receipt: wire.SingleReceipt = wire.decoded(
        wire.single_receipt_decoder, known, "transaction receipt"
    )
    answered = wire.felt(receipt.transaction_hash)
    if answered != state.transaction_hash:
        raise errors.InconsistentAnswerError(
            f"the node returned the receipt of {answered} for {state.transaction_hash}",
            kind="mismatched",
        )
    if receipt.block_number is None or receipt.block_hash is None:
        return state
    return msgspec.structs.replace(
        state,
        block_number=receipt.block_number,
        block_hash=wire.felt(receipt.block_hash),
        is_reverted=receipt.execution_status == "REVERTED",
        actual_fee=int(wire.felt(receipt.actual_fee.amount), 16),
        fee_unit=receipt.actual_fee.unit,
        reason=receipt.revert_reason,
    )


def _reason(text: str | None, hide: Callable[[str], str]) -> str | None:
    """A reason that may be kept and shown: bounded, without secrets and control characters."""
    if text is None:
        return None
    # Cut before it is searched, and only then so short that no secret is cut in two.
    return texts.printable(hide(text[: 2 * LONGEST_REASON])[:LONGEST_REASON])
