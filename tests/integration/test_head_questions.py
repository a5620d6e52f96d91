"""What a block at the head asks of the node: what a look told already is not asked again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from indexer.chain import client, ranges, types
from indexer.daemon import reorg_detector
from indexer.log import cursor
from indexer.recording import server
from tests.integration import chain_stage
from tests.integration.chain_stage import EMITTERS, MAIN, RECORDING, SETTINGS
from tests.integration.daemon_stage import Playhead

FULL = max(number for number, block in MAIN.items() if block.events)
"""The last block with events."""


@pytest.fixture
async def head() -> Playhead:
    return Playhead.at_block(RECORDING, FULL)


@pytest.fixture
async def served(head: Playhead) -> AsyncIterator[server.RecordingServer]:
    async with server.RecordingServer(RECORDING, head) as running:
        yield running


@pytest.fixture
async def node(served: server.RecordingServer) -> AsyncIterator[client.StarknetNode]:
    made = await client.connect([served.url], chain_stage.CHAIN_ID, SETTINGS)
    yield made
    await made.close()


async def read(node: client.StarknetNode, first: int, last: int) -> list[types.Range]:
    async def discover(_: object) -> None:
        return None

    known = frozenset(EMITTERS)
    settings = ranges.ReaderSettings(verify="events", pause_seconds=0.001)
    reader = ranges.RangeReader(node, settings)
    return [part async for part in reader.ranges(first, last, lambda: known, discover)]


async def test_a_block_that_is_the_head_asks_its_header_once(
    served: server.RecordingServer, node: client.StarknetNode
) -> None:
    """In the end, against what the look told in the beginning."""
    assert (await node.head()).number == FULL
    served.counts.clear()
    (part,) = await read(node, FULL, FULL)
    assert served.counts == {
        "starknet_getBlockTransactionCount": 1,
        "starknet_getEvents": 1,
        "starknet_getBlockWithReceipts": 1,
        "starknet_getBlockWithTxHashes": 1,
    }
    assert part.tip.hash == MAIN[FULL].hash
    assert part.parent_hash == MAIN[FULL - 1].hash


async def test_what_a_look_told_serves_one_read(
    served: server.RecordingServer, node: client.StarknetNode
) -> None:
    await node.head()
    first, second = await read(node, FULL, FULL), await read(node, FULL, FULL)
    assert first == second
    assert served.counts["starknet_getBlockWithReceipts"] == 2


async def test_a_head_that_is_another_block_when_it_is_read_is_read_as_that_one(
    head: Playhead, node: client.StarknetNode
) -> None:
    fork = RECORDING.forks[0]
    head.go_to(fork.last, branch=1)
    told = await node.head()
    head.go_to(fork.last)
    (part,) = await read(node, fork.last, fork.last)
    assert told.hash != MAIN[fork.last].hash == part.tip.hash
    assert part.parent_hash == MAIN[fork.last - 1].hash
    assert {event.block_hash for event in part.events} <= {part.tip.hash}


class OneSource:
    """A node of one endpoint, which answers nothing."""

    source = object()

    async def ask_any(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        return await question(self.source)


async def test_a_head_that_names_the_committed_block_as_its_parent_is_asked_nothing() -> None:
    header = MAIN[FULL]
    below = MAIN[FULL - 1]
    detector = reorg_detector.Detector(OneSource(), None, reorg_detector.Caution())  # type: ignore[arg-type]
    committed = cursor.Cursor(RECORDING.chain_id, 0, below.number, below.hash, 1, 0, 0, 0)
    head = types.BlockHeader(header.number, header.hash, below.hash, 2, "ACCEPTED_ON_L2", "")
    assert await detector.verdict(committed, head, None) is None
    other = msgspec.structs.replace(head, parent_hash="0xabc")
    with pytest.raises(AttributeError, match="header"):
        await detector.verdict(committed, other, None)
