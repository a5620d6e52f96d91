"""The probe of an endpoint: its RPC version, chain and limits, and whether it can be indexed."""

from __future__ import annotations

import asyncio
import logging
import re

import msgspec

from indexer import errors
from indexer.cairo import felt252
from indexer.cairo import text as texts
from indexer.chain import failures, rpc, wire

SUPPORTED = "0.8, 0.9 and 0.10"
LONGEST_VERSION = 40
IDENTITY_ATTEMPTS = 3
IDENTITY_PAUSE = 0.5
ASKED = f" (asked {IDENTITY_ATTEMPTS} times in {(IDENTITY_ATTEMPTS - 1) * IDENTITY_PAUSE:g} s)"


class NodeProfile(msgspec.Struct, frozen=True):
    """The capabilities of an endpoint, as the probe found them."""

    endpoint: str
    spec_version: str
    chain_id: str
    address_lists: bool
    event_indexes: bool
    batches: bool


async def probe(endpoint: rpc.Endpoint, chain_id: int | None, batch: int = 2) -> NodeProfile:
    """Ask version and chain, and try a batch. FatalNodeError where it cannot be indexed from."""
    node_profile = await identify(endpoint, chain_id)
    await endpoint.call_many([rpc.Request("starknet_specVersion")] * batch)
    return msgspec.structs.replace(node_profile, batches=endpoint.batches)


async def identify(endpoint: rpc.Endpoint, chain_id: int | None) -> NodeProfile:
    """The same without trying a batch, which proves nothing while the endpoint has failures.

    A wrong version or chain is asked for several times: behind one URL several nodes may answer,
    and one wrong answer must not end a daemon.
    """
    for _ in range(IDENTITY_ATTEMPTS - 1):
        try:
            return await _identity(endpoint, chain_id)
        except (errors.UnsupportedSpecError, errors.WrongChainError) as error:
            failures.record(endpoint.name, error, "retry", logging.INFO)
            await asyncio.sleep(IDENTITY_PAUSE)
    return await _identity(endpoint, chain_id)


async def _identity(endpoint: rpc.Endpoint, chain_id: int | None) -> NodeProfile:
    spec_version = endpoint.hide(await _text(endpoint, "starknet_specVersion"))
    version = texts.clean(spec_version, LONGEST_VERSION)
    found = _version(version)
    if not (0, 8, 0) <= found < (0, 11, 0):
        raise errors.UnsupportedSpecError(
            f"{endpoint.name} speaks Starknet RPC {version}; the indexer knows {SUPPORTED}: use a "
            f"URL with the version in its path, such as /rpc/v0_10{ASKED}"
        )
    chain = wire.felt(await _text(endpoint, "starknet_chainId"))
    if chain_id is not None and int(chain, 16) != chain_id:
        raise errors.WrongChainError(
            f"{endpoint.name} serves {felt252.named(int(chain, 16))}, but network.chain_id is "
            f"{felt252.named(chain_id)}: change node.urls or the network{ASKED}"
        )
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
    """Major, minor and patch, 0 where it is left out; a pre-release counts as its release."""
    match = re.fullmatch(r"[vV]?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?([-+].*)?", text.strip())
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)
