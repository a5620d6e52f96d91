"""Checks that the configured contracts exist on the chain."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import structlog

from indexer import errors
from indexer.chain import client
from indexer.log import watch_list

log = structlog.get_logger(__name__)

ASKED_TIMES = 3
"""How often a node must say that no contract stands at an address: one answer is not believed."""


async def require(
    node: client.StarknetNode,
    connection: asyncpg.Connection,
    configured: Sequence[watch_list.Contract],
) -> None:
    """Ask the node for the class at each configured address once.

    Raises ConfigError where the chain is past a contract's first block and no contract stands at
    its address. A node that cannot tell is asked again at the next start.
    """
    known = await watch_list.classed(connection)
    contracts = [contract for contract in configured if contract.address not in known]
    try:
        await _require_classes(node, connection, contracts)
    except errors.NodeError as error:
        log.warning("contracts_not_checked", reason=str(error))


async def _require_classes(
    node: client.StarknetNode,
    connection: asyncpg.Connection,
    contracts: Sequence[watch_list.Contract],
) -> None:
    """ConfigError where no contract stands at an address; NodeError where the node cannot tell."""
    if not contracts:
        return
    head = await node.head()
    for contract in contracts:
        if head.number < contract.from_block:
            continue
        found = await _class_hash(node, contract.address)
        if found is None:
            raise errors.ConfigError(missing(contract, head.number))
        await watch_list.note_class(connection, contract.address, found)


async def _class_hash(node: client.StarknetNode, address: int) -> int | None:
    """The class at an address; None where the node says several times that there is none."""
    for _ in range(ASKED_TIMES):
        if (found := await node.class_hash(address)) is not None:
            return found
    return None


def missing(contract: watch_list.Contract, block: int) -> str:
    """The message for a configured address without a contract."""
    return (
        f"network.contracts: no contract stands at {contract} at block {block}, although its "
        f"from_block is {contract.from_block}: check the address and the network"
    )
