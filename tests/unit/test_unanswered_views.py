"""A view that the node cannot run is told from a node in trouble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest
import structlog

from indexer import errors
from indexer.cairo import view_call
from indexer.chain import client
from indexer.daemon import unanswered_views

HASHES = {5: "0xabc"}
ROOT = 0xFAC


class PoorNode:
    """A node that cannot run some views, each with an error of its own, or any; it may lag."""

    def __init__(self, errors_of: Mapping[str, errors.NodeError], runs_others: bool = True) -> None:
        self._errors_of = errors_of
        self._runs_others = runs_others

    async def calls(
        self, asked: Sequence[view_call.ViewCall], _: Mapping[int, str]
    ) -> list[list[int]]:
        for one in asked:
            if one.view in self._errors_of:
                raise self._errors_of[one.view]
            if not self._runs_others:
                raise INTERNAL
        return [[7] for _ in asked]

    def seconds_for(self, _: int) -> float:
        return 0.0


INTERNAL = errors.NodeUnreachableError("internal error", kind="internal")
LATE = errors.NodeUnreachableError("no answer within 20 s", kind="timeout")
ODD = errors.RefusedRequestError("execution failed", -32000)


async def ask_for_commit(node: PoorNode) -> dict[str, tuple[int, ...] | None]:
    calls = [view_call.ViewCall(5, 1, view) for view in ("asset_config", "symbol", "decimals")]
    asker = unanswered_views.Asker(cast("client.StarknetNode", node))
    seen = await asker.ask(calls, HASHES, ROOT)
    assert {one.call for one in seen} == set(calls)
    return {one.call.view: one.result for one in seen}


@pytest.mark.parametrize("error", [INTERNAL, LATE, ODD])
async def test_a_token_that_the_node_cannot_run_holds_up_no_commit(error: errors.NodeError) -> None:
    with structlog.testing.capture_logs() as logged:
        found = await ask_for_commit(PoorNode({"symbol": error}))
    assert found == {"asset_config": (7,), "symbol": None, "decimals": (7,)}
    assert [line["view"] for line in logged if line["event"] == "view_unanswered"] == ["symbol"]


@pytest.mark.parametrize(
    "node",
    [
        PoorNode({"asset_config": INTERNAL}),
        PoorNode({"symbol": INTERNAL}, runs_others=False),
        PoorNode({"symbol": errors.NodeBusyError("429")}),
        PoorNode({"symbol": errors.NodeUnreachableError("refused")}),
        PoorNode({"symbol": errors.InconsistentAnswerError("no such block", kind="lagging")}),
        PoorNode({"symbol": errors.RefusedRequestError("no key", is_definite=True)}),
    ],
)
async def test_what_may_be_the_nodes_own_trouble_is_no_answer_of_a_token(node: PoorNode) -> None:
    with pytest.raises(errors.RetryableNodeError):
        await ask_for_commit(node)
