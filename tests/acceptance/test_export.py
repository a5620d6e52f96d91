"""`export`: what comes out is what is in the database, in every format, whole or not at all."""

from __future__ import annotations

import asyncio
import csv
import datetime
import decimal
import hashlib
import io
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click import testing
from pyarrow import parquet

from indexer import cli
from indexer.recording import server
from tests import postgres
from tests.acceptance import hostile, moving, refusal, stage, truth

NOWHERE = "http://127.0.0.1:1"
FORMATS = ("csv", "ndjson", "parquet")
CHANGING = {"indexer_status": {"age_seconds"}}
"""Columns that tell the time of asking."""


@pytest.fixture(scope="module")
async def spoilt_url(recorded: truth.Recorded) -> AsyncIterator[str]:
    """devnet-a, with hostile values written over it."""
    async with stage.filled(recorded) as url:
        await hostile.spoil(url)
        yield url


@pytest.fixture
def environ(recorded: truth.Recorded, indexed_url: str) -> dict[str, str]:
    return stage.environment(recorded, NOWHERE, indexed_url)


# --- readers of our own ---------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A value of the database in one spelling: exact text, UTC times, lists, parsed JSON."""
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC)
    if isinstance(value, bytes):
        return rf"\x{value.hex()}"
    return str(value) if isinstance(value, uuid.UUID) else value


async def exported(environ: dict[str, str], *arguments: str) -> Any:
    """What `export --json` prints, run in this process: most of a short export is its start."""
    result = await asyncio.to_thread(
        testing.CliRunner().invoke, cli.group, ["export", *arguments, "--json"], env=environ
    )
    assert result.exception is None, result.output
    return json.loads(result.stdout)


async def in_database(connection: asyncpg.Connection, table: str) -> list[dict[str, Any]]:
    columns = await connection.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $1 "
        "AND table_schema = current_schema() ORDER BY ordinal_position",
        table,
    )
    kinds = {row["column_name"]: row["data_type"] for row in columns}
    # PostgreSQL's own text of numbers: what asyncpg makes of them is not believed here.
    names = ", ".join(
        f"{name}::text" if kind == "numeric" else name for name, kind in kinds.items()
    )
    rows = []
    for row in await connection.fetch(f"SELECT {names} FROM {table}"):
        values = {name: plain(value) for name, value in row.items()}
        values |= {name: typed(row[name], kind) for name, kind in kinds.items() if kind == "jsonb"}
        rows.append(values)
    return rows


async def from_csv(
    connection: asyncpg.Connection, path: Path, kinds: dict[str, str]
) -> list[dict[str, Any]]:
    """Through PostgreSQL's own reader of CSV, which tells NULL from empty text."""
    names = ", ".join(f"{name} text" for name in kinds)
    await connection.execute(f"CREATE TEMPORARY TABLE read_back ({names})")
    await connection.copy_to_table("read_back", source=path, format="csv", header=True)
    rows = await connection.fetch("SELECT * FROM read_back")
    await connection.execute("DROP TABLE read_back")
    return [{name: typed(row[name], kinds[name]) for name in kinds} for row in rows]


def typed(text: str | None, kind: str) -> Any:
    if text is None:
        return None
    if kind in ("bigint", "integer", "smallint"):
        return int(text)
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    if kind == "double precision":
        return float(text)
    if kind in ("text[]", "jsonb"):
        return json.loads(text, parse_float=decimal.Decimal)
    return plain(datetime.datetime.fromisoformat(text)) if kind.startswith("timestamp") else text


def from_ndjson(path: Path, kinds: dict[str, str]) -> list[dict[str, Any]]:
    rows = []
    # Not splitlines(): what ends a line is \n alone.
    for line in path.read_text("utf-8").removesuffix("\n").split("\n"):
        row = json.loads(line, parse_float=decimal.Decimal)
        assert list(row) == list(kinds)
        for name, kind in kinds.items():
            if row[name] is not None and kind.startswith("timestamp"):
                row[name] = typed(row[name], kind)
            if row[name] is not None and kind == "double precision":
                row[name] = float(row[name])
        rows.append(row)
    return rows


def from_parquet(path: Path, kinds: dict[str, str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    for row in rows:
        assert list(row) == list(kinds)
        for name, kind in kinds.items():
            row[name] = typed(row[name], kind) if kind == "jsonb" else plain(row[name])
    return rows


def as_set(rows: list[dict[str, Any]], skipped: set[str]) -> list[str]:
    """Rows without order, in a form that tells 1 from "1" and None from "None"."""
    return sorted(
        repr({name: value for name, value in row.items() if name not in skipped}) for row in rows
    )


# --- exactness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
async def test_every_row_of_every_table_comes_out_exactly(
    recorded: truth.Recorded, spoilt_url: str, tmp_path: Path, format_: str
) -> None:
    environ = stage.environment(recorded, NOWHERE, spoilt_url)
    tables = await refusal.tables(spoilt_url)
    tables = {name for name in tables if "yoyo" not in name} | {"indexer_status"}
    compared = 0
    connection = await asyncpg.connect(spoilt_url)
    try:
        for table in sorted(tables):
            path = tmp_path / f"{table}.{format_}"
            told = await exported(environ, table, "--format", format_, "--out", str(path))
            kinds = told["columns"]
            if format_ == "csv":
                found = await from_csv(connection, path, kinds)
            elif not told["rows"] and format_ == "ndjson":
                found = []
                assert path.read_bytes() == b""
            else:
                found = (from_ndjson if format_ == "ndjson" else from_parquet)(path, kinds)
            expected = await in_database(connection, table)
            assert told["rows"] == len(expected) == len(found), table
            skipped = CHANGING.get(table, set())
            assert as_set(found, skipped) == as_set(expected, skipped), table
            compared += len(found)
    finally:
        await connection.close()
    print(f"{compared} rows of {len(tables)} tables compared as {format_}")
    assert compared > 2_000


async def test_the_widest_integers_are_there_digit_by_digit(
    recorded: truth.Recorded, spoilt_url: str, tmp_path: Path
) -> None:
    """What the comparison above rests on: the hostile values did reach the files."""
    environ = stage.environment(recorded, NOWHERE, spoilt_url)
    for format_ in FORMATS:
        path = tmp_path / f"positions.{format_}"
        await stage.command(
            environ, "export", "vesu_positions", "--format", format_, "--out", str(path)
        )
        if format_ == "parquet":
            texts = [str(parquet.read_table(path).to_pylist()[0])]
        else:
            texts = path.read_text("utf-8").splitlines()[1:2]
        for wide in (str(hostile.WIDEST), str(hostile.SEVENTY_SEVEN), "0." + "0" * 47 + "1"):
            assert wide in texts[0]


async def test_csv_is_read_by_other_readers_too(
    environ: dict[str, str], tmp_path: Path, indexed: asyncpg.Connection
) -> None:
    path = tmp_path / "events.csv"
    await stage.command(environ, "export", "events", "--format", "csv", "--out", str(path))
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    keys = await indexed.fetchval(
        "SELECT keys FROM events ORDER BY block_number, transaction_index, event_index LIMIT 1"
    )
    assert json.loads(rows[0]["keys"]) == keys


# --- what it is true for --------------------------------------------------------------------------


async def test_the_snapshot_is_told_and_kept(
    environ: dict[str, str], recorded: truth.Recorded, tmp_path: Path
) -> None:
    told = {}
    for format_ in FORMATS:
        path = tmp_path / f"pools.{format_}"
        told[format_] = await stage.json_of(
            environ, "export", "vesu_pools", "--format", format_, "--out", str(path)
        )
        snapshot = told[format_]["snapshot"]
        assert snapshot["block_number"] == recorded.last_block
        assert int(snapshot["block_hash"], 16) == int(recorded.hashes[recorded.last_block], 16)
        assert snapshot["chain_id"] == recorded.manifest["chain_id"]
        assert told[format_]["bytes"] == path.stat().st_size
        assert told[format_]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    for format_ in ("csv", "ndjson"):
        beside = json.loads((tmp_path / f"pools.{format_}.meta.json").read_text())
        assert beside == told[format_]
    kept = parquet.read_schema(tmp_path / "pools.parquet").metadata
    assert json.loads(kept[b"vesu-indexer.snapshot"]) == told["parquet"]["snapshot"]
    assert kept[b"vesu-indexer.table"] == b"vesu_pools"
    assert {path.name for path in tmp_path.iterdir()} == {
        "pools.csv",
        "pools.csv.meta.json",
        "pools.ndjson",
        "pools.ndjson.meta.json",
        "pools.parquet",
    }


async def test_an_export_beside_a_writing_daemon_is_true_for_one_block(
    recorded: truth.Recorded, tmp_path: Path
) -> None:
    """Each export taken while blocks come in equals a later one of the same blocks."""
    taken: list[dict[str, Any]] = []
    async with moving.daemon(recorded, 15) as daemon:
        environ = daemon.environ
        for index in range(6):
            path = str(tmp_path / f"{index}.csv")
            export = exported(environ, "events", "--format", "csv", "--out", path)
            told, commits = await daemon.during(export, at_most=15)
            print(f"block {told['snapshot']['block_number']}, {commits} commits meanwhile")
            assert commits > 0
            taken.append(told)
        await daemon.reach(recorded.last_block)
        assert len({one["snapshot"]["block_number"] for one in taken}) > 3
        for one in taken:
            block = str(one["snapshot"]["block_number"])
            arguments = ("events", "--format", "csv", "--to-block", block, "--force")
            later = await exported(environ, *arguments, "--out", str(tmp_path / "later.csv"))
            assert later["sha256"] == one["sha256"], block


# --- filters --------------------------------------------------------------------------------------


async def test_filters(
    environ: dict[str, str], indexed: asyncpg.Connection, tmp_path: Path
) -> None:
    pool = await indexed.fetchval("SELECT pool_id FROM vesu_transactions ORDER BY 1 LIMIT 1")
    short = hex(int(pool, 16))
    path = str(tmp_path / "rows.ndjson")
    given = ("--pool", short, "--from-block", "30", "--to-block", "60")
    told = await stage.json_of(
        environ, "export", "vesu_transactions", "--format", "ndjson", "--out", path, *given
    )
    expected = await indexed.fetch(
        "SELECT id::text FROM vesu_transactions WHERE pool_id = $1 "
        "AND block_number BETWEEN 30 AND 60",
        pool,
    )
    rows = from_ndjson(Path(path), told["columns"])
    assert 0 < len(rows) < await indexed.fetchval("SELECT count(*) FROM vesu_transactions")
    assert {row["id"] for row in rows} == {row["id"] for row in expected}
    assert told["filters"]["pool"] == pool
    order = [(row["block_number"], row["transaction_index"], row["event_index"]) for row in rows]
    assert order == sorted(order)


@pytest.mark.parametrize("block", [20, 58, 99])
async def test_state_at_a_past_block(
    environ: dict[str, str],
    indexed: asyncpg.Connection,
    recorded: truth.Recorded,
    tmp_path: Path,
    block: int,
) -> None:
    """Equal to what a database that stopped at that block holds: the columns of exact state."""
    path = str(tmp_path / "then.ndjson")
    then = await stage.json_of(
        environ,
        *("export", "vesu_positions", "--format", "ndjson", "--out", path),
        *("--at-block", str(block)),
    )
    stored = await indexed.fetchval("SELECT max(number) FROM blocks WHERE number <= $1", block)
    assert then["snapshot"]["block_number"] == stored
    assert int(then["snapshot"]["block_hash"], 16) == int(recorded.hashes[stored], 16)
    assert then["snapshot"]["committed_block"] == recorded.last_block
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(recorded.chain) as node:
            stopped = stage.environment(recorded, node.url, url)
            await stage.command(stopped, "run", "--until-block", str(block), "--no-serve")
        beside = str(tmp_path / "now.ndjson")
        now = await stage.json_of(
            stopped, "export", "vesu_positions", "--format", "ndjson", "--out", beside
        )
    shared = [name for name in now["columns"] if name in then["columns"]]
    assert {"collateral_shares", "nominal_debt", "vtoken_balance_raw", "status"} <= set(shared)
    rows = [
        [{name: row[name] for name in shared} for row in from_ndjson(Path(file), told["columns"])]
        for file, told in ((path, then), (beside, now))
    ]
    assert rows[0] == rows[1]
    assert rows[0]


# --- a pool by its name -----------------------------------------------------------------------


async def test_a_pool_by_its_name(
    environ: dict[str, str], indexed_url: str, tmp_path: Path
) -> None:
    """As the other commands take it, in any case: the same file as by its id; the id is noted."""
    row = (
        await postgres.fetch(
            indexed_url,
            "SELECT pool_id, name FROM vesu_pools WHERE name IS NOT NULL ORDER BY 1 LIMIT 1",
        )
    )[0]
    files = []
    for number, pool in enumerate((row["pool_id"], row["name"], row["name"].upper())):
        path = tmp_path / f"{number}.csv"
        await stage.command(
            environ,
            *("export", "vesu_position_history", "--format", "csv", "--pool", pool),
            *("--out", str(path)),
        )
        files.append(path.read_text("utf-8"))
        beside = json.loads((tmp_path / f"{number}.csv.meta.json").read_text())
        assert beside["filters"]["pool"] == row["pool_id"]
    assert files[0] == files[1] == files[2]
    rows = list(csv.DictReader(io.StringIO(files[0])))
    assert rows
    assert {one["pool_id"] for one in rows} == {row["pool_id"]}
    whole = await postgres.value(indexed_url, "SELECT count(*) FROM vesu_position_history")
    assert len(rows) < whole
    path = tmp_path / "none.csv"
    _, _, err = await stage.command(
        environ,
        *("export", "vesu_pools", "--format", "csv", "--pool", f"{row['name']}x", "--out"),
        str(path),
        expect=2,
    )
    assert f"the nearest known is {row['name']!r}" in err
    assert not path.exists()
