"""Asks the node for the contract views that the fold needs, and keeps the answers for the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from indexer import errors, metrics
from indexer.cairo import view_call
from indexer.chain import client, rpc_errors
from indexer.log import observations

MOST_FELTS = 10_000
"""More felts than any view that the fold asks for has."""

DESCRIPTIONS = frozenset({"symbol", "name", "decimals"})
"""Views by which any token, a stranger's too, says what it is called and how it is shown."""

log = structlog.get_logger(__name__)

REFUSED = "refused"
"""The error that the log keeps where a contract refuses a view."""


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


async def ask_for_commit(
    node: client.StarknetNode, calls: Sequence[view_call.ViewCall], hashes: Mapping[int, str]
) -> list[observations.Observation]:
    """As `ask`, but no token holds up a commit.

    Anyone can have a token listed in a pool of theirs. One that the node cannot run to its end, at
    two looks, while it answers everything else at the same block, is taken for one that refuses:
    it has no name. `verify` and the prover ask again, and repair what was answered by then.
    """
    described = [call for call in calls if call.view in DESCRIPTIONS]
    try:
        return await ask(node, calls, hashes)
    except errors.RetryableNodeError as error:
        if not described or not rpc_errors.may_be_the_contracts(error):
            raise
    others = [call for call in calls if call.view not in DESCRIPTIONS]
    found = {answer.call: answer for answer in await ask(node, others, hashes)}
    again = await asyncio.gather(
        *(ask(node, [call], hashes) for call in described), return_exceptions=True
    )
    for call, answer in zip(described, again, strict=True):
        if isinstance(answer, errors.NodeError) and rpc_errors.may_be_the_contracts(answer):
            found[call] = await _given_up(node, call, hashes, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            (found[call],) = answer
    return [found[call] for call in calls]


async def _given_up(
    node: client.StarknetNode,
    call: view_call.ViewCall,
    hashes: Mapping[int, str],
    reason: errors.NodeError,
) -> observations.Observation:
    """A refusal in place of an answer; a NodeError where the node is down or lags."""
    header, block_hash = await node.header(call.block_number), hashes[call.block_number]
    if header is None or int(header.hash, 16) != int(block_hash, 16):
        raise errors.InconsistentAnswerError(
            f"the node does not have block {call.block_number} at which a token was asked",
            kind="lagging",
        )
    log.warning(
        "token_not_described", view=call.view, contract=hex(call.contract), reason=str(reason)
    )
    return observations.Observation(call, block_hash, None, REFUSED)


def _warn_of_hiccup(call: view_call.ViewCall, reason: str) -> None:
    log.warning("refusal_not_confirmed", view=call.view, contract=hex(call.contract), reason=reason)


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
    if not by_pool:
        return []
    tasks = {
        asyncio.ensure_future(ask(node, asked, hashes)): pool for pool, asked in by_pool.items()
    }
    try:
        done, late = await asyncio.wait(tasks, timeout=seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    found: list[observations.Observation] = []
    for task in done:
        error = task.exception()
        if error is None:
            found += task.result()
        elif isinstance(error, errors.NodeError):
            _warn(tasks[task], str(error))
        else:
            raise error
    for task in late:
        _warn(tasks[task], f"no answer within {seconds:g} s")
    metrics.samples_failed.inc(len(calls) - len(found))
    return found


def _warn(pool: tuple[int, ...], reason: str) -> None:
    log.warning("prices_not_sampled", contract=hex(pool[0]), pool=hex(pool[-1]), reason=reason)


def observation(
    call: view_call.ViewCall, block_hash: str, answer: list[int] | errors.RpcError
) -> observations.Observation:
    """The answer of a view as the log keeps it."""
    if isinstance(answer, errors.RpcError):
        # Nodes word a refusal differently and name themselves: the log must be the same from each.
        log.info("view_refused", view=call.view, contract=hex(call.contract), reason=str(answer))
        return observations.Observation(call, block_hash, None, REFUSED)
    if len(answer) > MOST_FELTS:
        # A stranger's contract answers what it likes, and the log keeps it for good.
        log.info("view_too_long", view=call.view, contract=hex(call.contract), felts=len(answer))
        return observations.Observation(call, block_hash, None, REFUSED)
    return observations.Observation(call, block_hash, tuple(answer))
