"""Asks the node for the contract views that the fold needs, and keeps the answers for the log."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from indexer import errors
from indexer.cairo import selector
from indexer.chain import client
from indexer.log import observations

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
            client.ViewCall(
                int(view.contract, 16),
                selector.of(view.view),
                tuple(int(felt, 16) for felt in view.calldata),
                view.block_hash,
            )
            for view in needs
        ]
    )
    return [observation(view, answer) for view, answer in zip(needs, answers, strict=True)]


def observation(
    view: observations.View, answer: list[int] | errors.RpcError
) -> observations.Observation:
    """The answer of a view as the log keeps it."""
    if isinstance(answer, errors.RpcError):
        # Nodes word a refusal differently and name themselves: the log must be the same from each.
        log.info("view_refused", view=view.view, contract=view.contract, reason=str(answer))
        return observations.Observation(view, None, REFUSED)
    return observations.Observation(view, tuple(hex(felt) for felt in answer))
