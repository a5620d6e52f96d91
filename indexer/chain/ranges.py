"""The range reader: reads windows of blocks ahead and delivers them in order.

A range is read from one source as a whole. Its last block's header is read before and again
after everything else: the same hash means that the chain did not change in between. Windows
shrink when the node refuses them or they hold too many events, and grow again while it answers.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import msgspec

from indexer import errors
from indexer.chain import client, failures, range_proof, types, windows, windows_ahead
from indexer.chain import closing as closings
from indexer.chain import source as sources

Known = Callable[[], frozenset[int]]
Discover = Callable[[Sequence[types.EmittedEvent]], Awaitable[object]]
Forget = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """The default of `forget`, for callers that keep nothing of a range before its delivery."""


def _no_times(_: Sequence[types.EmittedEvent]) -> dict[int, int]:
    """The default of `event_times`: no event tells the time of its block."""
    return {}


class ReaderSettings(msgspec.Struct, frozen=True):
    """How many blocks a window has. The targets bound the memory that a range takes.

    A window that holds more than `spare` times a target is read again in smaller parts, and all
    that was read of it is lost: so the first is small, and each next one at most twice as large.
    `verify`: "events": the events are checked against the receipts and the event count of their
    blocks, within `near_blocks` of the end against the event commitment too, and a seeded
    sample of the other blocks (`sample_rate`, from 0 to 1) against all three; "all": every block
    is checked against all three; "off": nothing is checked.

    Further than `near_blocks` from the end, unless `verify` is "all", a window is read by
    its events alone: receipts and proofs are left to the background, and a header is read only
    for a block whose time no event of its own tells.
    """

    first_window: int = 250
    largest_window: int = 80_000
    target_events: int = 10_000
    target_blocks: int = 200
    spare: int = 4
    windows_ahead: int = 2
    attempts: int = 4
    pause_seconds: float = 0.5
    verify: str = "off"
    near_blocks: int = 1_000
    sample_rate: float = 0.0
    sample_seed: int = 0


class RangeReader:
    """Reads ranges from one node, and remembers the window size that the node answers."""

    def __init__(self, node: client.StarknetNode, settings: ReaderSettings | None = None) -> None:
        self._node = node
        self._settings = settings or ReaderSettings()
        self._window = self._settings.first_window
        self._end = 0
        self._closing: closings.Closing | None = None
        self.suspects: frozenset[int] = frozenset()
        """Blocks that the node answered incompletely before: proved whatever the settings are."""

    async def ranges(
        self,
        from_block: int,
        to_block: int,
        known: Known,
        discover: Discover,
        forget: Forget = _nothing,
        event_times: windows.EventTimes = _no_times,
        *,
        may_close_later: bool = False,
    ) -> AsyncGenerator[types.Range, None]:
        """Every block from `from_block` to `to_block`, once, in order.

        `known()` returns the addresses to watch. `discover(events)` adds those that a range's
        events name for the first time, and `known()` returns them from then on; their events are
        read from the range's first block on, before the range is delivered. `forget()` drops
        what `discover` added of a range that is read again: it may be of another branch.
        `event_times(events)` returns the times of those blocks whose own events tell them.
        `may_close_later`: the last range may be delivered before it is closed. It is delivered
        again where its closing refused the commit.
        """
        self._end = to_block
        self._known, self._discover = known, discover
        self._forget, self._event_times = forget, event_times
        self._proving = self._choice(to_block)
        ahead = windows_ahead.Queue()
        next_to_deliver = next_to_read = from_block
        try:
            while next_to_deliver <= to_block:
                while next_to_read <= to_block:
                    end, addresses = self._window_end(next_to_read), known()
                    if len(ahead) > self._most_ahead(range(next_to_read, end + 1)):
                        break
                    task = asyncio.create_task(self._read(next_to_read, end, addresses))
                    ahead.append(windows_ahead.Ahead(next_to_read, addresses, (task,)))
                    next_to_read = end + 1
                window = await ahead[0].tasks[-1]
                closes_later = may_close_later and window.to_block == to_block
                delivered = await self._deliver(window, closes_later=closes_later)
                ahead.popleft()
                next_to_deliver = delivered.to_block + 1
                if next_to_deliver != (ahead[0].from_block if ahead else next_to_read):
                    # The window was cut short: the windows read ahead leave a gap.
                    await windows_ahead.cancel(ahead)
                    next_to_read = next_to_deliver
                self._grow_all(ahead, known())
                yield delivered
                if delivered.closing is not None and delivered.closing.refusal is not None:
                    delivered = await self._deliver(window, delivered.closing.refusal)
                    next_to_deliver = next_to_read = delivered.to_block + 1
                    yield delivered
        finally:
            await windows_ahead.cancel(ahead)
            await self._break_off()

    def _choice(self, end: int) -> range_proof.Choice:
        settings = self._settings
        return range_proof.Choice(
            settings.verify,
            end - settings.near_blocks,
            settings.sample_rate,
            settings.sample_seed,
            self.suspects,
        )

    def _most_ahead(self, blocks: range) -> int:
        """How many windows may be read ahead of the first where the last of them has these blocks.

        At most one where events are held twice. More would save no time: proving a window takes
        longer than reading the next.
        """
        most = self._settings.windows_ahead
        return min(most, 1) if self._proving.is_held_twice(self._node.source, blocks) else most

    def _window_end(self, from_block: int) -> int:
        """The last block of a window; none reaches from far behind the end to near it."""
        end = min(from_block + self._blocks_at_once(self._node.source) - 1, self._end)
        far_end = self._proving.far_end
        return min(end, far_end) if from_block <= far_end else end

    # --- failures ---------------------------------------------------------------------

    async def _next_end(
        self, error: errors.NodeError, failed: sources.Source, from_: int, to: int, attempts: int
    ) -> int:
        """The last block of the next attempt; raises the error where none would succeed.

        `_read` and `_deliver` go round this loop for each window. `_grow` enters it where its own
        attempt fails, and leaves the next attempts to `_read`.

            attempt from_..to ── answered ──────────────────────────────────► delivered
               ▲         └────── error
               │                   ├─ too large, several blocks ── halve ─────────┐
               │                   └─ any other: one attempt spent                │
               │                        ├─ the last attempt ────────────────► raise
               │                        ├─ fatal, no other endpoint is fit ─► raise
               │                        ├─ fatal or inconsistent ── the same blocks
               │                        └─ unreachable, busy ────── halve ───────┤
               └─────────────────────────────────────────────────────────────────┘
        """
        if not _asks_for_less(error, from_, to):
            if attempts >= self._settings.attempts:
                raise error
            failed_over = await self._node.fail_over(failed)
            if isinstance(error, errors.FatalNodeError) and not failed_over:
                raise error
            is_elsewhere = self._node.source is not failed
            outcome = "other_endpoint" if is_elsewhere else "again"
            failures.record(failed.name, error, outcome, from_block=from_, to_block=to)
            await asyncio.sleep(self._settings.pause_seconds)
        if isinstance(error, errors.InconsistentAnswerError | errors.FatalNodeError):
            return to
        end = from_ + (to - from_) // 2
        self._window = min(self._window, end - from_ + 1)
        failures.record_division(failed.name, error, self._window)
        return end

    # --- a window ---------------------------------------------------------------------

    async def _read(
        self, from_block: int, to_block: int, addresses: frozenset[int]
    ) -> windows.Window:
        """A window, or its first blocks where the node refuses so many."""
        attempts = 0
        while True:
            node_source = self._node.source
            to_block = min(to_block, from_block + self._blocks_at_once(node_source) - 1)
            try:
                return await self._attempt(node_source, from_block, to_block, addresses)
            except errors.NodeError as error:
                attempts += not _asks_for_less(error, from_block, to_block)
                to_block = await self._next_end(error, node_source, from_block, to_block, attempts)

    async def _attempt(
        self, node_source: sources.Source, from_block: int, to_block: int, addresses: frozenset[int]
    ) -> windows.Window:
        tip, first = await windows.ends(node_source, from_block, to_block)
        part = windows.Window(
            node_source, from_block, to_block, first.parent_hash, tip, addresses, [], {}
        )
        await self._add_events(part, addresses)
        self._adapt(part)
        await self._close_ahead(part)
        return part

    async def _grow(
        self, reading: asyncio.Task[windows.Window], addresses: frozenset[int]
    ) -> windows.Window:
        """A window that is being read, with addresses that became known meanwhile."""
        part = await reading
        try:
            await self._add_missing(part, addresses)
            await self._close_ahead(part)
        except errors.NodeError as error:
            attempts = int(not _asks_for_less(error, part.from_block, part.to_block))
            end = await self._next_end(error, part.source, part.from_block, part.to_block, attempts)
            return await self._read(part.from_block, end, addresses)
        return part

    def _grow_all(self, ahead: windows_ahead.Queue, addresses: frozenset[int]) -> None:
        """Begin to read the events of addresses that the windows read ahead lack."""
        for index, window in enumerate(ahead):
            if not addresses <= window.addresses:
                task = asyncio.create_task(self._grow(window.tasks[-1], addresses))
                ahead[index] = windows_ahead.Ahead(
                    window.from_block, addresses, (*window.tasks, task)
                )

    async def _close_ahead(self, part: windows.Window) -> None:
        """Close a window far behind the end as soon as it is read: nothing waits for that then.

        Nearer, where the chain may still change, a window is closed when it is delivered.
        """
        if self._is_left_to_background(part):
            await windows.close(part)

    async def _add_missing(self, part: windows.Window, addresses: frozenset[int]) -> bool:
        """Read the events of those addresses that the window lacks; False: it lacks none."""
        missing = addresses - part.addresses
        if not missing:
            return False
        part.addresses |= missing
        part.is_closed = False
        await self._add_events(part, missing)
        self._adapt(part)
        return True

    async def _add_events(self, part: windows.Window, addresses: frozenset[int]) -> None:
        """Read the events of these addresses and the blocks that hold them."""
        is_one_block = part.from_block == part.to_block
        most = None if is_one_block else self._most_events(part)
        events = await part.source.events(
            part.from_block, part.to_block, addresses, most, part.tip.hash
        )
        part.events = (
            sorted([*part.events, *events], key=types.event_key) if part.events else events
        )
        if self._is_left_to_background(part):
            await windows.add_times(part, self._event_times)
            windows.check_hashes(part)
            return
        missing = {event.block_number for event in events} - part.blocks.keys()
        if not is_one_block and len(missing) > self._settings.target_blocks * self._settings.spare:
            raise errors.RangeTooFullError(
                f"{len(missing)} of the blocks {part.from_block} to {part.to_block} hold events"
            )
        for block in await part.source.blocks(sorted(missing), self._proving.is_proving):
            part.blocks[block.header.number] = block
        windows.check_hashes(part)

    def _target_events(self, part: windows.Window) -> float:
        """How many events a window such as this one should hold: half where each is held twice."""
        return self._settings.target_events / (2 if self._is_held_twice(part) else 1)

    def _most_events(self, part: windows.Window) -> int:
        """How many events it may hold, if it has several blocks: `spare` times its target.

        Half as many times where each event is held twice.
        """
        spare = self._settings.spare
        if self._is_held_twice(part):
            spare = max(spare // 2, 1)
        return math.ceil(self._target_events(part) * spare)

    def _is_held_twice(self, part: windows.Window) -> bool:
        return self._proving.is_held_twice(part.source, part.numbers)

    def _is_left_to_background(self, part: windows.Window) -> bool:
        return self._proving.is_left_to_background(part.source, part.numbers)

    def _blocks_at_once(self, node_source: sources.Source) -> int:
        """How many blocks a window has: few enough for the targets and for the endpoint."""
        return min(self._window, node_source.most_blocks)

    def _adapt(self, part: windows.Window) -> None:
        """Choose the next window's size by the targets; it at most doubles."""
        settings = self._settings
        size = part.to_block - part.from_block + 1
        fullness = max(
            len(part.events) / self._target_events(part), len(part.blocks) / settings.target_blocks
        )
        if fullness > 1:
            self._window = max(int(size / fullness), 1)
        elif size >= self._window and fullness <= 1 / 2:
            self._window = min(self._window * 2, settings.largest_window)

    # --- delivery ---------------------------------------------------------------------

    async def _deliver(
        self,
        part: windows.Window,
        failure: errors.NodeError | None = None,
        *,
        closes_later: bool = False,
    ) -> types.Range:
        """The complete range of a part; where that fails it is read again, perhaps shorter.

        `failure`: why a range that was delivered could not be committed.
        """
        attempts = 0
        while True:
            try:
                if failure is not None:
                    raise failure
                return await self._complete(part, closes_later=closes_later)
            except errors.NodeError as error:
                failure, closes_later = None, False
                await self._break_off()
                attempts += not _asks_for_less(error, part.from_block, part.to_block)
                end = await self._next_end(
                    error, part.source, part.from_block, part.to_block, attempts
                )
            await self._forget()
            part = await self._read(part.from_block, end, self._known())

    async def _complete(self, part: windows.Window, *, closes_later: bool) -> types.Range:
        await self._add_discovered(part)
        is_proved_later = self._is_left_to_background(part)
        # While the window is proved, unless more is read for that: it is closed after all else.
        if is_proved_later or not self._proving.reads_more(part):
            self._closing = closings.Closing(windows.close(part))
        proofs = {} if is_proved_later else await self._proving.prove(part)
        if self._closing is None:
            await windows.close(part)
        elif not closes_later:
            await self._closing.closed()
            self._closing = None
        return types.Range(
            part.from_block,
            part.to_block,
            part.parent_hash,
            part.tip,
            part.events,
            [part.blocks[number] for number in sorted(part.blocks)],
            frozenset(number for number, proof in proofs.items() if proof == "commitment"),
            () if is_proved_later else self._proving.verified(part, proofs),
            tuple(part.headers[number] for number in sorted(part.headers)),
            part.event_times,
            self._closing,
        )

    async def _break_off(self) -> None:
        """Await no more whether the last range is closed."""
        if self._closing is not None:
            await self._closing.break_off()
            self._closing = None

    async def _add_discovered(self, part: windows.Window) -> None:
        """Read the events of addresses that were not known when the window was read."""
        while True:
            await self._discover(part.events)
            if not await self._add_missing(part, self._known()):
                return


def _asks_for_less(error: errors.NodeError, from_block: int, to_block: int) -> bool:
    """Whether the node may answer if it is asked for fewer blocks: not a failed attempt."""
    return isinstance(error, errors.RangeTooLargeError) and to_block > from_block
