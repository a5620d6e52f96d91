"""Whose request to an endpoint is next, and how fast, on a clock that jumps; limits are drawn."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from indexer.chain import throttle

SEEDS = range(8)
WRITER, BACKGROUND = False, True


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: what the loop would wait for, its clock jumps over."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.jumped += timeout or 0.0
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while everybody waits."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.jumped


def played(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story to its end in a loop of its own."""
    with contextlib.closing(JumpingLoop()) as loop:
        loop.run_until_complete(story())


def now() -> float:
    return asyncio.get_running_loop().time()


class Bucket:
    """An endpoint that takes `rate` requests a second, `burst` at once, and counts refusals."""

    def __init__(self, rate: float, burst: float, counts_refusals: bool) -> None:
        self.rate = rate
        self.burst = self._left = burst
        self._counts_refusals = counts_refusals
        self._filled_at = 0.0

    def takes(self) -> bool:
        filled = (now() - self._filled_at) * self.rate
        self._left, self._filled_at = min(self._left + filled, self.burst), now()
        if self._left >= 1:
            self._left -= 1
            return True
        if self._counts_refusals:
            self._left = max(self._left - 1, 0)
        return False


class Client:
    """Sends requests to a bucket through a throttle, each again until it is taken."""

    def __init__(self, bucket: Bucket, most_at_once: int = 8, most: float = 50.0) -> None:
        self.bucket = bucket
        self.throttle = throttle.Throttle(most_at_once, most, 0.2, 5)
        self.sent: list[tuple[float, bool, bool]] = []
        """When each request was sent, whether a background task's, and whether it was taken."""

    async def ask(self, is_background: bool, seconds: float = 0.05) -> None:
        while True:
            turn = await self.throttle.take(is_background=is_background)
            await asyncio.sleep(seconds)
            is_taken = self.bucket.takes()
            self.sent.append((turn.sent_at, is_background, is_taken))
            if is_taken:
                self.throttle.answered(turn)
            else:
                self.throttle.refused(turn)
            self.throttle.give_back(turn)
            if is_taken:
                return

    async def flood(self, is_background: bool, tasks: int, seconds: float) -> None:
        """Let `tasks` tasks ask one request after the other for `seconds` seconds."""

        async def ask_on() -> None:
            while True:
                await self.ask(is_background)

        running = [asyncio.create_task(ask_on()) for _ in range(tasks)]
        await asyncio.sleep(seconds)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def drawn(seed: int) -> Bucket:
    dice = random.Random(seed)
    random.seed(seed)  # the throttle's own pauses are drawn by it
    rate = dice.choice([2.0, 5.0, 10.0, 20.0, 30.0])
    burst = dice.choice([1.0, rate, 2 * rate])
    bucket = Bucket(rate, burst, counts_refusals=dice.random() < 0.5)
    print(f"seed {seed}: {rate} a second, {burst} at once, {vars(bucket)}")
    return bucket


@pytest.mark.parametrize("seed", SEEDS)
def test_it_finds_the_rate_that_an_endpoint_takes_and_stays_below_it(seed: int) -> None:
    async def story() -> None:
        client = Client(drawn(seed))
        await client.flood(WRITER, 16, 30)
        client.sent.clear()
        await client.flood(WRITER, 16, 60)
        taken = sum(is_taken for _, _, is_taken in client.sent)
        print(f"{taken} of {len(client.sent)} taken, at {client.throttle.rate} a second")
        assert taken >= 0.8 * 60 * client.bucket.rate
        assert len(client.sent) - taken <= 0.04 * len(client.sent)

    played(story)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_grows_again_where_the_limit_is_lifted(seed: int) -> None:
    async def story() -> None:
        client = Client(drawn(seed))
        await client.flood(WRITER, 16, 10)
        assert client.throttle.is_lowered
        client.bucket.rate = client.bucket.burst = 1_000.0
        for _ in range(30):
            if client.throttle.is_lowered:
                await client.flood(WRITER, 16, 10)
        assert not client.throttle.is_lowered
        assert client.throttle.seconds_for(10) == 0

    played(story)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_writer_goes_before_background_requests_which_do_not_starve(seed: int) -> None:
    async def story() -> None:
        client = Client(drawn(seed))
        background = asyncio.create_task(client.flood(BACKGROUND, 50, 60))
        await asyncio.sleep(15)
        client.sent.clear()
        await client.flood(WRITER, 8, 45)
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
        writers = sum(not is_background for _, is_background, _ in client.sent)
        others = len(client.sent) - writers
        print(f"{writers} of the writer, {others} of the background")
        assert writers >= 0.8 * len(client.sent)
        assert others >= len(client.sent) / (throttle.TURNS + 4)

    played(story)


@pytest.mark.parametrize("most_at_once", [2, 3, 4, 8, 16, 64])
def test_background_requests_leave_half_of_the_slots(most_at_once: int) -> None:
    async def story() -> None:
        queue = throttle.Throttle(most_at_once, 1e6, 0.2, 5)
        waiting = [
            asyncio.create_task(queue.take(is_background=BACKGROUND))
            for _ in range(2 * most_at_once)
        ]
        await asyncio.sleep(1)
        sent = [task for task in waiting if task.done()]
        assert len(sent) == max(most_at_once // 2, 1)
        for _ in range(most_at_once - len(sent)):
            await asyncio.wait_for(queue.take(is_background=WRITER), 1)
        late = asyncio.create_task(queue.take(is_background=WRITER))
        await asyncio.sleep(1)
        assert not late.done()
        # Where many of the writer's went before it, a background request is sent first.
        queue.give_back(sent[0].result())
        queue.give_back(sent[-1].result())
        assert not (await late).is_background

    played(story)


@pytest.mark.parametrize(
    ("most", "at_once", "after_ten"),
    [(50.0, 50, 550), (10.0, 10, 110), (2.0, 2, 22), (1.0, 1, 11), (0.5, 1, 6), (1.5, 1, 16)],
)
def test_without_refusals_the_configured_rate_is_kept(
    most: float, at_once: int, after_ten: int
) -> None:
    async def story() -> None:
        queue = throttle.Throttle(1_000, most, 0.2, 5)
        sent = []

        async def ask() -> None:
            sent.append((await queue.take(is_background=WRITER)).sent_at)

        asking = [asyncio.create_task(ask()) for _ in range(1_000)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(sent) == at_once
        await asyncio.sleep(10.001)
        assert len(sent) == after_ten
        pauses = [later - earlier for earlier, later in itertools.pairwise(sent[at_once:])]
        assert min(pauses) >= 1 / most - 1e-5
        for task in asking:
            task.cancel()

    played(story)


@pytest.mark.parametrize("asked_for", [0.0, 0.3, 1.0, 7.0, 29.0, 3_600.0])
def test_nobody_is_sent_while_the_endpoint_asks_to_be_left_alone(asked_for: float) -> None:
    async def story() -> None:
        queue = throttle.Throttle(8, 50.0, 0.2, 5)
        turn = await queue.take(is_background=BACKGROUND)
        began = now()
        seconds = queue.refused(turn, asked_for)
        queue.give_back(turn)
        assert seconds == min(asked_for, throttle.LONGEST_PAUSE)
        first = await queue.take(is_background=WRITER)
        assert first.sent_at - began >= seconds
        assert first.sent_at - began <= seconds + 1 / (50 * throttle.LOWERED) + 0.001

    played(story)


@pytest.mark.parametrize("together", [1, 2, 5, 8, 20, 50])
def test_requests_that_were_on_their_way_together_are_one_refusal(together: int) -> None:
    async def story() -> None:
        queue = throttle.Throttle(100, 100.0, 0.2, 5)
        turns = [await queue.take(is_background=WRITER) for _ in range(together)]
        await asyncio.sleep(0.05)
        for turn in turns:
            queue.refused(turn)
            queue.give_back(turn)
        assert queue.rate == pytest.approx(100 * throttle.LOWERED)
        assert not queue.is_refusing

    played(story)


@pytest.mark.parametrize("patience", [1, 2, 3, 5, 8, 13])
def test_one_that_refuses_everything_is_said_to_and_is_not_slowed_without_end(
    patience: int,
) -> None:
    async def story() -> None:
        queue = throttle.Throttle(8, 50.0, 0.2, patience)
        for refusals in range(1, 100):
            turn = await queue.take(is_background=WRITER)
            assert queue.refused(turn) <= throttle.LONGEST_OWN_PAUSE
            queue.give_back(turn)
            assert queue.is_refusing == (refusals >= patience)
        lowest = max(50 * throttle.LOWERED**patience, throttle.SLOWEST)
        assert queue.rate == pytest.approx(lowest)
        assert queue.seconds_for(10) == pytest.approx(10 / lowest)
        turn = await queue.take(is_background=WRITER)
        queue.answered(turn)
        assert not queue.is_refusing

    played(story)


@pytest.mark.parametrize("seed", SEEDS)
def test_requests_that_are_given_up_leave_their_turns_to_others(seed: int) -> None:
    async def story() -> None:
        dice = random.Random(seed)
        queue = throttle.Throttle(3, 20.0, 0.2, 5)
        done: list[bool] = []

        async def ask(is_background: bool) -> None:
            turn = await queue.take(is_background=is_background)
            try:
                await asyncio.sleep(dice.random() / 5)
            finally:
                queue.give_back(turn)
            done.append(is_background)

        asking = [asyncio.create_task(ask(dice.random() < 0.5)) for _ in range(200)]
        given_up = 0
        while not all(task.done() for task in asking):
            await asyncio.sleep(dice.random() / 20)
            given_up += dice.choice(asking).cancel()
        assert given_up
        assert len(done) + sum(task.cancelled() for task in asking) == len(asking)
        # All three slots are free again.
        for _ in range(3):
            await asyncio.wait_for(queue.take(is_background=WRITER), 5)

    played(story)
