"""When an endpoint is left for the next: whatever question of a look it fails in, and whoever asks.

The first endpoint's trouble begins once block 10 is committed and never ends; the tables must
get on to block 60 by the second one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from indexer.recording import options
from tests import postgres
from tests.integration import daemon_stage
from tests.integration.daemon_stage import Playhead, following, recording, serving
from tests.integration.faults import Fault, refuse

FIRST, LAST = 10, 60
DOWN = Fault(status=502)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with postgres.fresh_database(migrated=True) as made:
        yield made


class Endpoint:
    """A node at block 10 whose trouble begins when `fail` is called."""

    def __init__(self, fault: Fault, only: str = "") -> None:
        self._fault = fault
        self._only = only
        self._fails = False
        self.head = Playhead.at(recording(), FIRST)

    def fail(self) -> None:
        self._fails = True

    def recover(self) -> None:
        self._fails = False

    def __call__(self, method: str, params: Any) -> options.Fault | None:
        is_it = self._only in ("", told(method, params))
        return self._fault if self._fails and is_it else None


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
        serving(Playhead.at(recording(), LAST)) as good,
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
        serving(Playhead.at(recording(), LAST)) as good,
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
