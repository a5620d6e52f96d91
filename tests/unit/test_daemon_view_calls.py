"""What the log keeps of a view's answer is the contract's, never the node's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest
import structlog

from indexer import errors
from indexer.cairo import view_call
from indexer.chain import client
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
