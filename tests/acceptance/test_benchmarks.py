"""The benchmarks run on an invented chain and say what they measured; no timing is judged."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from benchmarks import chain, folding, page
from indexer.chain import block_proof, wire
from indexer.recording import chain as recordings
from tests import postgres


async def reported(*arguments: str) -> Any:
    """What `python -m benchmarks` prints with these arguments."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks", *arguments, "--json", "--database", postgres.server_url()),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 240)
    assert process.returncode == 0
    return msgspec.json.decode(out)


@pytest.mark.heavy
async def test_the_report_says_what_was_measured() -> None:
    report = await reported("--events", "200", "--runs", "1")
    assert report["options"]["seed"] == chain.SEED
    assert report["machine"].keys() == {"date", "cores", "cpu", "load", "python", "postgresql"}
    assert report["ingest"]["events"] == report["replay"]["events"] > 200
    for what, phases in (
        ("ingest", {"fetch", "decode", "fold", "sums", "write"}),
        ("ingest_proved", {"fetch", "decode", "fold", "sums", "write"}),
        ("replay", {"fetch", "decode", "fold", "write", "compare", "swap"}),
    ):
        result = report[what]
        assert result["events_per_second"] > 0
        assert result["peak_megabytes"] > 0
        assert result["shares"].keys() == phases
        # Decoding and folding go on while rows are written.
        one_by_one = sum(result["shares"][phase] for phase in phases - {"fetch", "decode", "fold"})
        if what == "replay":
            assert 0 < one_by_one < 1
        else:
            assert abs(result["shares"]["fetch"] + one_by_one - 1) < 0.01
    assert report["memory_growth"]["events"][0] < report["memory_growth"]["events"][1]
    assert report["memory_growth"]["memory_ratio"] > 0
    assert report["reader"]["rows_changed"] > 200, "the swap beside the reader changed rows"
    assert report["reader"]["beside_replay"]["reads"] > 10


@pytest.mark.heavy
@pytest.mark.timeout(900)
async def test_all_benchmarks_in_one_command(tmp_path: Path) -> None:
    sizes = ("--events", "400", "--sizes", "500,700", "--thin", "300")
    crowds = ("--positions", "300", "--blocks", "25")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.table", *sizes, *crowds, "--depth", "5"),
        *("--out", str(tmp_path / "runs.jsonl")),
        *("--database", postgres.server_url()),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 900)
    assert process.returncode == 0
    assert (tmp_path / "runs.jsonl").read_bytes() == out
    runs = [msgspec.json.decode(line) for line in out.splitlines()]
    fills = [one for one in runs if one["run"] == "fill"]
    latencies = [(one["options"]["empty"], one["options"]["latency_ms"]) for one in fills]
    proved = [(empty, latency) for empty in (0, 9) for latency in (0, 20, 50)]
    assert latencies == [*proved, (0, 0), (0, 0), (9, 50)]
    assert ["verify" in one["options"] for one in fills] == [False] * len(proved) + [True] * 3
    assert fills[-1]["options"]["blocks"] == 125 + 300
    for fill in fills:
        assert 0 < fill["fill"]["events"] == fill["bare"]["events"]
        assert 0 < fill["bare"]["bytes"] < fill["fill"]["bytes"]
        assert fill["fill"]["tables"]["vesu_positions"] > 0
    assert [one["replay"]["events"] for one in fills if "replay" in one] == [
        one["fill"]["events"] for one in fills if one["options"]["latency_ms"] == 0
    ]
    for proof in (one for one in runs if one["run"] == "proof"):
        assert proof["calls"]["starknet_getBlockWithReceipts"] >= proof["blocks"] > 125
        assert proof["events"] > proof["receipts"] > 0
    few, crowd = (one for one in runs if one["run"] == "follow")
    assert few["active"] + 200 < crowd["active"]
    for one in (few, crowd):
        assert one["blocks"] == 25 >= one["commits"] > 0
        assert 0 < one["committed_ms"]["median"] <= one["committed_ms"]["p99"]
        assert 0 < one["answered_ms"]["median"] < one["committed_ms"]["median"]
    names = [one["run"] for one in runs[-3:]]
    assert names == ["head", "reorganisation", "reorganisation"]
    table = page.tables(runs).splitlines()
    assert sum(line.startswith("| fill, ") for line in table) == len(fills)
    assert sum(line.startswith("| the limit: ") for line in table) == len(fills)


def test_the_page_s_table_is_that_of_its_runs() -> None:
    runs = [msgspec.json.decode(line) for line in page.LINES.read_bytes().splitlines()]
    text = page.PAGE.read_text("utf-8")
    assert page.written(text, runs) == text
    assert {one["run"] for one in runs} >= {"machine", "fill", "proof", "follow"}


def test_a_page_without_marks_is_not_written() -> None:
    with pytest.raises(click.ClickException):
        page.written("# Benchmarks\n", [])


@pytest.mark.heavy
async def test_a_reorganisation_is_measured_on_two_sizes_of_tables() -> None:
    report = await reported("--reorg", "20", "--events", "400", "--block-events", "5")
    small, large = report["reorgs"]
    assert small["rows"]["events"] < large["rows"]["events"]
    for told in (small, large):
        assert told["depth"] == 20
        assert told["events_orphaned"] >= 20 * 5
        assert told["deep_cpu_seconds"] > 0
        assert 0 < told["shallow"]["median_milliseconds"] <= told["shallow"]["worst_milliseconds"]


async def test_strangers_pools_are_measured_beside_none() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.pools", "--pools", "30", "--blocks", "3", "--near"),
        *("--database", postgres.server_url()),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 240)
    assert process.returncode == 0
    told = msgspec.json.decode(out)
    without, with_ = told["without"], told["with"]
    assert with_["pools"] == 30 > without["pools"] == 0
    assert with_["active_positions"] == without["active_positions"] + 30
    assert with_["sampled_prices"] == without["sampled_prices"] + 2 * 30
    for one in (without, with_):
        assert 0 < one["commit_ms"]["median"] <= one["commit_ms"]["p99"]
        assert one["wal_bytes"]["median"] > 0
        assert 0 < one["megabytes"] <= one["peak_megabytes"]


def test_the_same_seed_invents_the_same_chain(tmp_path: Path) -> None:
    heads = [chain.build(tmp_path / name, 300, seed=7) for name in ("one", "two")]
    one, two = (recordings.load(tmp_path / name) for name in ("one", "two"))
    assert heads == [one.main.last, two.main.last]
    assert [block.answer for block in one.main.blocks.values()] == [
        block.answer for block in two.main.blocks.values()
    ]


def test_invented_markets_accrue_as_the_fold_predicts(tmp_path: Path) -> None:
    recorded = folding.folded(recordings.bundled()).journal
    chain.build(tmp_path / "one", 400, seed=7)
    invented = folding.folded(tmp_path / "one").journal
    assert invented.checks > recorded.checks + 200
    assert not invented.quarantined
    assert not invented.refused
    assert len(invented.positions) > len(recorded.positions) + 100


def test_a_crowded_market_is_folded(tmp_path: Path) -> None:
    recorded = folding.folded(recordings.bundled()).journal
    below, head = chain.build_crowd(tmp_path / "one", 250, 7, seed=7)
    crowded = folding.folded(tmp_path / "one").journal
    assert head == below + 7
    assert not crowded.quarantined
    assert not crowded.refused
    assert len(crowded.positions) == len(recorded.positions) + 250 + 7
    served = recordings.load(tmp_path / "one").main
    assert [len(served.blocks[number].events) for number in range(below + 1, head + 1)] == [3] * 7


def test_blocks_with_events_of_others_are_proved(tmp_path: Path) -> None:
    """They fold as the same blocks without; what a node tells of them agrees."""
    below, head = chain.build_crowd(tmp_path / "one", 0, 3, seed=7, foreign=40)
    plain = chain.build_crowd(tmp_path / "two", 0, 3, seed=7)
    assert plain == (below, head)
    busy, quiet = (folding.folded(tmp_path / name).journal for name in ("one", "two"))
    assert len(busy.positions) == len(quiet.positions)
    lines = (tmp_path / "one" / "blocks.jsonl").read_bytes().splitlines()
    for line in lines[-3:]:
        block = wire.block(wire.full_block_decoder.decode(line))
        count = sum(len(receipt.events) for receipt in block.receipts)
        assert 40 <= count == block.header.event_count
        assert block_proof.prove_receipts(block) == "commitment"
