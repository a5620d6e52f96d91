"""Who may be indexed from, and going from one endpoint to the next."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from indexer import errors, urls
from indexer.cairo import view_call
from indexer.chain import client, probe, rpc
from tests.integration import chain_stage
from tests.integration.chain_stage import CHAIN_ID, KEY, LAST, SETTINGS, failure, ok, refused

HEADER = {
    "block_hash": "0xb",
    "parent_hash": "0xa",
    "block_number": 7,
    "timestamp": 1,
    "status": "ACCEPTED_ON_L2",
}


class Node:
    """A made-up node: answers by method; `down` fails everything but what it says."""

    def __init__(self, version: str = "0.10.2", chain: str = hex(CHAIN_ID)) -> None:
        self.answers: dict[str, Any] = {
            "starknet_specVersion": version,
            "starknet_chainId": chain,
            "starknet_getBlockWithTxHashes": HEADER,
        }
        self.down = False

    def __call__(self, message: Any) -> bytes:
        if self.down:
            return b"<html>down</html>"
        if isinstance(message, list):
            return b"[" + b",".join(self(one) for one in message) + b"]"
        answer = self.answers[message["method"]]
        if callable(answer):
            return bytes(answer(message))
        return ok(message, answer)


async def probed(reply: chain_stage.Reply, chain_id: int | None = CHAIN_ID) -> probe.NodeProfile:
    async with chain_stage.endpoint(reply) as (made, _):
        return await probe.probe(made, chain_id)


@pytest.mark.parametrize(
    ("version", "lists", "indexes"),
    [
        ("0.8.1", False, False),
        ("0.9.0", False, False),
        ("0.10.0", False, True),
        ("0.10", False, True),
        ("v0.10.2", True, True),
        ("0.10.0-rc.1", False, True),
        ("0.10.1", True, True),
        ("0.10.3-rc.0", True, True),
        ("0.10.4+build.7", True, True),
    ],
)
async def test_what_a_version_can_do(version: str, lists: bool, indexes: bool) -> None:
    profile = await probed(Node(version))
    assert (profile.address_lists, profile.event_indexes) == (lists, indexes)
    assert (profile.spec_version, profile.batches) == (version, True)
    assert KEY not in profile.endpoint


@pytest.mark.parametrize("version", ["0.7.1", "0.11.0", "1.0.0", "v0_10", "", "0.10.x"])
async def test_an_unknown_version_is_refused(version: str) -> None:
    error = await failure(probed(Node(version)))
    assert isinstance(error, errors.UnsupportedSpecError)
    assert f"speaks Starknet RPC {version}; the indexer knows 0.8, 0.9 and 0.10" in str(error)
    assert "/rpc/v0_10" in str(error)


async def test_another_chain_is_refused_by_name() -> None:
    error = await failure(probed(Node(chain="0x534e5f4d41494e"), 0x534E5F5345504F4C4941))
    assert isinstance(error, errors.WrongChainError)
    assert "serves SN_MAIN (0x534e5f4d41494e)" in str(error)
    assert "SN_SEPOLIA (0x534e5f5345504f4c4941)" in str(error)


async def test_a_chain_id_without_letters_is_shown_as_a_number() -> None:
    error = await failure(probed(Node(chain="0xff5f")))
    assert "serves 0xff5f, but" in str(error)


async def test_a_chain_id_that_is_no_felt_is_no_crash() -> None:
    error = await failure(probed(Node(chain="SN_MAIN")))
    assert isinstance(error, errors.InconsistentAnswerError)


@pytest.mark.parametrize("refusal", [b"<html>", b'{"jsonrpc":"2.0","id":null,"result":1}'])
async def test_a_node_that_cannot_do_batches_is_asked_singly(refusal: bytes) -> None:
    node = Node()
    profile = await probed(lambda message: refusal if isinstance(message, list) else node(message))
    assert not profile.batches


async def test_a_recording_is_fit_on_every_path() -> None:
    for path, version in [("/rpc/v0_8", "0.8.1"), ("/rpc/v0_9", "0.9.0"), ("/", "0.10.2")]:
        async with chain_stage.node(path=path) as node:
            assert node.profile.spec_version == version
            assert (await node.head()).number == LAST


async def test_finality_is_the_newest_block_accepted_on_l1() -> None:
    head = chain_stage.playhead.Playhead.everything(chain_stage.RECORDING, finality_lag=5)
    async with chain_stage.node(head=head) as node:
        assert await node.finalised() == LAST - 5


@pytest.mark.parametrize("code", [24, -32602, -32603])
async def test_finality_never_stands_in_the_way(code: int) -> None:
    made_up = Node()

    def header(message: Any) -> bytes:
        if message["params"]["block_id"] == "l1_accepted":
            return refused(message, code)
        return ok(message, HEADER)

    made_up.answers["starknet_getBlockWithTxHashes"] = header
    async with chain_stage.lying(made_up) as liar, chain_stage.connected(liar.url) as node:
        assert await node.finalised() is None
        assert (await node.head()).number == 7


# --- several endpoints ----------------------------------------------------------------------


async def test_the_first_fit_endpoint_is_taken() -> None:
    with structlog.testing.capture_logs() as logged:
        async with (
            chain_stage.lying(Node(chain="0x1")) as wrong,
            chain_stage.lying(Node(version="0.6.0")) as old,
            chain_stage.lying(Node()) as good,
            chain_stage.connected(wrong.url, old.url, good.url) as node,
        ):
            assert node.profile.endpoint == urls.redact(good.url)
            assert (await node.head()).number == 7
    unfit = [line for line in logged if line["event"] == "endpoint_unfit"]
    assert [line["endpoint"] for line in unfit] == [urls.redact(wrong.url), urls.redact(old.url)]
    assert KEY not in str(logged)


async def test_no_fit_endpoint_raises_the_first_trouble() -> None:
    async with (
        chain_stage.lying(Node(chain="0x1")) as wrong,
        chain_stage.lying(Node(version="0.6.0")) as old,
    ):
        error = await failure(client.connect([wrong.url, old.url], CHAIN_ID, SETTINGS))
    assert isinstance(error, errors.WrongChainError)


async def test_the_head_comes_from_the_next_endpoint_where_one_is_down() -> None:
    first, second = Node(), Node()
    second.answers["starknet_getBlockWithTxHashes"] = {**HEADER, "block_number": 9}
    async with (
        chain_stage.lying(first) as one,
        chain_stage.lying(second) as two,
        chain_stage.connected(one.url, two.url) as node,
    ):
        first.down = True
        assert (await node.head()).number == 9
        assert node.profile.endpoint == urls.redact(two.url)
        first.down, second.down = False, True
        assert (await node.head()).number == 7
        first.down = True
        assert isinstance(await failure(node.head()), errors.NodeUnreachableError)


async def test_an_endpoint_that_is_shut_for_good_is_left_too() -> None:
    first = Node()
    async with (
        chain_stage.lying(first) as one,
        chain_stage.lying(Node()) as two,
        chain_stage.connected(one.url, two.url) as node,
    ):
        first.answers["starknet_getBlockWithTxHashes"] = lambda message: refused(message, -32601)
        assert (await node.head()).number == 7
        assert node.profile.endpoint == urls.redact(two.url)


async def test_several_who_failed_on_one_source_move_only_once() -> None:
    async with (
        chain_stage.lying(Node()) as one,
        chain_stage.lying(Node()) as two,
        chain_stage.lying(Node()) as three,
        chain_stage.connected(one.url, two.url, three.url) as node,
    ):
        failed = node.source
        moves = await rpc.gather(node.fail_over(failed) for _ in range(5))
        assert moves == [True] * 5
        assert node.profile.endpoint == urls.redact(two.url)


async def test_an_endpoint_of_another_chain_is_never_moved_to() -> None:
    first = Node()
    async with (
        chain_stage.lying(first) as one,
        chain_stage.lying(Node(chain="0x1")) as two,
        chain_stage.connected(one.url, two.url) as node,
    ):
        assert not await node.fail_over(node.source)
        assert node.profile.endpoint == urls.redact(one.url)


# --- headers and views ----------------------------------------------------------------------


async def test_a_header_of_another_number_is_refused() -> None:
    async with chain_stage.lying(Node()) as liar, chain_stage.connected(liar.url) as node:
        assert (await node.header(7)) is not None
        assert isinstance(await failure(node.header(8)), errors.InconsistentAnswerError)


async def test_a_block_under_construction_is_no_header() -> None:
    made_up = Node()
    made_up.answers["starknet_getBlockWithTxHashes"] = {"block_number": 8, "timestamp": 1}
    async with chain_stage.lying(made_up) as liar, chain_stage.connected(liar.url) as node:
        assert isinstance(await failure(node.head()), errors.InconsistentAnswerError)


ASKED = view_call.ViewCall(11, 1, "price", (3,))


async def viewed(answer: Any) -> list[list[int] | errors.RpcError]:
    made_up = Node()
    made_up.answers["starknet_call"] = answer
    async with chain_stage.lying(made_up) as liar, chain_stage.connected(liar.url) as node:
        return await node.calls([ASKED, ASKED], {11: "0xb"})


async def test_views_are_answered_in_felts() -> None:
    assert await viewed(["0x0A", "0x1"]) == [[10, 1], [10, 1]]


@pytest.mark.parametrize("code", [20, 21, 40])
async def test_a_refusing_contract_stands_in_its_place(code: int) -> None:
    found = await viewed(lambda message: refused(message, code))
    assert [error.code for error in found if isinstance(error, errors.RpcError)] == [code, code]


async def test_a_view_at_an_unknown_block_is_no_refusal() -> None:
    error = await failure(viewed(lambda message: refused(message, 24)))
    assert isinstance(error, errors.InconsistentAnswerError)


async def test_a_view_that_the_node_refuses_is_no_answer_of_the_contract() -> None:
    error = await failure(viewed(lambda message: refused(message, -32602)))
    assert isinstance(error, errors.RefusedRequestError)
