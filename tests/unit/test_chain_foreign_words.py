"""A node's own words in a result: no secret of ours and no control character gets further."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from indexer import errors
from indexer.chain import pages, probe, rpc, source, transactions, wire
from tests.unit import chain_stage

KEY = "d41d8cd98f00b204e9800998ecf8427e"
ECHO = f"{KEY}\x1b[31m is no\x07 key\r\n"
TRANSACTION = "0x77"


@pytest.fixture
async def node() -> AsyncIterator[chain_stage.FakeNode]:
    async with chain_stage.FakeNode().serving() as serving:
        yield serving


@pytest.fixture
async def asked(node: chain_stage.FakeNode) -> AsyncIterator[source.Source]:
    endpoint = rpc.Endpoint(f"{node.url}/{KEY}", chain_stage.QUICK)
    yield source.Source(endpoint, await probe.probe(endpoint, int(chain_stage.MAIN, 16)))
    await endpoint.close()


def answers(node: chain_stage.FakeNode, method: str, edit: Callable[[Any], Any]) -> None:
    """The node's results of a method are edited."""
    real = node._result

    def result(said: str, params: Any) -> Any:
        if said != method:
            return real(said, params)
        is_invented = method in ("starknet_getEvents", "starknet_getClassHashAt")
        return edit({"events": []} if is_invented else real(said, params))

    node._result = result  # type: ignore[method-assign]


Question = Callable[[source.Source], Awaitable[object]]
BLOCK = "starknet_getBlockWithTxHashes"
CASES: dict[str, tuple[str, Callable[[Any], Any], Question]] = {
    "status": (BLOCK, lambda found: found | {"status": ECHO}, lambda node: node.head()),
    "hash": (BLOCK, lambda found: found | {"block_hash": ECHO}, lambda node: node.head()),
    "shape": (BLOCK, lambda _: ECHO, lambda node: node.head()),
    "version": (BLOCK, lambda found: found | {"starknet_version": ECHO}, lambda node: node.head()),
    "class": ("starknet_getClassHashAt", lambda _: ECHO, lambda node: node.class_hash(1)),
    "token": (
        "starknet_getEvents",
        lambda found: found | {"continuation_token": ECHO},
        lambda node: pages.read(node.endpoint, node.profile, 0, 1, [1]),
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_an_error_repeats_no_secret(
    node: chain_stage.FakeNode, asked: source.Source, case: str
) -> None:
    method, edit, question = CASES[case]
    answers(node, method, edit)
    with pytest.raises(errors.NodeError) as caught:
        await question(asked)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert str(caught.value).isprintable()


async def test_a_receipt_of_another_transaction_repeats_no_secret(asked: source.Source) -> None:
    receipt = {
        "transaction_hash": ECHO,
        "actual_fee": {"amount": "0x1", "unit": "FRI"},
        "execution_status": "SUCCEEDED",
    }
    told = Told(asked, {"finality_status": "ACCEPTED_ON_L2"}, receipt)
    with pytest.raises(errors.InconsistentAnswerError) as caught:
        await transactions.states(told, [TRANSACTION])
    assert KEY not in str(caught.value)
    assert str(caught.value).isprintable()


class Told(source.Source):
    """A source whose endpoint answers these results of transactions."""

    def __init__(self, real: source.Source, status: Any, receipt: Any) -> None:
        super().__init__(real.endpoint, real.profile)
        self._results = {
            "starknet_getTransactionStatus": status,
            "starknet_getTransactionReceipt": receipt,
        }

    @property
    def endpoint(self) -> Any:
        return self

    def hide(self, text: str) -> str:
        return super().endpoint.hide(text)

    async def call_many(self, requests: list[rpc.Request]) -> list[Any]:
        return [msgspec.Raw(msgspec.json.encode(self._results[each.method])) for each in requests]


@pytest.mark.parametrize("is_in_a_block", [False, True])
async def test_the_reason_of_a_failure_is_kept_clean(
    asked: source.Source, is_in_a_block: bool
) -> None:
    status: dict[str, Any] = {"finality_status": "RECEIVED", "failure_reason": ECHO}
    receipt = {
        "transaction_hash": TRANSACTION,
        "actual_fee": {"amount": "0x1", "unit": "FRI"},
        "execution_status": "REVERTED",
        "block_hash": "0x9",
        "block_number": 9,
        "revert_reason": ECHO,
    }
    if is_in_a_block:
        status = {"finality_status": "ACCEPTED_ON_L2"}
    (state,) = await transactions.states(Told(asked, status, receipt), [TRANSACTION])
    assert state.reason is not None
    assert state.reason == "***\ufffd[31m is no\ufffd key\ufffd\n"
    assert state.is_reverted is is_in_a_block


def test_a_number_that_is_no_felt_is_shown() -> None:
    with pytest.raises(errors.InconsistentAnswerError, match=f"0x{'f' * 64}"):
        wire.felt("0x" + "f" * 64)
