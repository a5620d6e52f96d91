"""What the log keeps of a view's answer is the contract's, never the node's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest
import structlog

from indexer import errors
from indexer.cairo import view_call
from indexer.chain import client, types
from indexer.daemon import view_calls

CALL = view_call.ViewCall(5, 0x1, "price")


def test_a_refusal_is_kept_in_the_same_words_whichever_node_told_it() -> None:
    told = [
        errors.RpcError("http://127.0.0.1:5050: Contract error (code 40)", 40, {"revert": "x"}),
        errors.RpcError("https://node.example/***: entry point not found (code 21)", 21),
    ]
    first, second = (view_calls.observation(CALL, "0xabc", answer) for answer in told)
    assert first == second
    assert first.result is None
    assert first.error
    assert "node" not in first.error


def test_an_answer_longer_than_any_view_has_is_taken_for_a_refusal() -> None:
    longest = [7] * view_calls.MOST_FELTS
    assert len(view_calls.observation(CALL, "0xabc", longest).result or ()) == view_calls.MOST_FELTS
    assert view_calls.observation(CALL, "0xabc", [*longest, 7]).result is None


HASHES = {5: "0xabc"}

Answers = list[list[int] | errors.RpcError]


class Node:
    """A node that gives some answers first, and others when it, or another, is asked again."""

    def __init__(self, first: Answers, again: Answers) -> None:
        self._first, self._again = first, again
        self.asked_again: list[int] = []

    async def calls(self, _: Sequence[view_call.ViewCall], hashes: Mapping[int, str]) -> Answers:
        assert hashes == HASHES
        return list(self._first)

    async def calls_elsewhere(
        self, asked: Sequence[view_call.ViewCall], hashes: Mapping[int, str]
    ) -> Answers:
        assert hashes == HASHES
        self.asked_again = [one.contract for one in asked]
        return list(self._again)


async def ask(node: Node, count: int) -> list[tuple[int, ...] | None]:
    calls = [view_call.ViewCall(5, at, "symbol") for at in range(count)]
    seen = await view_calls.ask(cast("client.StarknetNode", node), calls, HASHES)
    return [one.result for one in seen]


@pytest.mark.parametrize("code", [20, 21, 40, 41])
async def test_a_refusal_counts_once_it_was_given_twice(code: int) -> None:
    refused = errors.RpcError(f"no (code {code})", code)
    node = Node([[1], refused, refused], [[2], refused])
    with structlog.testing.capture_logs() as logged:
        assert await ask(node, 3) == [(1,), (2,), None]
    assert node.asked_again == [1, 2]
    assert [line["event"] for line in logged] == ["refusal_not_confirmed", "view_refused"]


async def test_answers_are_not_asked_for_twice() -> None:
    node = Node([[1], [2]], [])
    assert await ask(node, 2) == [(1,), (2,)]
    assert node.asked_again == []


class PoorNode:
    """A node that cannot run some views, each with an error of its own; its head may lag."""

    def __init__(self, errors_of: Mapping[str, errors.NodeError], has_block: bool = True) -> None:
        self._errors_of = errors_of
        self._has_block = has_block

    async def calls(
        self, asked: Sequence[view_call.ViewCall], _: Mapping[int, str]
    ) -> list[list[int]]:
        for one in asked:
            if one.view in self._errors_of:
                raise self._errors_of[one.view]
        return [[7] for _ in asked]

    async def header(self, number: int) -> types.BlockHeader | None:
        if not self._has_block:
            return None
        return types.BlockHeader(number, "0xabc", "0xabb", 0, "ACCEPTED_ON_L2", "0.14.4")


INTERNAL = errors.NodeUnreachableError("internal error", kind="internal")
LATE = errors.NodeUnreachableError("no answer within 20 s", kind="timeout")
ODD = errors.RefusedRequestError("execution failed", -32000)


async def ask_for_commit(node: PoorNode) -> dict[str, tuple[int, ...] | None]:
    calls = [view_call.ViewCall(5, 1, view) for view in ("asset_config", "symbol", "decimals")]
    seen = await view_calls.ask_for_commit(cast("client.StarknetNode", node), calls, HASHES)
    assert [one.call for one in seen] == calls
    return {one.call.view: one.result for one in seen}


@pytest.mark.parametrize("error", [INTERNAL, LATE, ODD])
async def test_a_token_that_the_node_cannot_run_holds_up_no_commit(error: errors.NodeError) -> None:
    with structlog.testing.capture_logs() as logged:
        found = await ask_for_commit(PoorNode({"symbol": error}))
    assert found == {"asset_config": (7,), "symbol": None, "decimals": (7,)}
    assert [line["view"] for line in logged if line["event"] == "token_not_described"] == ["symbol"]


@pytest.mark.parametrize(
    "node",
    [
        PoorNode({"asset_config": INTERNAL}),
        PoorNode({"symbol": INTERNAL}, has_block=False),
        PoorNode({"symbol": errors.NodeBusyError("429")}),
        PoorNode({"symbol": errors.NodeUnreachableError("refused")}),
        PoorNode({"symbol": errors.InconsistentAnswerError("no such block", kind="lagging")}),
        PoorNode({"symbol": errors.RefusedRequestError("no key", is_definite=True)}),
    ],
)
async def test_what_may_be_the_nodes_own_trouble_is_no_answer_of_a_token(node: PoorNode) -> None:
    with pytest.raises(errors.RetryableNodeError):
        await ask_for_commit(node)
