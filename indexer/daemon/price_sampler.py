"""Samples oracle prices in the background, on a grid of chain time; no commit waits for it.

Works through a connection of its own, once the tables follow the head. The newest point of the grid
comes first; points that were missed are filled later, and a coarser grid back to the beginning if
asked. What a pool's views do not answer is lacking for that pool alone. Listed pools come first, in
requests of their own: the time for a point may not be enough for strangers' oracles.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence

import asyncpg
import msgspec
import structlog

from indexer import errors, metrics
from indexer.cairo import view_call
from indexer.chain import client, rpc, types
from indexer.daemon import view_calls
from indexer.log import blocks_by_time, cursor, price_samples
from indexer.projections import listed_pools, prices, rows, world
from indexer.vesu import views

log = structlog.get_logger(__name__)

NEAR_HEAD_BLOCKS = 10
"""Further behind the head, catching up needs the node more."""

POOLS_AT_ONCE = 50
ANSWER_SECONDS = 5.0
"""How long the answers to one request's views may take."""

POINT_SECONDS = 30.0
"""How long one look asks for one point; what is lacking then is asked for at the next look."""

TRIES = 3
"""How often a point is asked for that a pool does not answer."""


class SamplerSettings(msgspec.Struct, frozen=True):
    """The grid in seconds of chain time, and the coarser one back to the beginning; 0: none.

    `calls_per_second` bounds what filling older points asks the node.
    """

    sample_seconds: int
    backfill_seconds: int = 0
    poll_seconds: float = 1.0
    calls_per_second: float = 5.0


class Sampler:
    """Samples the prices that the stored pools give for their assets."""

    def __init__(
        self,
        node: client.StarknetNode,
        connection: asyncpg.Connection,
        extensions: views.Extensions,
        settings: SamplerSettings,
    ) -> None:
        self._node = node
        self._connection = connection
        self._extensions = extensions
        self._settings = settings
        self._gaps: list[price_samples.Gap] | None = None
        self._gaps_of_fork = -1
        self._done: tuple[int, int] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Repeat `look` until `stopping` is set."""
        rpc.is_background.set(True)
        if not self._settings.sample_seconds:
            await stopping.wait()
            return
        metrics.set_price_sample(await price_samples.newest_time(self._connection))
        while not stopping.is_set():
            pause = self._settings.poll_seconds
            try:
                pause = max(pause, await self.look())
            except (errors.LogMovedError, errors.NodeError) as error:
                # A node error that does not pass ends the indexing itself.
                log.info("sampling_put_off", reason=str(error))
            try:
                await asyncio.wait_for(stopping.wait(), pause)
            except TimeoutError:
                continue

    async def look(self) -> float:
        """Sample the newest point, or else an older one; how long the node is left alone then."""
        committed = await cursor.read(self._connection)
        head = await cursor.head(self._connection)
        if committed is None or head is None or head - committed.block_number > NEAR_HEAD_BLOCKS:
            return 0.0
        await self._settle_doubted(committed)
        if await self.sample_newest():
            return 0.0
        return await self._fill(committed) / self._settings.calls_per_second

    async def sample_newest(self) -> bool:
        """Sample the last point of the grid up to the committed block; False: it is sampled."""
        committed, step = await cursor.read(self._connection), self._settings.sample_seconds
        if (
            not step
            or committed is None
            or committed.block_hash is None
            or committed.timestamp is None
        ):
            return False
        grid_time = committed.timestamp // step * step
        if self._done == (committed.fork_counter, grid_time):
            return False
        point = await self._point(committed, step, grid_time)
        asset_count, answered = await self._sample(committed, point)
        if answered:
            metrics.set_price_sample(await price_samples.newest_time(self._connection))
        if not asset_count or answered == asset_count:
            self._done = (committed.fork_counter, grid_time)
        return asset_count > 0

    async def finish(self) -> None:
        """Sample the newest point once, as far as the node answers."""
        try:
            await self.sample_newest()
        except (errors.LogMovedError, errors.NodeError) as error:
            log.info("sampling_put_off", reason=str(error))

    async def _fill(self, committed: cursor.Cursor) -> int:
        """Sample the newest point that was missed; returns how many views were asked."""
        if self._gaps is None or self._gaps_of_fork != committed.fork_counter:
            self._gaps = await self._missed(committed)
            self._gaps_of_fork = committed.fork_counter
        if not self._gaps:
            return 0
        gap = self._gaps.pop(0)
        point = await self._point(committed, gap.step_seconds, gap.until)
        asset_count, answered = await self._sample(committed, point)
        if asset_count and not answered:
            log.info("prices_left_out", until=gap.until, after=gap.after, block=point.block_number)
            return asset_count
        until = point.previous_time // gap.step_seconds * gap.step_seconds
        if until > gap.after and (asset_count or point.block_number > committed.start_block):
            self._gaps.insert(0, msgspec.structs.replace(gap, until=until))
        return asset_count

    async def _missed(self, committed: cursor.Cursor) -> list[price_samples.Gap]:
        """The points that are missing in the grid, and below it in the coarser one."""
        step, coarse = self._settings.sample_seconds, self._settings.backfill_seconds
        gaps = await price_samples.gaps(self._connection, step)
        first = await price_samples.oldest(self._connection, step)
        start = await blocks_by_time.first_time_with_assets(self._connection)
        if not coarse or first is None or start is None:
            return gaps
        if coarse != step:
            gaps += await price_samples.gaps(self._connection, coarse)
            reached = await price_samples.oldest(self._connection, coarse)
            first = first if reached is None else min(first, reached)
        until = (first - 1) // coarse * coarse
        after = start // coarse * coarse - 1
        return [*gaps, price_samples.Gap(coarse, after, until)] if until > after else gaps

    # --- one point ------------------------------------------------------------------------

    async def _point(
        self, committed: cursor.Cursor, step_seconds: int, grid_time: int
    ) -> price_samples.Point:
        """The first block at or after a multiple, which the committed block has reached."""
        low, high = await blocks_by_time.around(self._connection, grid_time)
        low = committed.start_block - 1 if low is None else low
        while high - low > 1:
            middle = (low + high) // 2
            if (await self._header(middle)).timestamp >= grid_time:
                high = middle
            else:
                low = middle
        header = await self._header(high)
        stored = await blocks_by_time.stored_hash(self._connection, high)
        if stored is not None and stored != header.hash:
            raise errors.LogMovedError()
        before = 0 if high == 0 else (await self._header(high - 1)).timestamp
        last = header.timestamp // step_seconds * step_seconds
        # Two blocks of one time: the first of them stands for the point.
        return price_samples.Point(
            step_seconds, last, min(before, last - 1), high, header.hash, header.timestamp
        )

    async def _header(self, number: int) -> types.BlockHeader:
        header = await self._node.header(number)
        if header is None:
            raise errors.InconsistentAnswerError(
                f"{self._node.source.name} does not know block {number}", kind="lagging"
            )
        return header

    async def _sample(
        self, committed: cursor.Cursor, point: price_samples.Point
    ) -> tuple[int, int]:
        """Ask for and store the missing prices of a point; returns how many asked and answered."""
        loaded = await world.at_block(self._connection, point.block_number)
        ids = loaded.asset_ids
        price_questions = prices.questions(loaded.world, self._extensions, point.block_number)
        answered, tries = await price_samples.answered(self._connection, point)
        listed = await listed_pools.read(self._connection)
        lacking = [price for price in price_questions if ids[price.key] not in answered]
        if tries >= TRIES or not price_questions:
            return 0, 0
        answers = await self._ask(lacking, point, listed)
        sampled = [
            prices.sampled(
                loaded.rows[price.key]["protocol"],
                price,
                point.block_hash,
                point.timestamp,
                answers,
            )
            for price in lacking
            if price.price in answers
        ]
        await price_samples.store(
            self._connection, committed, point, sampled, len(lacking), len(sampled)
        )
        return len(price_questions), len(answered) + len(sampled)

    async def _ask(
        self,
        price_questions: Sequence[prices.PriceQuestion],
        point: price_samples.Point,
        listed: listed_pools.Listed,
    ) -> dict[view_call.ViewCall, tuple[int, ...] | None]:
        """The answers that the node gives in time, some pools at a time."""
        found: dict[view_call.ViewCall, tuple[int, ...] | None] = {}
        deadline = time.monotonic() + POINT_SECONDS
        for part in _parts(price_questions, listed):
            if time.monotonic() > deadline:
                log.info("sampling_put_off", reason=f"not done within {POINT_SECONDS:g} s")
                break
            view_calls_ = [view for price in part for view in price.views]
            hashes = {point.block_number: point.block_hash}
            seen = await view_calls.ask_within(self._node, view_calls_, hashes, ANSWER_SECONDS)
            found |= {observation.call: observation.result for observation in seen}
        return found

    async def _settle_doubted(self, committed: cursor.Cursor) -> None:
        """After a repair, keep the samples of blocks that are still on the chain."""
        for number, block_hash in await price_samples.doubted(
            self._connection, committed.block_number
        ):
            header = await self._header(number)
            await price_samples.settle(
                self._connection,
                committed,
                number,
                block_hash,
                is_on_chain=int(header.hash, 16) == int(block_hash, 16),
            )


def _parts(
    price_questions: Sequence[prices.PriceQuestion], listed: listed_pools.Listed
) -> Iterator[list[prices.PriceQuestion]]:
    """The assets of some pools at a time: listed pools first, and apart from the others."""

    def is_strange(price: prices.PriceQuestion) -> bool:
        return not listed.has(rows.padded(price.key.pool.id))

    for _, group in itertools.groupby(sorted(price_questions, key=is_strange), is_strange):
        yield from _some_pools(group)


def _some_pools(
    price_questions: Iterable[prices.PriceQuestion],
) -> Iterator[list[prices.PriceQuestion]]:
    """The assets of some pools at a time."""
    part: list[prices.PriceQuestion] = []
    pools: set[object] = set()
    for price in price_questions:
        if price.key.pool not in pools and len(pools) == POOLS_AT_ONCE:
            yield part
            part, pools = [], set()
        part.append(price)
        pools.add(price.key.pool)
    if part:
        yield part
