"""`verify` and the daemon find what the log lacks, tell it, repair it; and prove the rest."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from indexer.cairo import selector
from indexer.recording import options, playhead, server
from tests import dropping, postgres
from tests.acceptance import stage, tables_v1, truth, truth_v1
from tests.acceptance.test_http import Daemon, daemon
from tests.integration import faults

LONE = (
    "SELECT max(block_number), max(transaction_index), max(event_index) FROM events "
    "GROUP BY block_number HAVING count(*) = 1 ORDER BY block_number"
)
"""Events that are the only one of ours in their block: what `verify = "events"` may overlook.
"""

CREATES = (
    "SELECT 7, transaction_index, event_index FROM events WHERE block_number = 7 AND contract = $1"
)
"""All that the factory says in the block of the first CreatePool."""


@pytest.fixture
async def fresh() -> AsyncIterator[str]:
    async with postgres.fresh_database(migrated=True) as url:
        yield url


@pytest.fixture(scope="module")
async def undisturbed(indexed_url: str, recorded: truth.Recorded) -> dict[str, Any]:
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_url)
    digest: dict[str, Any] = await stage.json_of(environ, "digest")
    return digest


@contextlib.asynccontextmanager
async def node(
    recorded: truth.Recorded,
    fault: dropping.Dropping | None = None,
    head: playhead.Playhead | None = None,
) -> AsyncIterator[str]:
    made = server.ServerOptions(fault=fault)
    shown = recorded.chain if head is None else head.recording
    async with server.RecordingServer(shown, head, made) as running:
        yield running.url


async def run(environ: dict[str, str], recorded: truth.Recorded) -> str:
    last = str(recorded.last_block)
    _, _, err = await stage.command(environ, "run", "--until-block", last, "--no-serve")
    return err


def keys_of(found: list[dict[str, Any]]) -> list[dropping.Key]:
    return [(one["block_number"], one["transaction_index"], one["event_index"]) for one in found]


# --- the command ----------------------------------------------------------------------------


async def test_all_blocks_are_proved_and_stay_so(
    fresh: str, recorded: truth.Recorded, undisturbed: dict[str, Any]
) -> None:
    """What "events", the default, leaves to prove, the command proves once."""
    async with node(recorded) as url:
        environ = stage.environment(recorded, url, fresh)
        await run(environ, recorded)
        before = (await stage.json_of(environ, "status"))["completeness"]
        assert before["blocks"] == {"commitment": 97, "sampled": 29, "hole": 0}
        _, out, _ = await stage.command(environ, "status")
        assert "97 blocks by commitment; 29 blocks sampled; " in out
        found = await stage.json_of(environ, "verify")
        assert found["checked_blocks"] == found["proved"]["commitment"] == 29
        assert found["checked_events"] == 0
        assert (found["gaps"], found["repair"]) == ([], "none_needed")
        again = await stage.json_of(environ, "verify")
        assert again["checked_blocks"] == 0
        asked = await stage.json_of(environ, "verify", "--from-block", "30", "--to-block", "39")
        assert asked["checked_blocks"] == 10
        whole = await stage.json_of(environ, "verify", "--from-block", "0")
        assert whole["checked_blocks"] == whole["proved"]["commitment"] == 126
        assert whole["checked_events"] == 672
        _, out, _ = await stage.command(environ, "status")
        assert "0..125 by commitment; holes: none" in out
        assert await stage.json_of(environ, "digest") == undisturbed
    rows = await postgres.fetch(
        fresh, "SELECT first_block, last_block, method FROM verified_ranges"
    )
    assert [tuple(row) for row in rows] == [(0, 125, "commitment")]
    assert not await postgres.fetch(fresh, "SELECT FROM blocks WHERE verified IS NOT TRUE")


async def test_what_was_proved_while_reading_is_noted_with_the_commit(
    fresh: str, recorded: truth.Recorded
) -> None:
    async with node(recorded) as url:
        environ = stage.environment(recorded, url, fresh, VESU_INGEST_VERIFY="all")
        await run(environ, recorded)
        found = (await stage.json_of(environ, "status"))["completeness"]
    assert found["blocks"] == {"commitment": 126, "hole": 0}
    assert found["holes"] == []


async def test_a_node_without_commitments_proves_by_receipts(
    fresh: str, recorded: truth.Recorded
) -> None:
    async with node(recorded) as url:
        # With proofs before the commit, nothing would be left for the command.
        environ = stage.environment(recorded, f"{url}/rpc/v0_9", fresh, VESU_INGEST_VERIFY="off")
        await run(environ, recorded)
        found = await stage.json_of(environ, "verify")
        assert found["proved"] == {"receipts": 126}
        # A better node proves more, and is not asked twice.
        better = stage.environment(recorded, url, fresh)
        assert (await stage.json_of(better, "verify"))["checked_blocks"] == 0
        again = await stage.json_of(better, "verify", "--from-block", "0")
        assert again["proved"] == {"commitment": 126}


async def test_every_generation_is_proved(indexed_v1: tables_v1.Indexed) -> None:
    """Contracts that are named by an event, by a view, or stand in the book: none too much."""
    recorded = indexed_v1.recorded
    async with server.RecordingServer(recorded.chain) as running:
        environ = stage.environment(recorded, running.url, indexed_v1.url)
        found = await stage.json_of(environ, "verify", "--from-block", "0")
    assert found["proved"] == {"commitment": recorded.last_block + 1}
    assert found["checked_events"] > 100


SPOILT = {
    "missing": "DELETE FROM events "
    "WHERE (block_number, transaction_index, event_index) = ($1, $2, $3)",
    "changed": "UPDATE events SET data = data || '0x1'::text "
    "WHERE (block_number, transaction_index, event_index) = ($1, $2, $3)",
    "extra": "INSERT INTO events SELECT block_number, transaction_index + 100, event_index, "
    "block_hash, transaction_hash, from_address, keys, data FROM events "
    "WHERE (block_number, transaction_index, event_index) = ($1, $2, $3)",
}
PLACES = "SELECT block_number, transaction_index, event_index FROM events ORDER BY 1, 2, 3"


async def test_what_was_spoilt_after_the_commit_is_listed_and_repaired(
    fresh: str, recorded: truth.Recorded, undisturbed: dict[str, Any]
) -> None:
    """In blocks that were proved before: their seals are broken."""
    async with node(recorded) as url:
        environ = stage.environment(recorded, url, fresh, VESU_INGEST_VERIFY="all")
        await run(environ, recorded)
        events = [tuple(row) for row in await postgres.fetch(fresh, PLACES)]
        spoilt = dict(zip(SPOILT, (events[300], events[400], events[500]), strict=True))
        for difference, place in spoilt.items():
            await postgres.fetch(fresh, SPOILT[difference], *place)
        looked = await stage.json_of(environ, "verify", "--no-repair", expect=1)
        assert looked["repair"] == "not_asked"
        assert looked["checked_blocks"] == 3
        assert [(gap["block_number"], gap["difference"]) for gap in looked["gaps"]] == [
            (place[0], difference) for difference, place in spoilt.items()
        ]
        stale = await stage.json_of(environ, "status", expect=1)
        assert f"differs from the chain in block {events[300][0]}" in stale["reason"]
        audit = await stage.json_of(environ, "audit", expect=1)
        assert "log complete against the chain" in {
            check["name"] for check in audit["checks"] if not check["is_good"]
        }
        repaired = await stage.json_of(environ, "verify", expect=1)
        assert repaired["repair"] == "done"
        assert repaired["gaps"] == looked["gaps"]
        assert (await stage.json_of(environ, "verify"))["checked_blocks"] == 0
        assert await stage.json_of(environ, "digest") == undisturbed
        status = await stage.json_of(environ, "status")
    assert status["reorgs"][0]["cause"] == "repair"
    assert status["reorgs"][0]["ancestor_number"] == events[300][0] - 1
    assert status["completeness"]["gaps_open"] == 0
    assert status["completeness"]["gaps_repaired"] == 3


async def test_a_gap_in_the_first_stored_block_is_repaired_from_before_it(
    fresh: str, recorded: truth.Recorded, undisturbed: dict[str, Any]
) -> None:
    """Nothing is stored below: the tables go back to empty."""
    async with node(recorded) as url:
        environ = stage.environment(recorded, url, fresh)
        await run(environ, recorded)
        await postgres.execute(
            fresh, "DELETE FROM events WHERE block_number = (SELECT min(number) FROM blocks)"
        )
        found = await stage.json_of(environ, "verify", expect=1)
        assert found["repair"] == "done"
        assert await stage.json_of(environ, "digest") == undisturbed
        status = await stage.json_of(environ, "status")
    assert status["reorgs"][0]["ancestor_number"] == -1


async def test_ranges_that_were_never_asked_for_are_refused(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    async with node(recorded) as url:
        environ = stage.environment(recorded, url, indexed_url)
        _, _, err = await stage.command(environ, "verify", "--from-block", "126", expect=2)
        assert "the log holds the blocks 0 to 125" in err
        reversed_range = ("--from-block", "9", "--to-block", "8")
        _, _, err = await stage.command(environ, "verify", *reversed_range, expect=2)
        assert "--to-block 8 is below --from-block 9" in err


async def test_a_node_of_another_branch_proves_nothing(
    fresh: str, recorded: truth.Recorded
) -> None:
    """Its receipts are of other blocks: not a gap, and nothing is noted."""
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    async with node(recorded, head=head) as url:
        environ = stage.environment(recorded, url, fresh)
        fork = loaded.forks[0]
        head.go_to(fork.last, branch=1)
        await stage.command(environ, "run", "--until-block", str(fork.last), "--no-serve")
        noted = await postgres.fetch(fresh, "SELECT * FROM verified_ranges ORDER BY first_block")
        head.go_to(loaded.main.last)
        _, _, err = await stage.command(environ, "verify", expect=3)
        assert "does not hold the committed block" in err
    assert noted == await postgres.fetch(fresh, "SELECT * FROM verified_ranges ORDER BY 1")
    assert not await postgres.fetch(fresh, "SELECT FROM completeness_gaps")


async def test_receipts_that_contradict_their_header_prove_nothing(
    indexed_url: str, recorded: truth.Recorded
) -> None:
    """An event that a node leaves out of a receipt is no event that the log has too much."""

    def shorten(block: dict[str, Any]) -> dict[str, Any]:
        for transaction in block["transactions"]:
            del transaction["receipt"]["events"][-1:]
        return block

    async with stage.edited(recorded, getBlockWithReceipts=shorten) as url:
        environ = stage.environment(recorded, url, indexed_url)
        _, _, err = await stage.command(environ, "verify", "--from-block", "60", expect=3)
        assert err.count('"kind": "incomplete", "outcome": "again"') >= 3
        assert re.search(r"error: block \d+ counts \d+ events, its receipts hold \d+", err)
    assert not await postgres.fetch(indexed_url, "SELECT FROM completeness_gaps")


async def test_a_reorganisation_takes_back_what_was_verified(
    fresh: str, recorded: truth.Recorded
) -> None:
    loaded = recorded.chain
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    async with node(recorded, head=head) as url:
        environ = stage.environment(recorded, url, fresh, VESU_INGEST_VERIFY="all")
        fork = loaded.forks[0]
        head.go_to(fork.last, branch=1)
        await stage.command(environ, "run", "--until-block", str(fork.last), "--no-serve")
        head.go_to(loaded.main.last)
        # Without new proofs, the ranges that the rollback left are all that `status` shows.
        off = environ | {"VESU_INGEST_VERIFY": "off"}
        await run(off, recorded)
        found = (await stage.json_of(off, "status"))["completeness"]
    ranges = [(one["first_block"], one["last_block"], one["method"]) for one in found["ranges"]]
    assert ranges == [(0, 84, "commitment")]
    assert found["holes"] == [{"first_block": 85, "last_block": 125}]


class LaggingOnce:
    """Does not know the block of a token's symbol, until the views before it are asked again."""

    def __init__(self) -> None:
        self.is_armed = False
        self._naming = int(selector.of("v_token_for_collateral_asset"))
        self._symbol = int(selector.of("symbol"))
        self._has_failed = False

    def __call__(self, method: str, params: Any) -> options.Fault | None:
        if not self.is_armed or method != "starknet_call":
            return None
        asked = int(params["request"]["entry_point_selector"], 16)
        if asked == self._naming and self._has_failed:
            self.is_armed = False
        if asked != self._symbol:
            return None
        self._has_failed = True
        return options.Fault(edit=faults.refuse(24, "Block not found"))


async def test_a_repair_that_failed_begins_from_a_clean_state(fresh: str) -> None:
    """What was asked of the node before it failed is asked again, and stored once."""
    v1, lagging = truth_v1.recorded("devnet-v10-genesis"), LaggingOnce()
    made = server.ServerOptions(fault=lagging)
    async with server.RecordingServer(v1.chain, options=made) as running:
        environ = stage.environment(v1, running.url, fresh)
        await run(environ, v1)
        wanted = await stage.json_of(environ, "digest")
        # All views are confirmed, so that the next to ask is the repair.
        await stage.command(environ, "verify")
        await postgres.execute(
            fresh, "DELETE FROM events WHERE block_number = 6 AND name = 'SetAssetConfig'"
        )
        lagging.is_armed = True
        _, _, err = await stage.command(environ, "verify", expect=1)
        assert not lagging.is_armed
        assert "repair_tried_again" in err
        assert await stage.json_of(environ, "digest") == wanted


# --- one event left out of one answer ---------------------------------------------------------


async def lone_events(indexed_url: str) -> list[dropping.Key]:
    return [tuple(row) for row in await postgres.fetch(indexed_url, LONE)]


async def test_what_escaped_the_reading_is_found_and_repaired_by_the_command(
    fresh: str, recorded: truth.Recorded, indexed_url: str, undisturbed: dict[str, Any]
) -> None:
    lone = (await lone_events(indexed_url))[3]
    fault = dropping.Dropping(lone)
    async with node(recorded, fault) as url:
        # No sample: the block without stored events must escape the reading.
        environ = stage.environment(recorded, url, fresh, VESU_INGEST_VERIFY_SAMPLE_RATE="0")
        await run(environ, recorded)
        assert fault.dropped == [lone]
        assert await stage.json_of(environ, "digest") != undisturbed
        found = await stage.json_of(environ, "verify", expect=1)
        assert keys_of(found["gaps"]) == [lone]
        assert found["gaps"][0]["difference"] == "missing"
        assert await stage.json_of(environ, "digest") == undisturbed


async def test_a_node_that_leaves_it_out_for_good_is_told_and_commits_nothing(
    fresh: str, recorded: truth.Recorded, indexed_url: str
) -> None:
    """The block is known to hold an event: it is not committed a second time without it."""
    lone = (await lone_events(indexed_url))[0]
    fault = dropping.Dropping(lone, times=10_000)
    async with node(recorded, fault) as url:
        # A proof before the commit would find it at once.
        environ = stage.environment(recorded, url, fresh, VESU_INGEST_VERIFY="off")
        # A short log: the whole of it is proved again at each try.
        await stage.command(environ, "run", "--until-block", str(lone[0] + 9), "--no-serve")
        _, _, err = await stage.command(environ, "verify", expect=3, timeout=300)
        assert "getEvents returned 0 watched events" in err
        assert (await stage.json_of(environ, "status", expect=1))["completeness"]["gaps_open"] == 1
    (row,) = await postgres.fetch(fresh, "SELECT block_number FROM cursor")
    assert row["block_number"] < lone[0]


async def test_the_daemon_finds_and_repairs_what_escaped_the_reading(
    fresh: str, recorded: truth.Recorded, indexed_url: str, undisturbed: dict[str, Any]
) -> None:
    """Also when it named a pool: all that the pool said was missing with it, and is not listed."""
    lone = (await lone_events(indexed_url))[5]
    creates = [tuple(row) for row in await postgres.fetch(indexed_url, CREATES, "pool_factory_v2")]
    lost = [lone, *creates]
    fault = dropping.Dropping(*lost)
    async with node(recorded, fault) as url:
        environ = stage.environment(
            recorded,
            url,
            fresh,
            VESU_INGEST_VERIFY="off",  # the background alone is to find it
            VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE="6000",
        )
        async with daemon(environ) as running:
            await repaired(fresh, gaps=len(lost))
            await running.health(200, committed_block=125)
            metrics = await told(running, 'vesu_completeness_gaps{state="repaired"}', len(lost))
            _, _, log = await running.stop()
        assert sorted(fault.dropped) == sorted(lost)
        assert await stage.json_of(environ, "digest") == undisturbed
    assert value(metrics, 'vesu_completeness_gaps{state="open"}') == 0
    assert value(metrics, "vesu_repairs_total") >= 1
    assert value(metrics, 'vesu_verified_blocks{method="commitment"}') > 0
    assert log.count("log_incomplete") == 2
    assert '"level": "error"' in next(line for line in log.splitlines() if "repairing" in line)


async def test_a_gap_that_the_command_finds_is_repaired_by_the_running_daemon(
    fresh: str, recorded: truth.Recorded, indexed_url: str, undisturbed: dict[str, Any]
) -> None:
    lone = (await lone_events(indexed_url))[1]
    async with node(recorded, dropping.Dropping(lone)) as url:
        environ = stage.environment(
            recorded,
            url,
            fresh,
            VESU_INGEST_VERIFY="off",  # the command alone is to find it
            VESU_INGEST_VERIFY_BLOCKS_PER_MINUTE="0",
        )
        async with daemon(environ) as running:
            await running.health(200, committed_block=125)
            found = await stage.json_of(environ, "verify", expect=1)
            assert found["repair"] == "left_to_daemon"
            assert keys_of(found["gaps"]) == [lone]
            await repaired(fresh, gaps=1)
            await running.health(200, committed_block=125)
            assert (await running.stop())[0] == 0
        assert await stage.json_of(environ, "digest") == undisturbed


async def told(running: Daemon, name: str, wanted: float) -> str:
    """Wait until a metric has this value; returns all of them."""
    async with asyncio.timeout(60):
        while True:
            _, _, metrics = await running.ask("/metrics")
            if f"{name} {float(wanted)}\n" in metrics:
                return metrics
            await asyncio.sleep(0.1)


async def repaired(url: str, gaps: int) -> None:
    """Wait until so many gaps are repaired, and none is open."""
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(asyncpg.UndefinedTableError):
                rows = await postgres.fetch(url, "SELECT repaired_at FROM completeness_gaps")
                if len(rows) == gaps and all(row["repaired_at"] for row in rows):
                    return
            await asyncio.sleep(0.1)


def value(metrics: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
    assert found, f"{name} is not in:\n{metrics}"
    return float(found[1])
