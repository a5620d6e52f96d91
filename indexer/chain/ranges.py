"""The range reader: windows of the chain, read ahead, delivered in order, each one closed.

A range is closed by reading the header of its last block again after everything else: the
same hash as before means that nothing changed underneath. Windows shrink when the node finds
them too large or too full, and grow again while it copes.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Callable, Collection, Sequence

import msgspec
import structlog

from indexer import errors
from indexer.chain import client, completeness, types

log = structlog.get_logger(__name__)

Known = Callable[[], frozenset[int]]
Discover = Callable[[Sequence[types.EmittedEvent]], frozenset[int]]


class ReaderSettings(msgspec.Struct, frozen=True):
    """How far to look at once. `target_events` bounds the memory that a range takes.

    `verify`: prove the blocks with our events complete ("events"), every block ("all"), or
    believe what getEvents tells ("off").
    """

    first_window: int = 10_000
    largest_window: int = 80_000
    target_events: int = 10_000
    windows_ahead: int = 2
    attempts: int = 4
    pause_seconds: float = 0.5
    verify: str = "off"


class _Part(msgspec.Struct):
    """What a window held for the addresses known when it was asked."""

    from_block: int
    to_block: int
    tip: types.BlockHeader
    addresses: frozenset[int]
    events: list[types.EmittedEvent]
    blocks: dict[int, types.BlockWithReceipts]


class RangeReader:
    """Reads ranges from one node. One reader serves one catch-up."""

    def __init__(self, node: client.StarknetNode, settings: ReaderSettings | None = None) -> None:
        self._node = node
        self._settings = settings or ReaderSettings()
        self._window = self._settings.first_window

    async def ranges(
        self, from_block: int, to_block: int, known: Known, discover: Discover
    ) -> AsyncIterator[types.Range]:
        """Every block from `from_block` to `to_block`, once, in order.

        `known()` tells the addresses to watch now. `discover(events)` returns those that a
        range's events newly name, and `known()` tells them from then on; their events are
        fetched from the range's first block on, before the range is delivered.
        """
        ahead: collections.deque[asyncio.Task[_Part]] = collections.deque()
        wanted = asked = from_block
        try:
            while wanted <= to_block:
                while asked <= to_block and len(ahead) <= self._settings.windows_ahead:
                    end = min(asked + self._window - 1, to_block)
                    read = self._read(asked, end, known())
                    ahead.append(asyncio.create_task(read, name=str(asked)))
                    asked = end + 1
                task = ahead.popleft()
                part = await task
                delivered = await self._complete(part, known, discover)
                wanted = delivered.to_block + 1
                if wanted != (_start(ahead) if ahead else asked):
                    # The window was cut short: what was read ahead leaves a gap.
                    await _cancel(ahead)
                    asked = wanted
                yield delivered
        finally:
            await _cancel(ahead)

    # --- a window ---------------------------------------------------------------------

    async def _read(self, from_block: int, to_block: int, addresses: frozenset[int]) -> _Part:
        """A window, or its beginning where the node wants to be asked for less."""
        for attempt in range(1, self._settings.attempts + 1):
            try:
                return await self._attempt(from_block, to_block, addresses)
            except errors.RangeTooLargeError as error:
                if to_block == from_block:
                    raise
                to_block = from_block + (to_block - from_block) // 2
                self._window = max(to_block - from_block + 1, 1)
                log.info("smaller_window", blocks=self._window, reason=str(error))
            except errors.RetryableNodeError as error:
                if attempt == self._settings.attempts:
                    raise
                await self._try_elsewhere(error)
        return await self._read(from_block, to_block, addresses)

    async def _try_elsewhere(self, error: errors.RetryableNodeError) -> None:
        log.warning("range_read_again", reason=str(error))
        await self._node.fail_over()
        await asyncio.sleep(self._settings.pause_seconds)

    async def _attempt(self, from_block: int, to_block: int, addresses: frozenset[int]) -> _Part:
        tip = await self._header(to_block)
        events = await self._node.events(from_block, to_block, addresses)
        part = _Part(from_block, to_block, tip, addresses, events, {})
        await self._add_blocks(part)
        self._adapt(to_block - from_block + 1, len(events))
        return part

    async def _header(self, number: int) -> types.BlockHeader:
        header = await self._node.header(number)
        if header is None:
            raise errors.InconsistentAnswerError(
                f"the node told a head above block {number} and does not know that block"
            )
        return header

    async def _add_blocks(self, part: _Part) -> None:
        """Read the blocks that hold events; every event must be of its block."""
        missing = {event.block_number for event in part.events} - part.blocks.keys()
        for block in await self._node.blocks(sorted(missing), self._is_proving):
            part.blocks[block.header.number] = block
        for event in part.events:
            header = part.blocks[event.block_number].header
            if header.hash != event.block_hash:
                raise errors.InconsistentAnswerError(
                    f"block {event.block_number} has the hash {header.hash}, its events say "
                    f"{event.block_hash}: the chain changed while it was read"
                )

    def _adapt(self, blocks: int, events: int) -> None:
        """Aim at the target number of events a window; never more than double at once."""
        settings = self._settings
        if events > settings.target_events:
            self._window = max(blocks * settings.target_events // events, 1)
        elif blocks >= self._window and events * 2 <= settings.target_events:
            self._window = min(self._window * 2, settings.largest_window)

    # --- delivery ---------------------------------------------------------------------

    async def _complete(self, part: _Part, known: Known, discover: Discover) -> types.Range:
        for attempt in range(1, self._settings.attempts + 1):
            try:
                await self._add_discovered(part, known, discover)
                await self._close(part)
                proved = await self._prove(part)
            except errors.InconsistentAnswerError as error:
                if attempt == self._settings.attempts:
                    raise
                await self._try_elsewhere(error)
                fresh = await self._attempt(part.from_block, part.to_block, known())
                part.tip, part.events, part.blocks = fresh.tip, fresh.events, fresh.blocks
                part.addresses = fresh.addresses
            else:
                break
        blocks = [part.blocks[number] for number in sorted(part.blocks)]
        return types.Range(part.from_block, part.to_block, part.tip, part.events, blocks, proved)

    async def _add_discovered(self, part: _Part, known: Known, discover: Discover) -> None:
        """Fetch the events of addresses that were not known when the window was asked."""
        while True:
            discover(part.events)
            missing = known() - part.addresses
            if not missing:
                return
            found = await self._node.events(part.from_block, part.to_block, missing)
            part.addresses |= missing
            part.events = sorted([*part.events, *found], key=_key)
            await self._add_blocks(part)

    @property
    def _is_proving(self) -> bool:
        return self._settings.verify != "off"

    async def _prove(self, part: _Part) -> frozenset[int]:
        """Prove the range's blocks complete; returns those for which that was possible."""
        if not self._is_proving:
            return frozenset()
        told: dict[int, list[types.EmittedEvent]] = {}
        for event in part.events:
            told.setdefault(event.block_number, []).append(event)
        addresses = {hex(address) for address in part.addresses}
        proved = set()
        async for block in self._to_prove(part):
            number = block.header.number
            # Hashing a busy block takes a tenth of a second: not on the event loop.
            if await asyncio.to_thread(completeness.prove, block, told.get(number, ()), addresses):
                proved.add(number)
        return frozenset(proved)

    async def _to_prove(self, part: _Part) -> AsyncIterator[types.BlockWithReceipts]:
        """The blocks to prove, ascending, those without our events a batch at a time."""
        for number in sorted(part.blocks):
            yield part.blocks[number]
        if self._settings.verify == "all":
            others = [
                number
                for number in range(part.from_block, part.to_block + 1)
                if number not in part.blocks
            ]
            for start in range(0, len(others), client.BLOCKS_PER_BATCH):
                batch = others[start : start + client.BLOCKS_PER_BATCH]
                for block in await self._node.blocks(batch, with_events=True):
                    yield block

    async def _close(self, part: _Part) -> None:
        again = await self._header(part.to_block)
        if again.hash != part.tip.hash:
            raise errors.InconsistentAnswerError(
                f"block {part.to_block} changed while the range up to it was read"
            )


def _key(event: types.EmittedEvent) -> tuple[int, int, int]:
    return event.block_number, event.transaction_index, event.event_index


def _start(ahead: Collection[asyncio.Task[_Part]]) -> int:
    """The first block of the oldest window that is read ahead."""
    return int(next(iter(ahead)).get_name())


async def _cancel(ahead: collections.deque[asyncio.Task[_Part]]) -> None:
    while ahead:
        task = ahead.popleft()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
