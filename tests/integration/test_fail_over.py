"""When an endpoint is left for the next: whatever question of a look it fails in, and whoever asks.

The first endpoint's trouble begins once block 10 is committed and never ends; the tables must
get on to block 60 by the second one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.app import networks
from indexer.chain import client
from indexer.daemon import prover
from indexer.recording import options
from tests.integration import daemon_stage
from tests.integration.daemon_stage import Playhead, following, recording, serving
from tests.integration.faults import Fault, refuse

FIRST, LAST = 10, 60
DOWN = Fault(status=502)


class Endpoint:
    """A node at block 10 whose trouble begins when `fail` is called."""

    def __init__(self, fault: Fault, only: str = "") -> None:
        self._fault = fault
        self._only = only
        self._fails = False
        self.failures = 0
        self.head = Playhead.at_block(recording(), FIRST)

    def fail(self) -> None:
        self._fails = True

    def recover(self) -> None:
        self._fails = False

    def __call__(self, method: str, params: Any) -> options.Fault | None:
        if not self._fails or self._only not in ("", told(method, params)):
            return None
        self.failures += 1
        return self._fault


def told(method: str, params: Any) -> str:
    """A question's name: the method, and for a header whether it is asked by tag or by number."""
    name = method.removeprefix("starknet_")
    block = params.get("block_id") if isinstance(params, dict) else None
    return f"{name} {block if isinstance(block, str) else 'number'}" if block else name


async def test_one_that_is_down_when_it_is_probed_is_left_for_the_next(url: str) -> None:
    """Who it is cannot be asked: that, too, is trouble that the second endpoint may not have."""
    first = Endpoint(DOWN)
    async with (
        serving(first.head, fault=first) as bad,
        serving(Playhead.at_block(recording(), LAST)) as good,
        following(url, bad.url, good.url, VESU_NODE_PROBE_SECONDS="0.001") as running,
    ):
        await running.committed(FIRST)
        first.fail()
        await running.committed(LAST)
        assert running.said("node_trouble", kind="http_5xx", outcome="other_endpoint") is not None


async def test_after_an_outage_of_all_whichever_comes_back_is_used(url: str) -> None:
    first, second = Endpoint(DOWN), Endpoint(DOWN)
    second.head.go_to(LAST)
    async with (
        serving(first.head, fault=first) as bad,
        serving(second.head, fault=second) as good,
        following(url, bad.url, good.url) as running,
    ):
        await running.committed(FIRST)
        first.fail()
        second.fail()
        await running.says("node_trouble", kind="http_5xx", outcome="wait")
        second.recover()
        await running.committed(LAST)


TROUBLE = {
    "fails for ever": (DOWN, "http_5xx"),
    "does not know it": (Fault(edit=refuse(24, "Block not found")), "lagging"),
    "is shut": (Fault(status=403, body=b"the key was revoked"), "refused"),
}


@pytest.mark.parametrize("name", TROUBLE)
async def test_one_that_tells_its_head_and_not_our_block_is_left_for_the_next(
    url: str, name: str
) -> None:
    """Nothing can be committed on its word: a head alone does not say whether ours stands."""
    fault, kind = TROUBLE[name]
    first = Endpoint(fault, "getBlockWithTxHashes number")
    async with (
        serving(first.head, fault=first) as bad,
        serving(Playhead.at_block(recording(), LAST)) as good,
        following(url, bad.url, good.url) as running,
    ):
        await running.committed(FIRST)
        first.fail()
        await running.committed(LAST)
        assert running.said("node_trouble", kind=kind, outcome="other_endpoint") is not None
        assert daemon_stage.count(bad.url, kind, "other_endpoint") >= 1


async def test_one_that_refuses_to_tell_finality_alone_is_kept(url: str) -> None:
    """Indexing never waits for finality, whatever it is refused with."""
    first = Endpoint(Fault(status=403), "getBlockWithTxHashes l1_accepted")
    async with (
        serving(first.head, fault=first) as only,
        following(url, only.url) as running,
    ):
        await running.committed(FIRST)
        first.fail()
        first.head.go_to(LAST)
        await running.committed(LAST)
        assert running.said("finality_unknown") is not None


# --- whoever proves blocks beside the writer --------------------------------------------------

SHUT = Fault(status=403, body=b"the key was revoked")


@contextlib.asynccontextmanager
async def proving(url: str, *nodes: str) -> AsyncIterator[client.StarknetNode]:
    """The prover of a daemon on these nodes runs beside, and must not end by itself."""
    settings = daemon_stage.settings(url, *nodes)
    node = await client.connect(settings.node.urls, networks.chain_id(settings), daemon_stage.QUICK)
    connection = await asyncpg.connect(url)
    stopping = asyncio.Event()
    made = prover.Prover(
        node, connection, networks.known_addresses(settings), prover.ProverSettings(6_000)
    )
    task = asyncio.create_task(made.run(stopping))
    try:
        yield node
        assert not task.done()
    finally:
        stopping.set()
        await task
        await connection.close()
        await node.close()


async def unproved(url: str) -> AsyncIterator[None]:
    """Step by step, while the database's log is not proved to its last block."""
    connection = await asyncpg.connect(url)
    proved = "SELECT coalesce(sum(last_block - first_block + 1), 0) FROM verified_ranges"
    try:
        async with asyncio.timeout(daemon_stage.SECONDS):
            while await connection.fetchval(proved + " WHERE method <> 'sampled'") <= FIRST:
                yield
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


@pytest.fixture
async def unverified(url: str) -> str:
    """A database that holds the chain up to block 10, and no proof of it."""
    async with (
        serving(Playhead.at_block(recording(), FIRST)) as node,
        following(url, node.url, until_block=FIRST, VESU_INGEST_VERIFY="off") as running,
    ):
        assert await running.ended() is None
    return url


async def test_one_that_refuses_the_prover_is_left_for_the_next(unverified: str) -> None:
    first = Endpoint(SHUT, "getBlockWithReceipts number")
    first.fail()
    async with (
        serving(first.head, fault=first) as bad,
        serving(Playhead.at_block(recording(), FIRST)) as good,
        proving(unverified, bad.url, good.url),
    ):
        async for _ in unproved(unverified):
            pass


async def test_an_only_one_that_refuses_the_prover_is_asked_again_later(
    unverified: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What matters of it stops the indexing itself; proofs can wait."""
    monkeypatch.setattr(prover, "LOOK_SECONDS", 0.05)
    first = Endpoint(SHUT, "getBlockWithReceipts number")
    first.fail()
    async with serving(first.head, fault=first) as only, proving(unverified, only.url):
        async for _ in unproved(unverified):
            if first.failures:
                first.recover()


async def test_the_prover_s_answers_are_no_sign_of_life_of_the_writer(unverified: str) -> None:
    """While it proves, a writer that hangs must not be told as alive."""
    async with (
        serving(Playhead.at_block(recording(), FIRST)) as only,
        proving(unverified, only.url) as node,
    ):
        before = node.answered_at
        async for _ in unproved(unverified):
            pass
        assert only.counts["starknet_getBlockWithReceipts"] > 0
        assert node.answered_at == before
        await node.head()
        assert node.answered_at > before
