"""A made-up chain and a node that serves it in memory, with trouble on request."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence

from indexer import errors
from indexer.chain import types
from tests.unit import chain_stage

Version = dict[int, types.BlockWithReceipts]
Trouble = Callable[["FakeSource", str, int, int], None]


def version(name: str, blocks: int, emitted: dict[int, list[int]], before: Version = {}) -> Version:  # noqa: B006
    """A chain whose blocks hold events of these addresses; hashes tell its name.

    `before` gives the blocks that it shares with another version. All events of a block are of
    one transaction; each event's only key is its address.
    """
    made = dict(before)
    for number in range(len(before), blocks):
        hash_ = f"{name}{number}"
        parent = made[number - 1].header.hash if number else "none"
        events = [
            types.ReceiptEvent(hex(a), [a], [int.from_bytes(hash_.encode())])
            for a in emitted.get(number, [])
        ]
        receipt = types.Receipt(f"t{hash_}", 0, 1, "FRI", "SUCCEEDED", events)
        header = types.BlockHeader(number, hash_, parent, number, "ACCEPTED_ON_L2", "")
        made[number] = types.BlockWithReceipts(header, [receipt])
    return made


def random_events(
    chance: random.Random, blocks: int, addresses: Sequence[int]
) -> dict[int, list[int]]:
    """For some of the blocks, addresses in the order of their events."""
    return {
        number: chance.choices(addresses, k=chance.randint(1, 6))
        for number in range(blocks)
        if chance.random() < 0.4
    }


def truth(
    chain: Version, first: int, last: int, addresses: Collection[int]
) -> list[types.EmittedEvent]:
    """The events of these addresses in a closed range of a chain."""
    wanted = {hex(address) for address in addresses}
    return [
        event
        for number in range(first, last + 1)
        if number in chain
        for event in types.events_of(chain[number], wanted)
    ]


class FakeSource:
    """Answers from the chain it holds now; `trouble` is called before each answer.

    Questions that begin above the block `stuck_from` are never answered.
    """

    def __init__(self, name: str, chain: Version, trouble: Trouble = lambda *_: None) -> None:
        self.name, self.chain, self.trouble = name, chain, trouble
        self.windows: list[int] = []
        self.stuck_from = 10**9
        self.most_blocks = 10**9
        self.profile = chain_stage.profile("0.10.2")

    async def header(self, number: int) -> types.BlockHeader | None:
        await self._answer("header", number, number)
        block = self.chain.get(number)
        return None if block is None else block.header

    def take_head(self, _: int) -> None:
        """It told no head: each header is asked for."""

    async def headers(self, numbers: Sequence[int]) -> list[types.BlockHeader]:
        found = [await self.header(number) for number in numbers]
        if None in found:
            raise errors.InconsistentAnswerError("a block is not known", kind="lagging")
        return [header for header in found if header is not None]

    async def events(
        self,
        from_block: int,
        to_block: int,
        addresses: Collection[int],
        most: int | None = None,
        tip_hash: str | None = None,
    ) -> list[types.EmittedEvent]:
        self.windows.append(to_block - from_block + 1)
        await self._answer("events", from_block, to_block)
        found = truth(self.chain, from_block, to_block, addresses)
        if most is not None and len(found) > most:
            raise errors.RangeTooLargeError("too many events")
        return found

    async def blocks(
        self, numbers: Sequence[int], with_events: bool = False
    ) -> list[types.BlockWithReceipts]:
        for number in numbers:
            await self._answer("blocks", number, number)
            if number not in self.chain:
                raise errors.InconsistentAnswerError(f"no block {number}")
        return [self.chain[number] for number in numbers]

    async def _answer(self, kind: str, first: int, last: int) -> None:
        await asyncio.sleep(0)
        if first > self.stuck_from:
            await asyncio.Event().wait()
        self.trouble(self, kind, first, last)


class FakeNode:
    """Sources in order, one in use."""

    def __init__(self, *sources: FakeSource) -> None:
        self.sources = list(sources)
        self.source = self.sources[0]
        self.fail_overs = 0

    async def fail_over(self, failed: FakeSource) -> bool:
        self.fail_overs += 1
        if failed is not self.source:
            return True
        after = (self.sources.index(failed) + 1) % len(self.sources)
        self.source = self.sources[after]
        return self.source is not failed


class Watch:
    """Which addresses are watched: at first `known`; an event of a key of `names` adds more."""

    def __init__(self, known: Collection[int], names: dict[int, list[int]] | None = None) -> None:
        self.now = frozenset(known)
        self.names = names or {}

    def known(self) -> frozenset[int]:
        return self.now

    async def discover(self, events: Sequence[types.EmittedEvent]) -> frozenset[int]:
        named = {int(event.from_address, 16) for event in events}
        found = {new for address in named for new in self.names.get(address, [])} - self.now
        self.now |= found
        return frozenset(found)
