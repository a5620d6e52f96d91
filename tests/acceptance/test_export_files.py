"""`export`: refusals, and files that are whole or not there, whatever happens half-way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from indexer.recording import server
from tests import postgres
from tests.acceptance import refusal, stage, truth

NOWHERE = "http://127.0.0.1:1"
FORMATS = ("csv", "ndjson", "parquet")


@pytest.fixture
def environ(recorded: truth.Recorded, indexed_url: str) -> dict[str, str]:
    return stage.environment(recorded, NOWHERE, indexed_url)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no_such_table",), "there is no table no_such_table"),
        (("_yoyo_migration",), "there is no table _yoyo_migration"),
        (("events", "--pool", "0x1"), "events has no column of a pool"),
        (("indexer_status", "--from-block", "1"), "no column of a block"),
        (("vesu_positions", "--at-block", "126"), "above the committed block 125"),
        (("events", "--at-block", "9", "--to-block", "9"), "--at-block excludes"),
        (("events", "--pool", "kirk"), "no pool 'kirk' is known"),
    ],
)
async def test_refusals(
    environ: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "out.csv"
    line = await refusal.refused(
        environ, "export", *arguments, "--format", "csv", "--out", str(path), code=2
    )
    assert said in line
    assert list(tmp_path.iterdir()) == []


async def test_nothing_is_overwritten_unasked(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    export = ("export", "vesu_pools", "--format", "csv", "--out", str(path))
    path.write_text("dear")
    line = await refusal.refused(environ, *export, code=2)
    assert "--force" in line
    assert path.read_text() == "dear"
    path.rename(tmp_path / "out.csv.meta.json")
    await refusal.refused(environ, *export, code=2)
    assert not path.exists()
    told = await stage.json_of(environ, *export, "--force")
    assert path.stat().st_size == told["bytes"]
    assert json.loads((tmp_path / "out.csv.meta.json").read_text())["sha256"] == told["sha256"]


async def test_an_empty_database_has_nothing_to_export(
    environ: dict[str, str], migrated_database_url: str, tmp_path: Path
) -> None:
    environ = environ | {"DATABASE_URL": migrated_database_url}
    out = ("--out", str(tmp_path / "out.csv"))
    line = await refusal.refused(environ, "export", "events", "--format", "csv", *out, code=2)
    assert "no block is committed" in line


async def test_parquet_without_its_library(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow" / "__init__.py").write_text("raise ImportError('not here')\n")
    environ = environ | {"PYTHONPATH": str(tmp_path)}
    path = tmp_path / "out.parquet"
    export = ("export", "vesu_pools", "--out", str(path), "--format")
    line = await refusal.refused(environ, *export, "parquet", code=2)
    assert 'pip install "vesu-indexer[parquet]"' in line
    assert not path.exists()
    await stage.command(environ, *export, "csv")


# --- half-way -------------------------------------------------------------------------------------


ROWS = 30_000


@contextlib.asynccontextmanager
async def lengthened(recorded: truth.Recorded, rows: int) -> AsyncIterator[str]:
    """A log with so many rows of a kilobyte."""
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(recorded.chain) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(environ, "run", "--until-block", "10", "--no-serve")
        await postgres.execute(
            url,
            "INSERT INTO event_log SELECT 1000 + g, 0, 0, emitter, decoded_as, transaction_hash, "
            "keys, pack_felts(array_fill('0x' || repeat('f', 62), ARRAY[14])) "
            f"FROM generate_series(1, {rows}) g, (SELECT * FROM event_log LIMIT 1) AS one",
        )
        yield url


@pytest.fixture(scope="module")
async def long_url(recorded: truth.Recorded) -> AsyncIterator[str]:
    """A log so long that its export takes a while."""
    async with lengthened(recorded, ROWS) as url:
        yield url


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("deadly", [signal.SIGTERM, signal.SIGKILL])
async def test_a_kill_leaves_no_file(
    recorded: truth.Recorded, long_url: str, tmp_path: Path, format_: str, deadly: signal.Signals
) -> None:
    environ = stage.environment(recorded, NOWHERE, long_url)
    path, part = tmp_path / "out", tmp_path / ".out.part"
    export = ("export", "events", "--format", format_, "--out", str(path))
    process = await stage.start(environ, *export)
    while not (part.exists() and part.stat().st_size > 100_000):
        assert process.returncode is None
        await asyncio.sleep(0.002)
    process.send_signal(deadly)
    await process.communicate()
    left = {left.name for left in tmp_path.iterdir()}
    assert left == (set() if deadly == signal.SIGTERM else {".out.part"})
    assert process.returncode == (143 if deadly == signal.SIGTERM else -9)
    if deadly == signal.SIGKILL:
        told = await stage.json_of(environ, *export)
        assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert not part.exists()


async def test_a_reader_that_goes_away_ends_it_quietly(
    recorded: truth.Recorded, long_url: str
) -> None:
    environ = stage.environment(recorded, NOWHERE, long_url)
    process = await stage.start_python(
        environ, "export", "events", "--format", "ndjson", "--out", "-"
    )
    assert process.stdout is not None
    assert process.stderr is not None
    first = json.loads(await process.stdout.readline())
    assert first["block_number"] == 4
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert await process.wait() == 141
    assert b"error" not in await process.stderr.read()


async def test_a_full_disk_is_one_line_and_no_file(
    recorded: truth.Recorded, long_url: str, tmp_path: Path
) -> None:
    environ = stage.environment(recorded, NOWHERE, long_url)
    path = tmp_path / "out.csv"
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'ulimit -f 200; exec "$@"', "sh", sys.executable, "-m", "indexer"),
        *("export", "events", "--format", "csv", "--out", str(path)),
        env=environ,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 3
    lines = err.decode().splitlines()
    assert lines == [f"error: cannot write {path}: File too large"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format_", [pytest.param("csv", marks=pytest.mark.heavy), "ndjson"])
async def test_memory_does_not_grow_with_the_rows(recorded: truth.Recorded, format_: str) -> None:
    """Far less memory is allowed than what goes through it."""
    limited = 'ulimit -d 120000; exec "$@" | wc -c'
    async with lengthened(recorded, 200_000) as url:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", limited, "sh", sys.executable, "-m", "indexer"),
            *("export", "events", "--format", format_, "--out", "-"),
            env=stage.environment(recorded, NOWHERE, url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert int(out) > 2 * 120_000_000, err.decode()


async def test_two_at_once_do_not_mix(
    recorded: truth.Recorded, long_url: str, tmp_path: Path
) -> None:
    """The second comes while the first waits for the table."""
    environ = stage.environment(recorded, NOWHERE, long_url)
    path = tmp_path / "out.csv"
    export = ("export", "events", "--format", "csv", "--out", str(path))
    connection = await asyncpg.connect(long_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        first = await stage.start(environ, *export)
        while not (tmp_path / ".out.csv.part").exists():
            assert first.returncode is None
            await asyncio.sleep(0.002)
        line = await refusal.refused(environ, *export, code=3)
    await connection.close()
    assert "another process is writing" in line
    await first.communicate()
    assert first.returncode == 0
    assert path.read_bytes().count(b"\n") > ROWS
