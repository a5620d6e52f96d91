"""The start-up probe: what kind of node is this, and may we index from it?"""

from __future__ import annotations

import msgspec

from indexer import errors
from indexer.chain import rpc, wire

SUPPORTED = "0.8, 0.9 and 0.10"


class NodeProfile(msgspec.Struct, frozen=True):
    """What a node can do, as it said at start-up."""

    endpoint: str
    spec_version: str
    chain_id: str
    address_lists: bool
    event_indexes: bool
    batches: bool


async def probe(endpoint: rpc.Endpoint, chain_id: int | None) -> NodeProfile:
    """Ask version and chain, try a batch; refuses what cannot be indexed from."""
    version = await _text(endpoint, "starknet_specVersion")
    found = _version(version)
    if not (0, 8, 0) <= found < (0, 11, 0):
        raise errors.UnsupportedSpecError(
            f"{endpoint.name} speaks Starknet RPC {version}; the indexer knows {SUPPORTED}: use a "
            "URL with the version in its path, such as /rpc/v0_10"
        )
    chain = await _text(endpoint, "starknet_chainId")
    if chain_id is not None and int(chain, 16) != chain_id:
        raise errors.WrongChainError(
            f"{endpoint.name} serves {_named(int(chain, 16))}, but network.chain_id is "
            f"{_named(chain_id)}: change node.urls or the network"
        )
    await endpoint.call_many([rpc.Request("starknet_specVersion")] * 2)
    return NodeProfile(
        endpoint.name,
        version,
        chain,
        address_lists=found >= (0, 10, 1),
        event_indexes=found >= (0, 10, 0),
        batches=endpoint.batches,
    )


async def _text(endpoint: rpc.Endpoint, method: str) -> str:
    raw = await endpoint.call(rpc.Request(method))
    text: str = wire.decoded(wire.text_decoder, raw, method)
    return text


def _version(text: str) -> tuple[int, int, int]:
    """Major, minor and patch; a pre-release counts as its release."""
    numbers = text.partition("-")[0].split(".")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        return (0, 0, 0)
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _named(chain: int) -> str:
    """A chain id as people know it, such as SN_MAIN (0x534e5f4d41494e)."""
    name = chain.to_bytes(32, "big").lstrip(b"\0")
    return f"{name.decode()} ({chain:#x})" if name.isalnum() or b"_" in name else hex(chain)
