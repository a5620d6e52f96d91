"""Asks the node for the contract views that the fold needs, and keeps the answers for the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from indexer import errors, metrics
from indexer.cairo import selector
from indexer.chain import client
from indexer.log import observations

MOST_FELTS = 10_000
"""More felts than any view that the fold asks for has."""

log = structlog.get_logger(__name__)

REFUSED = "refused"
"""The error that the log keeps where a contract refuses a view."""


async def ask(
    node: client.StarknetNode, needs: Sequence[observations.View]
) -> list[observations.Observation]:
    """The answers of these views in the order asked, each at its block's hash.

    Raises RetryableNodeError where the node lags or fails; a contract's refusal is an answer.
    """
    answers = await node.calls(
        [
            client.ViewCall(view.contract, selector.of(view.view), view.calldata, view.block_hash)
            for view in needs
        ]
    )
    return [observation(view, answer) for view, answer in zip(needs, answers, strict=True)]


async def ask_within(
    node: client.StarknetNode, views: Sequence[observations.View], seconds: float
) -> list[observations.Observation]:
    """The answers that the node gives within `seconds`; the views of each pool apart.

    A pool whose view fails or never answers takes no other pool with it: what is lacking is
    logged, counted and left to the next sample.
    """
    by_pool: dict[tuple[int, ...], list[observations.View]] = {}
    for view in views:
        # V2 asks a pool for an asset, V1 an extension for a pool and an asset.
        by_pool.setdefault((view.contract, *view.calldata[:-1]), []).append(view)
    if not by_pool:
        return []
    tasks = {asyncio.ensure_future(ask(node, asked)): pool for pool, asked in by_pool.items()}
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
    metrics.samples_failed.inc(len(views) - len(found))
    return found


def _warn(pool: tuple[int, ...], reason: str) -> None:
    log.warning("prices_not_sampled", contract=hex(pool[0]), pool=hex(pool[-1]), reason=reason)


def observation(
    view: observations.View, answer: list[int] | errors.RpcError
) -> observations.Observation:
    """The answer of a view as the log keeps it."""
    if isinstance(answer, errors.RpcError):
        # Nodes word a refusal differently and name themselves: the log must be the same from each.
        log.info("view_refused", view=view.view, contract=hex(view.contract), reason=str(answer))
        return observations.Observation(view, None, REFUSED)
    if len(answer) > MOST_FELTS:
        # A stranger's contract answers what it likes, and the log keeps it for good.
        log.info("view_too_long", view=view.view, contract=hex(view.contract), felts=len(answer))
        return observations.Observation(view, None, REFUSED)
    return observations.Observation(view, tuple(answer))
