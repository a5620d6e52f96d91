"""Gateways that limit or refuse in words of their own, over a real socket.

Each test is played for several seeds, which draw the limits, the codes, the wordings and the ways
to refuse (tests/odd_gateway.py); a failing run prints its seed and what was drawn.
docs/failure-modes.md is the same in words.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from indexer import errors
from indexer.chain import capacity, client, ranges, types
from tests import odd_gateway
from tests.integration import chain_stage
from tests.integration.chain_stage import EMITTERS, LAST, READING, truth

SEEDS = [pytest.param(seed, marks=[] if seed < 4 else [pytest.mark.heavy]) for seed in range(8)]
FIRST = LAST - 79


@contextlib.asynccontextmanager
async def gateway(seed: int, path: str = "/") -> AsyncIterator[odd_gateway.Gateway]:
    """A gateway in front of the recording; what it draws is printed."""
    async with (
        chain_stage.recorded(path=path) as upstream,
        odd_gateway.Gateway(upstream, seed).serving() as made,
    ):
        print(f"seed {seed}: {made.ways}")
        yield made


async def read(
    node: client.StarknetNode, first: int = FIRST, last: int = LAST
) -> list[types.EmittedEvent]:
    reader = ranges.RangeReader(node, msgspec.structs.replace(READING, first_window=200))
    known = frozenset(EMITTERS)

    async def discover(_: object) -> None:
        return None

    parts = [part async for part in reader.ranges(first, last, lambda: known, discover)]
    assert [part.from_block for part in parts[1:]] == [part.to_block + 1 for part in parts[:-1]]
    return [event for part in parts for event in part.events]


EVERYTHING = truth(FIRST, LAST, EMITTERS)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_range_refused_in_any_words_is_halved(seed: int) -> None:
    most = random.Random(seed).choice([1, 2, 3, 5, 10, 25, 60])
    async with gateway(seed) as odd, chain_stage.connected(odd.url) as node:
        odd.limits.blocks = most
        print(f"at most {most} blocks")
        assert await read(node) == EVERYTHING
        # Twice the limit is tried again once in a while.
        assert most / 2 < node.source.most_blocks <= 2 * most
        assert odd.refused["blocks"] > 1
        before = odd.refused["blocks"]
        assert await read(node) == EVERYTHING
        windows = (LAST - FIRST + 1) / max(most // 2, 1)
        assert odd.refused["blocks"] - before <= windows / 2 + 6


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_range_limit_that_is_lifted_is_forgotten(seed: int) -> None:
    async with gateway(seed) as odd, chain_stage.connected(odd.url) as node:
        odd.limits.blocks = 2
        assert await read(node, LAST - 5) == truth(LAST - 5, LAST, EMITTERS)
        assert node.source.most_blocks <= 2
        odd.limits.blocks = None
        await read(node)
        assert node.source.most_blocks > 2


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_single_block_refused_is_raised(seed: int) -> None:
    async with gateway(seed) as odd, chain_stage.connected(odd.url) as node:
        odd.limits.blocks = 0
        with pytest.raises(errors.NodeError):
            await read(node, LAST - 10)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_batch_refused_in_any_words_is_halved(seed: int) -> None:
    most = random.Random(seed).choice([1, 2, 3, 5, 9, 15])
    numbers = list(range(LAST - 40, LAST + 1))
    async with gateway(seed) as odd, chain_stage.connected(odd.url) as node:
        odd.limits.calls = most
        print(f"at most {most} calls")
        found = await node.source.blocks(numbers, with_events=True)
        assert [block.header.number for block in found] == numbers
        # Twice the limit is tried again once in a while.
        assert most / 2 <= node.source.endpoint.limits.batch.size <= 2 * most
        before = odd.refused["calls"]
        again = await node.source.blocks(numbers, with_events=True)
        assert again == found
        assert odd.refused["calls"] - before <= len(numbers) / 2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("path", ["/", "/rpc/v0_9"])
async def test_lists_of_addresses_refused_in_any_words_are_divided(seed: int, path: str) -> None:
    most = 1 + seed % 6
    async with gateway(seed, path) as odd, chain_stage.connected(odd.url) as node:
        odd.limits.addresses = most
        print(f"at most {most} addresses")
        assert await node.source.events(FIRST, LAST, EMITTERS) == EVERYTHING
        if node.profile.address_lists and most < len(EMITTERS):
            assert most / 2 < node.source.endpoint.limits.addresses.size <= most


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_page_size_refused_in_any_words_is_halved(seed: int) -> None:
    most = random.Random(seed).choice([7, 20, 50, 100, 999])
    async with gateway(seed) as odd, chain_stage.connected(odd.url) as node:
        odd.limits.events = most
        print(f"at most {most} events a page")
        assert await node.source.events(FIRST, LAST, EMITTERS) == EVERYTHING
        assert most / 2 <= node.source.endpoint.limits.page.size <= most


@pytest.mark.parametrize("seed", SEEDS)
async def test_all_limits_at_once(seed: int) -> None:
    dice = random.Random(seed)
    async with gateway(seed) as odd, chain_stage.connected(odd.url) as node:
        odd.limits = odd_gateway.Limits(
            blocks=dice.randint(5, 40),
            calls=dice.randint(1, 9),
            addresses=dice.randint(1, 9),
            events=dice.choice([10, 100, 500]),
        )
        print(odd.limits)
        assert await read(node) == EVERYTHING
        assert min(odd.refused[name] for name in ("blocks", "calls", "events")) > 0
        found = await capacity.measure(node.source, LAST)
        # Twice a limit is tried again once in a while.
        assert found.calls <= 2 * odd.limits.calls
        assert found.blocks <= 2 * odd.limits.blocks
        assert found.addresses <= 2 * odd.limits.addresses
        assert found.events <= 2 * odd.limits.events


@pytest.mark.parametrize("seed", range(16))
async def test_a_passing_refusal_in_any_words_is_survived(seed: int) -> None:
    """Any method may be hit, one request after another, each in other words."""
    dice = random.Random(seed)
    async with gateway(seed) as odd, chain_stage.connected(odd.url) as node:
        for _ in range(6):
            odd.passing = dice.randint(1, chain_stage.SETTINGS.attempts - 1)
            assert (await node.head()).number == LAST
            odd.passing = dice.randint(1, 3)
            assert await read(node, LAST - 9) == truth(LAST - 9, LAST, EMITTERS)
        assert odd.passing == 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_rate_limit_in_any_words_is_waited_out(seed: int) -> None:
    settings = msgspec.structs.replace(chain_stage.SETTINGS, attempts=6, first_pause=0.02)
    async with gateway(seed) as odd, chain_stage.connected(odd.url, settings=settings) as node:
        odd.limits.rate = random.Random(seed).randint(3, 8)
        assert await read(node, LAST - 30) == truth(LAST - 30, LAST, EMITTERS)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_node_that_is_not_up_yet_is_waited_for(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "START_PAUSE", 0.01)
    async with gateway(seed) as odd:
        odd.passing, odd.statuses = 8 * chain_stage.SETTINGS.attempts, odd_gateway.DOWN
        chain_id, settings = chain_stage.CHAIN_ID, chain_stage.SETTINGS
        with pytest.raises(errors.NodeError):
            await client.connect([odd.url], chain_id, settings)
        node = await client.connect([odd.url], chain_id, settings, 30)
        assert (await node.head()).number == LAST
        await node.close()


async def test_a_node_that_never_comes_up_is_given_up_and_says_for_how_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "START_PAUSE", 0.01)
    with pytest.raises(errors.NodeUnreachableError, match=r"waited 0 s .*start_timeout_seconds"):
        await client.connect(
            ["http://127.0.0.1:1"], chain_stage.CHAIN_ID, chain_stage.SETTINGS, 0.05
        )
