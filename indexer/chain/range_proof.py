"""Which blocks of a range are proved before it is delivered, and their proofs."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator

import msgspec

from indexer.chain import at_once, block_proof, types, windows
from indexer.chain import source as sources

CORES = os.cpu_count() or 1
"""How many threads hash blocks that wait for their commit."""


class Choice(msgspec.Struct, frozen=True):
    """Which blocks are proved. `verify`, `sample_rate`, `sample_seed`: as the reader's settings.

    `far_end`: the last block that counts as far from the end. `suspects`: blocks that are proved
    whatever the settings are.
    """

    verify: str
    far_end: int
    sample_rate: float
    sample_seed: int
    suspects: frozenset[int]

    @property
    def is_proving(self) -> bool:
        """Whether any block is proved."""
        return self.verify != "off" or bool(self.suspects)

    def is_left_to_background(self, node_source: sources.Source, blocks: range) -> bool:
        """Whether these blocks are read by their events alone: receipts and proofs come later."""
        return (
            self.verify != "all"
            and blocks[-1] <= self.far_end
            and node_source.profile.event_indexes
            and not any(number in blocks for number in self.suspects)
        )

    def is_held_twice(self, node_source: sources.Source, blocks: range) -> bool:
        """Whether each event of these blocks is held twice in memory until it is proved.

        Their receipts are read with their events then, beside the events themselves.
        """
        return self.is_proving and not self.is_left_to_background(node_source, blocks)

    def reads_more(self, part: windows.Window) -> bool:
        """Whether blocks are read for the proofs that the window does not hold."""
        return self.is_proving and bool(self._others(part))

    async def prove(self, part: windows.Window) -> dict[int, types.Proof]:
        """Check the window against its blocks; returns the proof of each block checked.

        The blocks' own events are dropped then: the window holds those of the watched addresses.
        """
        if not self.is_proving:
            return {}
        returned: dict[int, list[types.EmittedEvent]] = {}
        for event in part.events:
            returned.setdefault(event.block_number, []).append(event)
        addresses = {hex(address) for address in part.addresses}
        others = self._others(part)
        is_alone = len(part.blocks) + len(others) == 1
        proofs: dict[int, types.Proof] = {}

        async def prove_block(block: types.BlockWithReceipts) -> None:
            number = block.header.number
            prove = functools.partial(block_proof.prove, block, returned.get(number, ()), addresses)
            if self._is_hashed(number):
                # Hashing a busy block takes some tenths of a second: not on the event loop.
                proofs[number] = await asyncio.to_thread(prove, CORES if is_alone else 1)
            else:
                proofs[number] = prove(0)
            if number in part.blocks:
                part.blocks[number] = types.without_events(block)

        await at_once.each(_to_prove(part, others), prove_block, CORES)
        return proofs

    def verified(
        self, part: windows.Window, proofs: dict[int, types.Proof]
    ) -> tuple[types.Verified, ...]:
        """What counts as proved of the window's blocks: "sampled" where nothing else is known.

        A proof without the hash does not count: the background can prove more.
        """
        if not self.is_proving:
            return ()
        hashed = {number: proof for number, proof in proofs.items() if self._is_hashed(number)}
        return types.runs({number: hashed.get(number, "sampled") for number in part.numbers})

    def _is_hashed(self, number: int) -> bool:
        """Whether a block's event commitment is computed: years of them would take days."""
        return number > self.far_end or self._is_always_proved(number)

    def _is_always_proved(self, number: int) -> bool:
        """Whether a block is proved though the node returned no watched event in it."""
        if self.verify == "all" or number in self.suspects:
            return True
        return self.verify == "events" and block_proof.is_sampled(
            number, self.sample_rate, self.sample_seed
        )

    def _others(self, part: windows.Window) -> list[int]:
        """The blocks to prove that the window does not hold."""
        return [
            number
            for number in part.numbers
            if number not in part.blocks and self._is_always_proved(number)
        ]


async def _to_prove(
    part: windows.Window, others: list[int]
) -> AsyncIterator[types.BlockWithReceipts]:
    """The blocks to prove: those with watched events, then the others in batches."""
    for number in sorted(part.blocks):
        yield part.blocks[number]
    for start in range(0, len(others), sources.BLOCKS_PER_BATCH):
        batch = others[start : start + sources.BLOCKS_PER_BATCH]
        for block in await part.source.blocks(batch, with_events=True):
            yield block
