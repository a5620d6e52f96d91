"""Asks the node for the contract views that the fold needs, and keeps the answers for the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from indexer import errors, metrics
from indexer.cairo import view_call
from indexer.chain import client
from indexer.log import observations

MOST_FELTS = 10_000
"""More felts than any view that the fold asks for has."""

ABSENT_VIEW = "__vesu_indexer_view_that_no_contract_has__"
"""A node that runs views at a block refuses this one in a contract's words."""

log = structlog.get_logger(__name__)


async def ask(
    node: client.StarknetNode, calls: Sequence[view_call.ViewCall], hashes: Mapping[int, str]
) -> list[observations.Observation]:
    """The answers of these views in order, each at the hash of its block.

    Raises RetryableNodeError where the node lags or fails. A contract's refusal is an answer once
    it was given twice: the log keeps it for good, and a node refuses what it cannot do just then
    in a contract's words.
    """
    answers = await node.calls(calls, hashes)
    refused = [index for index, answer in enumerate(answers) if isinstance(answer, errors.RpcError)]
    if refused:
        again = await node.calls_elsewhere([calls[index] for index in refused], hashes)
        for index, answer in zip(refused, again, strict=True):
            if not isinstance(answer, errors.RpcError):
                _warn_of_hiccup(calls[index], str(answers[index]))
            answers[index] = answer
    return [
        observation(call, hashes[call.block_number], answer)
        for call, answer in zip(calls, answers, strict=True)
    ]


def _warn_of_hiccup(call: view_call.ViewCall, reason: str) -> None:
    log.warning("refusal_not_confirmed", view=call.view, contract=hex(call.contract), reason=reason)


async def runs_views(
    node: client.StarknetNode, contract: int, block: int, hashes: Mapping[int, str]
) -> bool:
    """Whether the node runs views at a block: it has the state, and is well.

    `contract` is one of ours, whose code does not hinder it.
    """
    try:
        await node.calls([view_call.ViewCall(block, contract, ABSENT_VIEW)], hashes)
    except errors.NodeError:
        return False
    return True


async def ask_within(
    node: client.StarknetNode,
    calls: Sequence[view_call.ViewCall],
    hashes: Mapping[int, str],
    seconds: float,
) -> list[observations.Observation]:
    """The answers that the node gives within `seconds`; the views of each pool apart.

    A pool whose view fails or never answers takes no other pool with it: what is lacking is
    logged, counted and left to the next sample.
    """
    by_pool: dict[tuple[int, ...], list[view_call.ViewCall]] = {}
    for call in calls:
        # V2 asks a pool for an asset, V1 an extension for a pool and an asset.
        by_pool.setdefault((call.contract, *call.calldata[:-1]), []).append(call)
    pools = list(by_pool)
    apart = await ask_apart(node, list(by_pool.values()), hashes, seconds)
    for index, error in apart.failed.items():
        _warn(pools[index], str(error))
    metrics.samples_failed.inc(len(calls) - len(apart.seen))
    return apart.seen


class Apart(NamedTuple):
    """What groups of views answered, and the error of each group, by its place, that did not."""

    seen: list[observations.Observation]
    failed: dict[int, errors.NodeError]


async def ask_apart(
    node: client.StarknetNode,
    groups: Sequence[Sequence[view_call.ViewCall]],
    hashes: Mapping[int, str],
    seconds: float,
) -> Apart:
    """Ask all groups at once, each for itself; one that takes longer than `seconds` has failed.

    Where the endpoint takes few requests a second, the time that all groups need for their turns
    does not count.
    """
    apart = Apart([], {})
    if not groups:
        return apart
    seconds += node.seconds_for(len(groups))
    tasks = [asyncio.ensure_future(ask(node, view_calls, hashes)) for view_calls in groups]
    try:
        await asyncio.wait(tasks, timeout=seconds)
        is_late = [not task.done() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for index, task in enumerate(tasks):
        error = None if is_late[index] else task.exception()
        if is_late[index]:
            apart.failed[index] = errors.NodeUnreachableError(
                f"no answer within {seconds:g} s", kind="timeout"
            )
        elif isinstance(error, errors.NodeError):
            apart.failed[index] = error
        elif error is not None:
            raise error
        else:
            apart.seen.extend(task.result())
    return apart


def log_fields(call: view_call.ViewCall) -> dict[str, Any]:
    """The fields that say in a log line which view of which contract is meant."""
    return {"block": call.block_number, "contract": hex(call.contract), "view": call.view}


def _warn(pool: tuple[int, ...], reason: str) -> None:
    log.warning("prices_not_sampled", contract=hex(pool[0]), pool=hex(pool[-1]), reason=reason)


def observation(
    call: view_call.ViewCall, block_hash: str, answer: list[int] | errors.RpcError
) -> observations.Observation:
    """The answer of a view as the log keeps it."""
    if isinstance(answer, errors.RpcError):
        # Nodes word a refusal differently and name themselves: the log must be the same from each.
        log.info("view_refused", view=call.view, contract=hex(call.contract), reason=str(answer))
        return observations.Observation(call, block_hash, None, observations.REFUSED)
    if len(answer) > MOST_FELTS:
        # A stranger's contract answers what it likes, and the log keeps it for good.
        log.info("view_too_long", view=call.view, contract=hex(call.contract), felts=len(answer))
        return observations.Observation(call, block_hash, None, observations.REFUSED)
    return observations.Observation(call, block_hash, tuple(answer))
