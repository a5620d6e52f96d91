"""Asks contracts for the views of a check; leaves out a stranger's pool that no node can run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from indexer import errors
from indexer.audit import stored_state, view_questions
from indexer.chain import client, rpc, rpc_errors
from indexer.projections import listed_pools, rows
from indexer.vesu import views

log = structlog.get_logger(__name__)

CALLS_PER_BATCH = 50
BATCHES_AT_ONCE = 8
AT_ONCE = CALLS_PER_BATCH * BATCHES_AT_ONCE

Answer = list[int] | errors.RpcError | None
"""Felts, a refusal, or None where the node could not run the view of a pool that is not listed."""

Hashes = Mapping[int, str]


async def ask(
    node: client.StarknetNode,
    part: Sequence[view_questions.ViewQuestion],
    block: stored_state.Block,
    listed: listed_pools.Listed,
) -> list[Answer]:
    """The answers at a block's hash, in order; a NodeError where a listed pool has none."""
    hashes = {block.number: hex(int(block.hash, 16))}
    batches = [
        part[start : start + CALLS_PER_BATCH] for start in range(0, len(part), CALLS_PER_BATCH)
    ]
    answered = await rpc.gather(_batch(node, batch, hashes, listed) for batch in batches)
    return [answer for answers in answered for answer in answers]


async def _batch(
    node: client.StarknetNode,
    batch: Sequence[view_questions.ViewQuestion],
    hashes: Hashes,
    listed: listed_pools.Listed,
) -> list[Answer]:
    try:
        return list(await node.calls([question.call for question in batch], hashes))
    except errors.RetryableNodeError as error:
        strangers = {pool for pool in map(_pool_id, batch) if pool and not listed.has(pool)}
        if not strangers or not rpc_errors.may_be_the_contracts(error):
            raise
    by_pool: dict[str, list[int]] = {}
    for index, question in enumerate(batch):
        pool = _pool_id(question)
        by_pool.setdefault(pool if pool in strangers else "", []).append(index)
    found: list[Answer] = [None] * len(batch)
    parts = await asyncio.gather(
        *(
            _pool(node, [batch[index] for index in indexes], hashes, is_left_out=pool in strangers)
            for pool, indexes in by_pool.items()
        )
    )
    for indexes, answers in zip(by_pool.values(), parts, strict=True):
        for index, answer in zip(indexes, answers, strict=True):
            found[index] = answer
    return found


async def _pool(
    node: client.StarknetNode,
    questions: Sequence[view_questions.ViewQuestion],
    hashes: Hashes,
    *,
    is_left_out: bool,
) -> Sequence[Answer]:
    """The answers about one stranger's pool, or about all others together."""
    try:
        return await node.calls([question.call for question in questions], hashes)
    except errors.RetryableNodeError as error:
        if not is_left_out or not rpc_errors.may_be_the_contracts(error):
            raise
        log.warning(
            "pool_not_reconciled",
            pool=_pool_id(questions[0]),
            views=len(questions),
            reason=str(error),
        )
        return [None] * len(questions)


def _pool_id(question: view_questions.ViewQuestion) -> str:
    """The id of the pool that a question is about; empty: a vToken's supply, of any pool."""
    if question.call.view == views.SUPPLY.name:
        return ""
    return rows.padded(view_questions.pool_of(question.key)[-1])
