"""The recorded state of contracts at a block: view answers, classes, nonces, state updates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from indexer import errors
from indexer.recording import chain, view
from indexer.recording import context as context_module

# Not a code of the specification: the recording, not the chain, lacks the answer.
NOT_RECORDED = -32099

Context = context_module.Context


class FunctionCall(msgspec.Struct):
    """The request of starknet_call."""

    contract_address: str
    entry_point_selector: str
    calldata: list[str]


def call(context: Context, request: object, block_id: object) -> msgspec.Raw:
    """The recorded answer of a view at exactly this block, or of a constant at any block.

    A recorded error is raised as it was. RpcError NOT_RECORDED where nothing was recorded.
    """
    function_call = context_module.convert(request, FunctionCall, "request")
    block = context.block(block_id)
    question = (
        context_module.felt(function_call.contract_address, "contract_address"),
        context_module.felt(function_call.entry_point_selector, "entry_point_selector"),
        *(context_module.felt(item, "calldata") for item in function_call.calldata),
    )
    branch = context.recording.branch(block.branch)
    call = branch.calls.get((block.hash, *question))
    if call is None:
        call = _nearest(context.view.up_to(block), question, block.number)
    if call is None:
        raise _not_recorded(
            f"the answer of contract {question[0]}, selector {question[1]}, "
            f"calldata {list(question[2:])} at block {block.number} ({block.hash})"
        )
    if call.error:
        raise _recorded_error(call)
    return call.result


def get_class_hash_at(context: Context, block_id: object, contract_address: object) -> str:
    """The class hash of a contract after the block; RpcError 20 when it is not deployed.

    A recording without state updates knows the classes of its manifest alone.
    """
    block = context.block(block_id)
    address = context_module.felt(contract_address, "contract_address")
    for branch, last in context.view.up_to(block).segments():
        if branch.has_state_updates:
            found = _latest(branch.class_hashes.get(address, []), last)
            if found is not None:
                return found
    known = context.recording.predeployed.get(address)
    if known is not None and known[0] <= block.number:
        return known[1]
    if not context.recording.main.has_state_updates:
        raise _not_recorded(f"the class of contract {address}")
    raise errors.RpcError("Contract not found", 20)


def get_nonce(context: Context, block_id: object, contract_address: object) -> str:
    """The nonce after the block: the last recorded change, zero for a contract without one."""
    block = context.block(block_id)
    address = context_module.felt(contract_address, "contract_address")
    for branch, last in context.view.up_to(block).segments():
        found = _latest(branch.nonces.get(address, []), last)
        if found is not None:
            return found
    get_class_hash_at(context, block_id, address)
    return "0x0"


def get_class(context: Context, block_id: object, class_hash: object) -> dict[str, Any]:
    """A class with its ABI; the program and its entry points are not recorded, so empty."""
    context.block(block_id)
    padded_hash = context_module.felt(class_hash, "class_hash")
    abi = context.recording.abi(padded_hash)
    if abi is None:
        raise _not_recorded(f"the class {padded_hash}")
    return {
        "contract_class_version": "0.1.0",
        "sierra_program": [],
        "entry_points_by_type": {"CONSTRUCTOR": [], "EXTERNAL": [], "L1_HANDLER": []},
        "abi": abi,
    }


def get_class_at(context: Context, block_id: object, contract_address: object) -> dict[str, Any]:
    """The class of a contract after the block, as get_class gives it."""
    return get_class(context, block_id, get_class_hash_at(context, block_id, contract_address))


def get_state_update(context: Context, block_id: object) -> msgspec.Raw:
    """The recorded state update of the block."""
    block = context.block(block_id)
    return context.recording.branch(block.branch).state_updates[block.number]


def _nearest(view_: view.View, question: tuple[str, ...], number: int) -> chain.Call | None:
    """A constant's last answer at or below the block, else its first one above."""
    above: chain.Call | None = None
    for branch, last in view_.segments():
        for row in reversed(branch.constants.get(question, [])):
            if row.block_number <= min(last, number):
                return row
            above = row
    return above


def _latest(changes: list[tuple[int, str]], last: int) -> str | None:
    candidates: Iterator[str] = (value for number, value in reversed(changes) if number <= last)
    return next(candidates, None)


def _recorded_error(call: chain.Call) -> errors.RpcError:
    error = msgspec.json.decode(call.error)
    return errors.RpcError(error["message"], error["code"], error.get("data"))


def _not_recorded(subject: str) -> errors.RpcError:
    return errors.RpcError(f"Not in the recording: {subject}", NOT_RECORDED)
