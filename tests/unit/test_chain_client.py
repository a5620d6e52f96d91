"""The node's questions: what is refused, what is unknown, and who answers when one fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from indexer import errors
from indexer.cairo import view_call
from tests.unit import chain_stage
from tests.unit.chain_stage import RpcRefusal, Said
from tests.unit.test_chain_rpc import status

VIEW = view_call.ViewCall(11, 0xC0, "transfer", (1, 2))
HASHES = {11: "0xabc"}
SELECTOR_OF_TRANSFER = "0x83afd3f4caedc6eebf44246fe54e38c95e3179a5ec9ea81740eca5b482d12e"


@pytest.fixture
async def node() -> AsyncIterator[chain_stage.FakeNode]:
    async with chain_stage.FakeNode({4: [Said(0, 1, 0xA)]}).serving() as serving:
        yield serving


def refusing(code: int, *methods: str) -> Any:
    def refuse(method: str, params: Any) -> None:
        if not methods or method in methods:
            raise RpcRefusal(code, "some words of this node")

    return refuse


async def test_headers(node: chain_stage.FakeNode) -> None:
    async with chain_stage.connected(node) as starknet:
        head = await starknet.head()
        assert (head.number, head.hash, head.parent_hash) == (9, node.hash(9), node.hash(8))
        assert await starknet.header(9) == head
        assert await starknet.header(10) is None
        assert await starknet.finalised() == 4


async def test_another_block_than_asked_is_refused(node: chain_stage.FakeNode) -> None:
    node.changed = lambda method, params, result: (
        result | {"block_number": 3} if "getBlock" in method else result
    )
    async with chain_stage.connected(node) as starknet:
        with pytest.raises(errors.InconsistentAnswerError, match="block 3 for 5"):
            await starknet.header(5)
        with pytest.raises(errors.InconsistentAnswerError, match="block 3 for 5"):
            await starknet.source.blocks([5])


@pytest.mark.parametrize("code", [24, -32602, -32601, -32603])
async def test_finality_may_be_unknown(node: chain_stage.FakeNode, code: int) -> None:
    async with chain_stage.connected(node) as starknet:
        node.refuse = refusing(code)
        assert await starknet.finalised() is None


@pytest.mark.parametrize("code", [24, 32])
async def test_a_node_without_blocks_is_waited_for(node: chain_stage.FakeNode, code: int) -> None:
    async with chain_stage.connected(node) as starknet:
        node.refuse = refusing(code)
        with pytest.raises(errors.RetryableNodeError, match="no block"):
            await starknet.head()


async def test_blocks_come_in_the_order_asked_with_their_receipts(
    node: chain_stage.FakeNode,
) -> None:
    node.events = {number: [Said(1, 0, 0xA, (number,))] for number in range(10)}
    numbers = [7, 0, 3, 9, 1] * 6
    node.reverse_batches = True
    async with chain_stage.connected(node) as starknet:
        plain = await starknet.source.blocks(numbers)
        full = await starknet.source.blocks(numbers, with_events=True)
    assert [block.header.number for block in plain] == numbers
    assert [block.header.hash for block in full] == [node.hash(number) for number in numbers]
    assert [receipt.transaction_index for receipt in plain[0].receipts] == [0, 1]
    assert plain[0].receipts[1].actual_fee == 16
    assert [one.data for block in full for one in block.receipts[1].events] == [
        [number] for number in numbers
    ]


async def test_a_block_that_is_gone_contradicts_what_was_told(
    node: chain_stage.FakeNode,
) -> None:
    async with chain_stage.connected(node) as starknet:
        with pytest.raises(errors.InconsistentAnswerError, match="block 10"):
            await starknet.source.blocks([9, 10])


async def test_no_addresses_are_no_question(node: chain_stage.FakeNode) -> None:
    async with chain_stage.connected(node) as starknet:
        node.asked.clear()
        assert await starknet.source.events(0, 9, frozenset()) == []
    assert node.asked == []


# --- views --------------------------------------------------------------------------------


async def test_views_are_asked_at_a_block_hash(node: chain_stage.FakeNode) -> None:
    async with chain_stage.connected(node) as starknet:
        assert await starknet.calls([VIEW], HASHES) == [[1, 0xC0]]
        assert await starknet.calls([], {}) == []
    method, params = node.asked[-1]
    assert method == "starknet_call"
    assert params == {
        "request": {
            "contract_address": "0xc0",
            "entry_point_selector": SELECTOR_OF_TRANSFER,
            "calldata": ["0x1", "0x2"],
        },
        "block_id": {"block_hash": "0xabc"},
    }


@pytest.mark.parametrize("code", [20, 21, 40])
async def test_a_contracts_refusal_stands_in_its_place(
    node: chain_stage.FakeNode, code: int
) -> None:
    def refuse(method: str, params: Any) -> None:
        if method == "starknet_call" and params["request"]["contract_address"] == "0xbad":
            raise RpcRefusal(code, "reverted")

    async with chain_stage.connected(node) as starknet:
        node.refuse = refuse
        bad = view_call.ViewCall(11, 0xBAD, "price")
        answers = await starknet.calls([VIEW, bad, VIEW], HASHES)
        assert [answers[0], answers[2]] == [[1, 0xC0], [1, 0xC0]]
        assert isinstance(answers[1], errors.RpcError)
        assert answers[1].code == code
        assert "reverted" in str(answers[1])


async def test_a_block_that_the_node_does_not_know_is_no_refusal_of_the_contract(
    node: chain_stage.FakeNode,
) -> None:
    async with chain_stage.connected(node) as starknet:
        node.refuse = refusing(24)
        with pytest.raises(errors.InconsistentAnswerError, match="block"):
            await starknet.calls([VIEW], HASHES)


@pytest.mark.parametrize("code", [-32602, -32601, 63])
async def test_a_question_that_the_node_refuses_is_no_refusal_of_the_contract(
    node: chain_stage.FakeNode, code: int
) -> None:
    async with chain_stage.connected(node) as starknet:
        node.refuse = refusing(code)
        with pytest.raises(errors.NodeError):
            await starknet.calls([VIEW, VIEW], HASHES)


# --- fail-over ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [403, 429, 500])
async def test_the_head_comes_from_the_next_node_when_one_fails(
    node: chain_stage.FakeNode, number: int
) -> None:
    other = chain_stage.FakeNode(head=7)
    async with other.serving(), chain_stage.connected(node, other) as starknet:
        held = starknet.source
        node.faults.extend([status(number)] * 50)
        assert (await starknet.head()).number == 7
        assert starknet.profile.endpoint == other.url
        assert held.name == node.url


async def test_a_node_of_another_chain_is_not_failed_over_to(
    node: chain_stage.FakeNode,
) -> None:
    other = chain_stage.FakeNode()
    other.chain = chain_stage.SEPOLIA
    async with other.serving(), chain_stage.connected(node, other) as starknet:
        node.faults.extend([status(500)] * 50)
        with pytest.raises(errors.NodeUnreachableError, match="HTTP 500"):
            await starknet.head()
        assert starknet.profile.endpoint == node.url


async def test_who_fails_second_at_a_node_already_left_changes_nothing(
    node: chain_stage.FakeNode,
) -> None:
    other = chain_stage.FakeNode()
    async with other.serving(), chain_stage.connected(node, other) as starknet:
        first = starknet.source
        assert await starknet.fail_over(first)
        assert await starknet.fail_over(first)
        assert starknet.profile.endpoint == other.url


async def test_a_single_node_has_nowhere_to_go(node: chain_stage.FakeNode) -> None:
    async with chain_stage.connected(node) as starknet:
        assert not await starknet.fail_over(starknet.source)
        node.faults.extend([status(503)] * 3)
        with pytest.raises(errors.NodeBusyError):
            await starknet.head()
        assert (await starknet.head()).number == 9


# --- and back -----------------------------------------------------------------------------


async def test_the_best_endpoint_that_holds_the_block_is_turned_back_to(
    node: chain_stage.FakeNode,
) -> None:
    second, third = chain_stage.FakeNode(), chain_stage.FakeNode()
    async with (
        second.serving(),
        third.serving(),
        chain_stage.connected(node, second, third) as starknet,
    ):
        stands = (9, third.hash(9))
        assert await starknet.fail_over(starknet.source)
        assert await starknet.fail_over(starknet.source)
        assert starknet.profile.endpoint == third.url
        await starknet.return_to_preferred(stands, 60)
        assert starknet.profile.endpoint == third.url, "asked too soon"
        node.chain = chain_stage.SEPOLIA
        await starknet.return_to_preferred(stands, 0)
        assert starknet.profile.endpoint == second.url
        node.chain = chain_stage.MAIN
        await starknet.return_to_preferred((9, "0xother"), 0)
        assert starknet.profile.endpoint == second.url
        await starknet.return_to_preferred(stands, 0)
        assert starknet.profile.endpoint == node.url
        asked = len(node.asked)
        await starknet.return_to_preferred(stands, 0)
        assert len(node.asked) == asked, "the first needs no asking"
