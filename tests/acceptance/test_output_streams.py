"""Standard output and error that are closed, full, without a reader, or of another encoding."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import asyncpg
import pytest

from indexer.recording import server
from tests import postgres
from tests.acceptance import stage, truth

FULL = "error: cannot write standard output: No space left on device\n"


@pytest.fixture
def environ(recorded: truth.Recorded, indexed_url: str) -> dict[str, str]:
    return stage.environment(recorded, "http://127.0.0.1:1", indexed_url)


def shell(environ: dict[str, str], line: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's line in which `vesu` is the command."""
    return subprocess.run(
        ["bash", "-c", f'vesu() {{ exec "{sys.executable}" -m indexer "$@"; }}; ({line})'],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        errors="surrogateescape",
    )


@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("vesu pools > /dev/full", 3, FULL),
        ("vesu digest --json > /dev/full", 3, FULL),
        ("vesu export events --format csv --out - > /dev/full", 3, FULL),
        ("vesu --help > /dev/full", 3, FULL),
        ("vesu pools >&-", 141, ""),
        ("vesu export events --format ndjson --out - >&-", 141, ""),
        ("vesu pools --config /nonexistent.toml 2> /dev/full", 2, ""),
        ("vesu pools --config /nonexistent.toml 2>&-", 2, ""),
    ],
)
def test_output_that_takes_nothing(environ: dict[str, str], line: str, code: int, err: str) -> None:
    done = shell(environ, line)
    assert (done.returncode, done.stderr) == (code, err)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_letters_that_an_encoding_lacks_are_replaced(
    environ: dict[str, str], encoding: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "indexer", "positions", "--limit", "2"],
        env=environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    first = done.stdout.split(b"\n")[0]
    assert first.startswith(b"block 125 ")


async def test_an_export_into_a_full_device_leaves_no_session(
    recorded: truth.Recorded, indexed_copy: str
) -> None:
    """More than every buffer on the way holds."""
    await postgres.execute(
        indexed_copy,
        "INSERT INTO blocks (number, hash, parent_hash, timestamp) SELECT 1000000 + n, "
        "'0x' || lpad(to_hex(n), 64, '0'), '0x' || lpad(to_hex(n), 64, '0'), now() "
        "FROM generate_series(1, 200000) n",
    )
    environ = stage.environment(recorded, "http://127.0.0.1:1", indexed_copy)
    for format_ in ("csv", "ndjson", "parquet"):
        line = f"vesu export blocks --format {format_} --out - > /dev/full"
        done = await asyncio.to_thread(shell, environ, line)
        assert (done.returncode, done.stderr) == (3, FULL), format_
    connection = await asyncpg.connect(indexed_copy)
    try:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        async with asyncio.timeout(10):
            while await connection.fetchval(others) > 1:
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def test_a_daemon_outlives_its_log_reader(
    recorded: truth.Recorded, empty_database_url: str
) -> None:
    """The reader of standard error goes away at once; the whole chain is committed all the same."""
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, empty_database_url, VESU_LOG_LEVEL="debug")
        read, write = os.pipe()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "indexer",
            *("run", "--until-block", str(recorded.last_block), "--no-serve"),
            env=environ,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=write,
        )
        os.close(write)
        os.close(read)
        assert await asyncio.wait_for(process.wait(), 120) == 0
    connection = await asyncpg.connect(empty_database_url)
    try:
        assert await connection.fetchval("SELECT block_number FROM cursor") == recorded.last_block
    finally:
        await connection.close()
