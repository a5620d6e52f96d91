"""What the log keeps of a view's answer is the contract's, never the node's."""

from __future__ import annotations

from indexer import errors
from indexer.cairo import view_call
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
