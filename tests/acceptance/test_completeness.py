"""An event that the node leaves out is found before it is missed: verify = "events", "all"."""

from __future__ import annotations

import collections
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from indexer.recording import options, server
from tests import postgres
from tests.acceptance import stage, truth
from tests.acceptance.test_http import daemon
from tests.acceptance.test_verify import told

SEED = 20261125


@pytest.fixture
async def fresh() -> AsyncIterator[str]:
    async with postgres.fresh_database(migrated=True) as url:
        yield url


def dropping(nth: int, times: int) -> options.Fault | Any:
    """A fault that drops the nth event of a page that has so many, `times` times over."""
    left = [times]

    def edit(result: dict[str, Any]) -> dict[str, Any]:
        if left[0] and len(result["events"]) > nth:
            left[0] -= 1
            del result["events"][nth]
        return result

    def fault(method: str, _: Any) -> options.Fault | None:
        return options.Fault(edit=edit) if method == "starknet_getEvents" else None

    return fault


@pytest.mark.parametrize("verify", ["events", "all"])
async def test_a_dropped_event_is_found_and_read_again(
    fresh: str, recorded: truth.Recorded, indexed_url: str, verify: str
) -> None:
    """The node leaves one event out once: the tables are as if it never had."""
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    # The first page asks for the factory alone; its events are few, so drop within them.
    faults = options.ServerOptions(fault=dropping(dice.randrange(3, 40), times=1))
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    undisturbed = await stage.json_of(environ, "digest")
    async with server.RecordingServer(recorded.chain, options=faults) as node:
        environ = stage.environment(recorded, node.url, fresh, VESU_INGEST_VERIFY=verify)
        _, _, err = await stage.command(
            environ, "run", "--until-block", str(recorded.last_block), "--no-serve"
        )
        assert "getEvents returned" in err
        assert await stage.json_of(environ, "digest") == undisturbed
    assert await _unverified(fresh) == 0


async def test_a_node_that_keeps_leaving_it_out_is_refused(
    fresh: str, recorded: truth.Recorded
) -> None:
    """Nothing is committed of a range that contradicts its blocks."""
    faults = options.ServerOptions(fault=dropping(10, times=10_000))
    async with server.RecordingServer(recorded.chain, options=faults) as node:
        environ = stage.environment(recorded, node.url, fresh, VESU_INGEST_VERIFY="events")
        process = await stage.start(environ, "run", "--no-serve")
        line = b""
        while b'"outcome": "wait"' not in line:
            assert process.stderr is not None
            line = await process.stderr.readline()
            assert line, "the daemon ended"
        process.terminate()
        await process.communicate()
    assert await postgres.value(fresh, "SELECT count(*) FROM events") == 0


async def _unverified(url: str) -> int:
    """Blocks with events of ours that were not proved complete."""
    count: int = await postgres.value(
        url,
        "SELECT count(*) FROM blocks WHERE verified IS NOT TRUE "
        "AND number IN (SELECT block_number FROM events)",
    )
    return count


class Asked:
    """A fault that does nothing, and counts how often the receipts of each block are asked."""

    def __init__(self) -> None:
        self.times: collections.Counter[int] = collections.Counter()

    def __call__(self, method: str, params: Any) -> options.Fault | None:
        if method == "starknet_getBlockWithReceipts":
            self.times[params["block_id"]["block_number"]] += 1
        return None


async def test_each_block_is_read_with_its_receipts_once(
    fresh: str, recorded: truth.Recorded
) -> None:
    """Those with an event of ours before their commit, and the others by the background."""
    asked = Asked()
    made = server.ServerOptions(fault=asked)
    async with server.RecordingServer(recorded.chain, options=made) as running_node:
        environ = stage.environment(
            recorded, running_node.url, fresh, VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE="6000"
        )
        async with daemon(environ) as running:
            await running.health(200, committed_block=125)
            await told(running, 'vesu_verified_blocks{method="commitment"}', 126)
            await running.stop()
    assert asked.times == dict.fromkeys(range(126), 1)
