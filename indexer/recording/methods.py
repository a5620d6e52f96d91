"""The JSON-RPC methods that a recording answers, by name, and the binding of their parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from indexer import errors
from indexer.recording import blocks, context, events, state

Method = Callable[..., Any]

# A parameter's name is the Python one without a trailing underscore.
TABLE: dict[str, Method] = {
    "starknet_specVersion": blocks.spec_version,
    "starknet_chainId": blocks.chain_id,
    "starknet_syncing": blocks.syncing,
    "starknet_blockNumber": blocks.block_number,
    "starknet_blockHashAndNumber": blocks.block_hash_and_number,
    "starknet_getBlockWithReceipts": blocks.get_block_with_receipts,
    "starknet_getBlockWithTxs": blocks.get_block_with_txs,
    "starknet_getBlockWithTxHashes": blocks.get_block_with_tx_hashes,
    "starknet_getBlockTransactionCount": blocks.get_block_transaction_count,
    "starknet_getTransactionReceipt": blocks.get_transaction_receipt,
    "starknet_getTransactionByHash": blocks.get_transaction_by_hash,
    "starknet_getTransactionByBlockIdAndIndex": blocks.get_transaction_by_block_id_and_index,
    "starknet_getTransactionStatus": blocks.get_transaction_status,
    "starknet_getEvents": events.get_events,
    "starknet_call": state.call,
    "starknet_getClassHashAt": state.get_class_hash_at,
    "starknet_getClassAt": state.get_class_at,
    "starknet_getClass": state.get_class,
    "starknet_getNonce": state.get_nonce,
    "starknet_getStateUpdate": state.get_state_update,
}

_NAMES = {
    name: [parameter.rstrip("_") for parameter in list(inspect.signature(method).parameters)[1:]]
    for name, method in TABLE.items()
}


def answer(surroundings: context.Context, method: str, params: object) -> Any:
    """The result of a method; every refusal is an RpcError.

    Unknown named parameters are ignored, such as the later specifications' flags.
    """
    if method not in TABLE:
        raise errors.RpcError("Method not found", -32601)
    return TABLE[method](surroundings, *_bound(_NAMES[method], params))


def _bound(names: list[str], params: object) -> list[Any]:
    if isinstance(params, dict):
        missing = [name for name in names if name not in params]
        if missing:
            raise context.invalid_params(f"missing: {', '.join(missing)}")
        return [params[name] for name in names]
    sent_params = [] if params is None else params
    if not isinstance(sent_params, list) or len(sent_params) != len(names):
        raise context.invalid_params(f"expected {names}")
    return sent_params
