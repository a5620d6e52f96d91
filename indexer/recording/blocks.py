"""Blocks, transactions and the head of a recorded chain."""

from __future__ import annotations

from typing import Any

import msgspec

from indexer import errors
from indexer.recording import chain, shapes
from indexer.recording import context as context_module

Context = context_module.Context


def spec_version(context: Context) -> str:
    """The version of the RPC specification that this path speaks."""
    return context.profile.spec_version


def chain_id(context: Context) -> str:
    """The recorded chain's id."""
    return context.recording.chain_id


def syncing(_context: Context) -> bool:
    """A recording is always in step with itself."""
    return False


def block_number(context: Context) -> int:
    """The head's number."""
    return _head(context).number


def block_hash_and_number(context: Context) -> dict[str, Any]:
    """The head's hash and number."""
    head = _head(context)
    return {"block_hash": head.hash, "block_number": head.number}


def get_block_with_receipts(context: Context, block_id: object) -> msgspec.Raw:
    """A block with transactions and receipts."""
    return _shaped(context, block_id, "receipts")


def get_block_with_txs(context: Context, block_id: object) -> msgspec.Raw:
    """A block with transactions."""
    return _shaped(context, block_id, "transactions")


def get_block_with_tx_hashes(context: Context, block_id: object) -> msgspec.Raw:
    """A block with the hashes of its transactions."""
    return _shaped(context, block_id, "hashes")


def get_block_transaction_count(context: Context, block_id: object) -> int:
    """How many transactions a block has."""
    return len(_transactions(context.block(block_id)))


def get_transaction_receipt(context: Context, transaction_hash: object) -> dict[str, Any]:
    """A transaction's receipt with its block."""
    block, item = _find(context, transaction_hash)
    receipt = shapes.receipt(item, context.view.is_final(block))
    return {**receipt, "block_hash": block.hash, "block_number": block.number}


def get_transaction_by_hash(context: Context, transaction_hash: object) -> dict[str, Any]:
    """A transaction."""
    _, item = _find(context, transaction_hash)
    return shapes.transaction(item)


def get_transaction_by_block_id_and_index(
    context: Context, block_id: object, index: object
) -> dict[str, Any]:
    """A transaction by its place."""
    items = _transactions(context.block(block_id))
    transaction_index = context_module.convert(index, int, "index")
    if not 0 <= transaction_index < len(items):
        raise errors.RpcError("Invalid transaction index in a block", 27)
    return shapes.transaction(items[transaction_index])


def get_transaction_status(context: Context, transaction_hash: object) -> dict[str, Any]:
    """A transaction's finality and execution status."""
    block, item = _find(context, transaction_hash)
    receipt = item["receipt"]
    answer = {
        "finality_status": shapes.status(context.view.is_final(block)),
        "execution_status": receipt["execution_status"],
    }
    if "revert_reason" in receipt:
        answer["failure_reason"] = receipt["revert_reason"]
    return answer


def _head(context: Context) -> chain.Block:
    head = context.view.head
    if head is None:
        raise errors.RpcError("There are no blocks", 32)
    return head


def _shaped(context: Context, block_id: object, shape: shapes.Shape) -> msgspec.Raw:
    block = context.block(block_id)
    final = context.view.contains(block) and context.view.is_final(block)
    return context.shapes.block(block, shape, context.profile, final)


def _transactions(block: chain.Block) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = msgspec.json.decode(block.answer)["transactions"]
    return items


def _find(context: Context, transaction_hash: object) -> tuple[chain.Block, dict[str, Any]]:
    padded_hash = context_module.felt(transaction_hash, "transaction_hash")
    for branch, last in context.view.segments():
        number, index = branch.transactions.get(padded_hash, (last + 1, 0))
        if number <= last:
            block = branch.blocks[number]
            return block, _transactions(block)[index]
    raise errors.RpcError("Transaction hash not found", 29)
