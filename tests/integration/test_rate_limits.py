"""Nodes that take so many requests in a time and count those that they refuse, over a real socket.

What is judged is counted at the gateway (tests/odd_gateway.py): requests passed on and refused, by
the writer and by background tasks. Limits and wordings are drawn by a seed, which is printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from indexer import errors, metrics
from indexer.chain import capacity, rpc, throttle
from tests import odd_gateway
from tests.integration import chain_stage, daemon_stage
from tests.integration.daemon_stage import LAST, Playhead, following, recording, serving
from tests.integration.faults import Failing, Fault, refuse

SEEDS = [pytest.param(seed, marks=[] if seed < 4 else [pytest.mark.heavy]) for seed in range(8)]
SETTINGS = msgspec.structs.replace(
    chain_stage.SETTINGS, attempts=6, first_pause=0.02, max_requests_per_second=500
)
WRITERS = rpc.Request("starknet_chainId")
BACKGROUNDS = rpc.Request("starknet_specVersion")
BACKGROUND_TASKS = 24


@contextlib.asynccontextmanager
async def limited(
    seed: int, settings: rpc.NodeSettings = SETTINGS
) -> AsyncIterator[tuple[odd_gateway.Gateway, rpc.Endpoint]]:
    """A gateway that limits the rate, and an endpoint that does not know of it."""
    async with (
        chain_stage.recorded() as upstream,
        odd_gateway.Gateway(upstream, seed).serving() as gateway,
    ):
        gateway.limits.rate = random.Random(seed).randint(5, 20)
        print(f"seed {seed}: {gateway.limits.rate} in 0.1 s, {gateway.ways['rate']}")
        endpoint = rpc.Endpoint(gateway.url, settings)
        try:
            yield gateway, endpoint
        finally:
            await endpoint.close()


@contextlib.asynccontextmanager
async def background(endpoint: rpc.Endpoint) -> AsyncIterator[None]:
    """Many background tasks that ask without end while inside."""

    async def ask() -> None:
        rpc.is_background.set(True)
        while True:
            await endpoint.call_many([BACKGROUNDS])

    tasks = [asyncio.create_task(ask()) for _ in range(BACKGROUND_TASKS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read(endpoint: rpc.Endpoint, count: int, at_once: int = 4) -> None:
    """Ask `count` times as the writer, so many at once."""
    for _ in range(count // at_once):
        await rpc.gather(endpoint.call(WRITERS) for _ in range(at_once))


def metric(endpoint: rpc.Endpoint) -> float:
    return float(metrics.requests_per_second.labels(endpoint.name)._value.get())


def asked(messages: list[dict[str, str]], request: rpc.Request) -> int:
    return sum(message["method"] == request.method for message in messages)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_writer_is_served_before_background_tasks(seed: int) -> None:
    async with limited(seed) as (gateway, endpoint), background(endpoint):
        await read(endpoint, 40)
        gateway.passed.clear()
        await read(endpoint, 120)
        writers, others = asked(gateway.passed, WRITERS), asked(gateway.passed, BACKGROUNDS)
        print(f"passed on: {writers} of the writer, {others} of {BACKGROUND_TASKS} tasks")
        assert writers >= 120
        assert others < writers / 2
        assert others >= writers / 20, "background tasks starve"


@pytest.mark.parametrize("seed", SEEDS)
async def test_one_that_is_refused_asks_less_often(seed: int) -> None:
    async with limited(seed) as (gateway, endpoint), background(endpoint):
        await read(endpoint, 120)
        gateway.asked.clear()
        gateway.refused["rate"] = 0
        await read(endpoint, 120)
        refused = gateway.refused["rate"]
        print(f"{refused} of {len(gateway.asked)} refused")
        assert refused < len(gateway.asked) / 8


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_an_endpoint_takes_is_remembered_for_it_alone_until_it_takes_more(
    seed: int,
) -> None:
    # So far above what is taken that one process cannot ask so often.
    settings = msgspec.structs.replace(SETTINGS, max_requests_per_second=250)
    async with limited(seed, settings) as (gateway, endpoint):
        await read(endpoint, 80, at_once=20)
        found = endpoint.lowered_rate
        print(f"found {found}")
        assert found is not None
        assert metric(endpoint) == found
        gateway.refused["rate"] = 0
        await read(endpoint, 40, at_once=20)
        assert gateway.refused["rate"] <= 8, "nothing is remembered"
        other = rpc.Endpoint(gateway.url, settings)
        assert other.lowered_rate is None
        await other.close()
        gateway.limits.rate = None
        for _ in range(60):
            await read(endpoint, 20, at_once=20)
            if endpoint.lowered_rate is None:
                break
        assert endpoint.lowered_rate is None
        assert metric(endpoint) == settings.max_requests_per_second


@pytest.mark.parametrize("seed", SEEDS)
async def test_doctor_says_which_rate_is_left(seed: int) -> None:
    async with limited(seed) as (gateway, endpoint):
        source = chain_stage.unprobed(endpoint)
        gateway.limits.rate = None
        assert "too fast" not in (await capacity.measure(source, chain_stage.LAST)).sentence()
        gateway.limits.rate = 5
        await read(endpoint, 40, at_once=20)
        measured = await capacity.measure(source, chain_stage.LAST)
        assert measured.requests_per_second == endpoint.lowered_rate
        assert "refused for coming too fast, so at most" in measured.sentence()


# --- a daemon goes on -------------------------------------------------------------------------


BUSY: dict[str, Fault] = {
    "429": Fault(status=429),
    "429 with a page": Fault(status=429, body=b"<html>slow down</html>"),
    "503": Fault(status=503),
    "200 with a rate limit": Fault(edit=refuse(-32005, "rate limit exceeded")),
    "200 with a used-up quota": Fault(edit=refuse(-32005, "daily request count exceeded")),
    "200 with credits used up": Fault(edit=refuse(-32012, "credits limited")),
    "200 with a busy node": Fault(edit=refuse(-32000, "node is busy")),
    "200 with its own code": Fault(edit=refuse(-31999, "30/second: slow down")),
}


@pytest.mark.parametrize("name", BUSY)
async def test_a_busy_node_in_any_words_is_asked_again(
    url: str, undisturbed: str, name: str
) -> None:
    failing = Failing("getEvents", BUSY[name], times=2)
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=failing) as node,
        following(url, node.url, until_block=LAST) as running,
    ):
        assert await running.ended() is None
        line = running.said("node_trouble", kind="busy", outcome="retry")
        assert line is not None, running.logged
        assert line["requests_per_second"] < 10_000
        assert daemon_stage.count(node.url, "busy", "retry") >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


RETRY_AFTER = [(429, "1", 1.0), (429, "0", 0.0), (429, " 2 ", 2.0), (503, "1", 1.0)]
RETRY_AFTER += [(503, "00", 0.0), (503, "02", 2.0)]


@pytest.mark.parametrize(("status", "header", "seconds"), RETRY_AFTER)
async def test_retry_after_is_kept_to(
    url: str, undisturbed: str, status: int, header: str, seconds: float
) -> None:
    busy = Failing("getEvents", Fault(status=status, headers={"Retry-After": header}))
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=busy) as node,
        following(url, node.url, until_block=LAST) as running,
    ):
        assert await running.ended() is None
        line = running.said("node_trouble", kind="busy", outcome="retry")
        assert line is not None
        assert line["seconds"] == seconds
        assert line["requests_per_second"] == 10_000 * throttle.LOWERED
        assert daemon_stage.count(node.url, "busy", "retry") == 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


# --- what is no rate, and what is nothing else ------------------------------------------------

SIZE_REFUSALS = (
    "Batch size exceeds the maximum of 10",
    "batch too large, limit 5",
    "too many calls in one request",
    "Too many calls in a single request: slow down",
    "batch request limit reached, retry with fewer",
    "maximum requests per batch exceeded",
)


@pytest.mark.parametrize("words", SIZE_REFUSALS)
async def test_a_batch_that_is_refused_for_its_size_lowers_no_rate(words: str) -> None:
    def reply(message: object) -> object:
        if isinstance(message, list):
            return chain_stage.refused(message, -32000, words)
        return "0x1"

    async with chain_stage.endpoint(reply) as (endpoint, liar):
        await endpoint.call_many([WRITERS] * 6)
        assert endpoint.lowered_rate is None
        assert not endpoint.batches
        batches = sum(isinstance(message, list) for message in liar.asked)
        assert batches <= rpc.BATCH_ATTEMPTS * 4


EVERYTHING_BUSY = (
    (429, "", "429"),
    (503, "", "503"),
    (200, "rate limit", "words"),
    (200, "credits limited to 6000/sec", "a provider's words"),
    (200, "daily request count exceeded", "a quota"),
    (200, "server busy, try again", "a busy node"),
)
LIGHT = ("429", "words")


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    # Each takes half a minute.
    [
        pytest.param(*one, id=one[-1], marks=[] if one[-1] in LIGHT else [pytest.mark.heavy])
        for one in EVERYTHING_BUSY
    ],
)
async def test_one_that_refuses_everything_for_being_busy_is_not_hammered(
    status: int, words: str, kind: str
) -> None:
    """Many ask at once, and all give up after the tries that one alone would have made."""

    def reply(message: object) -> object:
        return chain_stage.http(status) if status != 200 else chain_stage.refused(message, 7, words)

    settings = msgspec.structs.replace(SETTINGS, attempts=4, first_pause=0.001)
    async with chain_stage.endpoint(reply, settings) as (endpoint, liar):
        answers = await asyncio.gather(
            *(endpoint.call(WRITERS) for _ in range(16)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {errors.NodeBusyError}
        print(f"{kind}: {len(liar.asked)} asked")
        assert len(liar.asked) <= 8 + 4 + 16
