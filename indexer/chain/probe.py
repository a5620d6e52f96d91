"""The probe of an endpoint: its RPC version, chain and limits, and whether it can be indexed."""

from __future__ import annotations

import re

import msgspec
import structlog

from indexer import errors
from indexer.chain import rpc, wire

log = structlog.get_logger(__name__)

SUPPORTED = "0.8, 0.9 and 0.10"


class NodeProfile(msgspec.Struct, frozen=True):
    """The capabilities of an endpoint, as the probe found them."""

    endpoint: str
    spec_version: str
    chain_id: str
    address_lists: bool
    event_indexes: bool
    batches: bool


async def probe(endpoint: rpc.Endpoint, chain_id: int | None) -> NodeProfile:
    """Ask version and chain, and try a batch. FatalNodeError where it cannot be indexed from."""
    found = await identify(endpoint, chain_id)
    await _try_batch(endpoint)
    return msgspec.structs.replace(found, batches=endpoint.batches)


async def identify(endpoint: rpc.Endpoint, chain_id: int | None) -> NodeProfile:
    """The same without trying a batch, which proves nothing while the endpoint has failures."""
    version = await _text(endpoint, "starknet_specVersion")
    found = _version(version)
    if not (0, 8, 0) <= found < (0, 11, 0):
        raise errors.UnsupportedSpecError(
            f"{endpoint.name} speaks Starknet RPC {version}; the indexer knows {SUPPORTED}: use a "
            "URL with the version in its path, such as /rpc/v0_10"
        )
    chain = wire.felt(await _text(endpoint, "starknet_chainId"))
    if chain_id is not None and int(chain, 16) != chain_id:
        raise errors.WrongChainError(
            f"{endpoint.name} serves {_named(int(chain, 16))}, but network.chain_id is "
            f"{_named(chain_id)}: change node.urls or the network"
        )
    return NodeProfile(
        endpoint.name,
        version,
        chain,
        address_lists=found >= (0, 10, 1),
        event_indexes=found >= (0, 10, 0),
        batches=endpoint.batches,
    )


async def _try_batch(endpoint: rpc.Endpoint) -> None:
    """Send single calls from now on where the endpoint refuses a batch."""
    try:
        await endpoint.call_many([rpc.Request("starknet_specVersion")] * 2)
    except errors.NodeBusyError:
        raise
    except errors.NodeError as error:
        log.info("batches_failed", endpoint=endpoint.name, reason=str(error))
        endpoint.ask_singly()


async def _text(endpoint: rpc.Endpoint, method: str) -> str:
    raw = await endpoint.call(rpc.Request(method))
    text: str = wire.decoded(wire.text_decoder, raw, method)
    return text


def _version(text: str) -> tuple[int, int, int]:
    """Major, minor and patch; a pre-release counts as its release."""
    found = re.fullmatch(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})([-+].*)?", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


def _named(chain: int) -> str:
    """A chain id as its short string and hex, such as SN_MAIN (0x534e5f4d41494e)."""
    name = chain.to_bytes(32, "big").lstrip(b"\0").decode("ascii", "replace")
    return f"{name} ({chain:#x})" if re.fullmatch(r"\w+", name, re.ASCII) else hex(chain)
