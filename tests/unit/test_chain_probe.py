"""Start-up: which nodes are taken, which are refused with words that help, who comes next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from indexer import errors
from indexer.chain import client, probe
from tests.unit import chain_stage
from tests.unit.test_chain_rpc import body, status

MAIN = int(chain_stage.MAIN, 16)


@pytest.fixture
async def node() -> AsyncIterator[chain_stage.FakeNode]:
    async with chain_stage.FakeNode().serving() as serving:
        yield serving


async def probed(node: chain_stage.FakeNode) -> probe.NodeProfile:
    async with chain_stage.endpoint(node) as endpoint:
        return await probe.probe(endpoint, MAIN)


@pytest.mark.parametrize(
    ("spec", "lists", "indexes"),
    [
        ("0.8.0", False, False),
        ("0.9.1", False, False),
        ("0.10.0", False, True),
        ("0.10.0-rc.2", False, True),
        ("0.10.1", True, True),
        ("0.10.3-rc.0", True, True),
        ("0.10.12+build", True, True),
    ],
)
async def test_a_version_says_what_a_node_can_do(
    node: chain_stage.FakeNode, spec: str, lists: bool, indexes: bool
) -> None:
    node.spec = spec
    found = await probed(node)
    assert (found.spec_version, found.address_lists, found.event_indexes, found.batches) == (
        spec,
        lists,
        indexes,
        True,
    )


@pytest.mark.parametrize("spec", ["0.7.1", "0.11.0", "1.0.0", "v2", "", "0.10.", "0.10.-1"])
async def test_another_version_is_refused_with_the_remedy(
    node: chain_stage.FakeNode, spec: str
) -> None:
    node.spec = spec
    with pytest.raises(errors.UnsupportedSpecError, match=r"0\.8, 0\.9 and 0\.10.*/rpc/v0_10"):
        await probed(node)


async def test_another_chain_is_refused_by_name(node: chain_stage.FakeNode) -> None:
    node.chain = chain_stage.SEPOLIA
    with pytest.raises(errors.WrongChainError, match=r"SN_SEPOLIA.*SN_MAIN"):
        await probed(node)


@pytest.mark.parametrize("chain", ["0x5fff", "0x1", "0x5f20"])
async def test_a_chain_without_a_readable_name_is_told_as_a_number(
    node: chain_stage.FakeNode, chain: str
) -> None:
    node.chain = chain
    with pytest.raises(errors.WrongChainError, match=chain):
        await probed(node)


@pytest.mark.parametrize("chain", ["SN_MAIN", "", "0x"])
async def test_a_chain_that_is_no_felt_is_an_answer_that_cannot_be(
    node: chain_stage.FakeNode, chain: str
) -> None:
    node.chain = chain
    with pytest.raises(errors.InconsistentAnswerError, match="no felt"):
        await probed(node)


@pytest.mark.parametrize(
    "fault",
    [
        status(400),
        body('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"denied"}}'),
        body("not for arrays"),
    ],
)
async def test_a_node_without_batches_is_asked_one_by_one(
    node: chain_stage.FakeNode, fault: chain_stage.Fault
) -> None:
    def only_arrays(request: Any, message: Any) -> Any:
        return fault(request, message) if isinstance(message, list) else None

    node.faults.extend([only_arrays] * 50)
    async with chain_stage.connected(node) as starknet:
        assert not starknet.profile.batches
        assert len(await starknet.source.blocks([1, 2, 3])) == 3


async def test_the_first_url_that_is_fit_is_taken(node: chain_stage.FakeNode) -> None:
    wrong, old = chain_stage.FakeNode(), chain_stage.FakeNode()
    wrong.chain, old.spec = chain_stage.SEPOLIA, "0.7.1"
    async with wrong.serving(), old.serving(), chain_stage.connected(wrong, old, node) as starknet:
        assert starknet.profile.endpoint == node.url


async def test_where_no_url_is_fit_the_first_trouble_is_told(
    node: chain_stage.FakeNode,
) -> None:
    node.chain = chain_stage.SEPOLIA
    with pytest.raises(errors.WrongChainError):
        await client.connect([node.url, "http://127.0.0.1:1"], MAIN, chain_stage.QUICK)
