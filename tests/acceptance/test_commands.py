"""Every command as a person and a program use it: help, JSON, exit codes, answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest

from indexer import cli
from indexer.audit import indexes
from indexer.recording import server
from tests import postgres, zygote
from tests.acceptance import stage, truth

HEARD = "UPDATE chain_head SET seen_at = clock_timestamp()"
SILENCE = "UPDATE chain_head SET seen_at = clock_timestamp() - interval '200 seconds'"


@pytest.fixture(scope="module")
async def environ(recorded: truth.Recorded, indexed_url: str) -> AsyncIterator[dict[str, str]]:
    """The indexed database, and a node that is at its block."""
    async with server.RecordingServer(recorded.chain) as node:
        yield stage.environment(recorded, node.url, indexed_url)


# --- help and start-up ------------------------------------------------------------------------


async def test_help_of_every_command(environ: dict[str, str]) -> None:
    for name in cli.COMMANDS:
        _, out, err = await stage.command(environ, name, "--help")
        text = " ".join(out.split())
        assert out.startswith(f"Usage: vesu-indexer {name}")
        example = text.partition("Example: ")[2]
        assert f"vesu-indexer {name}" in example
        if "Commands:" in out:  # its own commands take the options
            continue
        assert "--config FILE" in text
        assert "--json" in text
        assert err == ""


def test_group_help_imports_no_command() -> None:
    code = (
        "import sys\nfrom indexer import cli\n"
        "cli.group.main(['--help'], standalone_mode=False)\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert all(f"  {name} " in done.stdout for name in cli.COMMANDS)
    assert not any(name.startswith("indexer.commands") for name in loaded)
    assert not loaded & {"asyncpg", "aiohttp", "litestar", "rich", "structlog", "msgspec"}


def test_the_daemon_imports_no_starknet_py() -> None:
    code = "import sys\nimport indexer.commands.run, indexer.commands.demo\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not any(name.startswith("starknet_py") for name in done.stdout.split())


# --- JSON -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--until-block", "125", "--no-serve"),
        ("replay", "--from-block", "124"),
        ("migrate",),
        ("migrate", "--list"),
        ("status",),
        ("verify-indexes",),
        ("digest", "--at-block", "100"),
        ("events", "--limit", "3"),
        ("transactions", "--limit", "3"),
        ("liquidations",),
        ("positions", "--at-block", "90"),
        ("portfolio", "0x1"),
        ("pools",),
        ("assets", "--now"),
        ("totals", "--at-time", "2026-03-01"),
        ("maintenance", "--analyze", "--advise"),
        ("doctor",),
    ],
)
async def test_json_is_one_document_and_logs_stay_on_stderr(
    environ: dict[str, str], arguments: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    environ = environ | {"VESU_LOG_LEVEL": "debug"}
    if arguments == ("doctor",):
        request.getfixturevalue("as_configured")
    if arguments[0] in ("status", "doctor"):
        await postgres.execute(environ["DATABASE_URL"], HEARD)
    _, out, err = await stage.command(environ, *arguments, "--json")
    msgspec.json.decode(out)
    for line in err.splitlines():
        assert "event" in msgspec.json.decode(line)


# --- status, verify-indexes, doctor -------------------------------------------------------------


async def test_status_fresh_and_stale(environ: dict[str, str], recorded: truth.Recorded) -> None:
    await postgres.execute(environ["DATABASE_URL"], HEARD)
    _, out, _ = await stage.command(environ, "status")
    assert "fresh: the tables follow the head" in out
    found = await stage.json_of(environ, "status")
    assert (found["is_fresh"], found["committed_block"], found["lag_blocks"]) == (True, 125, 0)
    assert int(found["committed_hash"], 16) == int(recorded.hashes[125], 16)
    await postgres.execute(environ["DATABASE_URL"], SILENCE)
    _, out, _ = await stage.command(environ, "status", expect=1)
    assert "STALE: no good answer from the node for 3 min" in out


async def test_missing_and_invalid_indexes(
    environ: dict[str, str], migrated_database_url: str
) -> None:
    """Named by verify-indexes and doctor; the statements that they give put it right."""
    environ = environ | {"DATABASE_URL": migrated_database_url}
    _, out, _ = await stage.command(environ, "verify-indexes")
    assert out == "All expected indexes are present!\n"
    lost, broken = "idx_vesu_positions_health_factor", "idx_vesu_pools_address"
    await postgres.execute(migrated_database_url, f"DROP INDEX {lost}")
    await postgres.execute(
        migrated_database_url,
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{broken}'::regclass",
    )
    _, out, _ = await stage.command(environ, "verify-indexes", expect=1)
    assert f"missing  vesu_positions.{lost}" in out
    assert f"invalid  vesu_pools.{broken}" in out
    _, looked, _ = await stage.command(environ, "doctor", expect=1)
    assert lost in looked
    found = await stage.json_of(environ, "verify-indexes", expect=1)
    assert found["missing"] == [f"vesu_positions.{lost}"]
    for statement in found["remedies"]:
        await postgres.execute(migrated_database_url, statement)
    await stage.command(environ, "verify-indexes")


async def test_an_index_of_another_definition(
    environ: dict[str, str], migrated_database_url: str
) -> None:
    """Of the same name, but on other columns or rows; `migrate` names what restores it, too."""
    environ = environ | {"DATABASE_URL": migrated_database_url}
    changed = {
        "idx_vesu_positions_user_id": "ON vesu_positions (user_id) WHERE status = 'active'",
        "idx_vesu_positions_user_pool": "ON vesu_positions (pool_address, user_id)",
        "idx_vesu_pools_address": "ON vesu_pools USING hash (pool_address)",
        "idx_vesu_pools_last_synced": "ON vesu_pools (last_synced_at DESC)",
    }
    for name, made in changed.items():
        await postgres.execute(migrated_database_url, f"DROP INDEX {name}")
        await postgres.execute(migrated_database_url, f"CREATE INDEX {name} {made}")
    found = await stage.json_of(environ, "verify-indexes", expect=1)
    assert {one.partition(".")[2] for one in found["differing"]} == set(changed)
    assert found["missing"] == found["invalid"] == []
    _, out, _ = await stage.command(environ, "migrate")
    assert "Nothing to do: the database is up to date.\nBut indexes are not what" in out
    for statement in found["remedies"]:
        assert statement in out
        await postgres.execute(migrated_database_url, statement)
    _, out, _ = await stage.command(environ, "migrate")
    assert out == "Nothing to do: the database is up to date.\n"


async def test_every_expected_index_has_its_statement() -> None:
    statements = indexes.statements()
    assert {index for names in indexes.EXPECTED.values() for index in names} <= set(statements)


@pytest.mark.usefixtures("as_configured")
async def test_doctor(environ: dict[str, str], empty_database_url: str) -> None:
    await postgres.execute(environ["DATABASE_URL"], HEARD)
    found = await stage.json_of(environ, "doctor")
    assert found["is_good"]
    assert [one["what"] for one in found["findings"]] == [
        "configuration",
        "disk",
        "database",
        "migrations",
        "rights",
        "server",
        "watch list",
        "indexes",
        "fold",
        "shadow",
        "classes",
        "tables",
        "node",
        "clock",
        "contracts",
        "events",
    ]
    _, out, _ = await stage.command(
        environ | {"DATABASE_URL": empty_database_url}, "doctor", expect=1
    )
    assert "pending: run `vesu-indexer migrate`" in out
    _, out, _ = await stage.command(
        environ | {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "VESU_NODE_URLS": ""},
        "doctor",
        expect=1,
    )
    assert out.count("FAIL") == 2
    assert "VESU_NODE_URLS" in out
    assert "is PostgreSQL running" in out


# --- migrate ----------------------------------------------------------------------------------


async def test_migrate_there_and_back(environ: dict[str, str], empty_database_url: str) -> None:
    environ = environ | {"DATABASE_URL": empty_database_url}
    listed = await stage.json_of(environ, "migrate", "--list")
    assert listed["applied"] == listed["changed"] == []
    assert len(listed["pending"]) >= 7
    _, out, _ = await stage.command(environ, "migrate")
    assert out.count("applied  ") == len(listed["pending"])
    _, out, _ = await stage.command(environ, "migrate")
    assert out == "Nothing to do: the database is up to date.\n"
    _, out, _ = await stage.command(environ, "migrate", "--list")
    assert "pending" not in out
    back = await stage.json_of(environ, "migrate", "--rollback")
    assert back["pending"] == listed["pending"]
    assert sorted(back["changed"]) == listed["pending"]
    connection = await asyncpg.connect(empty_database_url)
    try:
        left = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename NOT LIKE '%yoyo%'"
        )
    finally:
        await connection.close()
    assert left == []
    await stage.command(environ, "migrate")
    await stage.command(environ, "verify-indexes")


async def test_list_and_rollback_exclude_each_other(environ: dict[str, str]) -> None:
    _, _, err = await stage.command(environ, "migrate", "--list", "--rollback", expect=2)
    assert "exclude each other" in err


# --- position and events ------------------------------------------------------------------------


async def test_position_equals_the_contract(
    environ: dict[str, str], recorded: truth.Recorded
) -> None:
    """A few recorded answers through the command; test_exactness has them all."""
    stored = await _stored_blocks(environ["DATABASE_URL"])
    answers = [
        answer
        for answer in recorded.answered("position")
        if answer[0] in stored and truth.u256s(answer[3])[1] > 0
    ]
    for block, pool, calldata, result in answers[:: len(answers) // 5]:
        collateral, debt, user = map(hex, calldata)
        found = await stage.json_of(
            environ, "position", hex(pool), collateral, debt, user, "--at-block", str(block)
        )
        shown = ("collateral_shares", "nominal_debt", "collateral_raw", "debt_raw")
        assert [int(found[name]) for name in shown] == truth.u256s(result)
        assert int(found["block_hash"], 16) == int(recorded.hashes[block], 16)


async def _stored_blocks(url: str) -> set[int]:
    connection = await asyncpg.connect(url)
    try:
        return {row["number"] for row in await connection.fetch("SELECT number FROM blocks")}
    finally:
        await connection.close()


async def test_no_such_position(environ: dict[str, str]) -> None:
    asked = ("position", "0x1", "0x2", "0x3", "0x4")
    _, out, err = await stage.command(environ, *asked, expect=1)
    assert (out, err) == ("", "no such position at that block\n")
    assert await stage.json_of(environ, *asked, expect=1) is None


async def test_events_by_block_transaction_and_name(environ: dict[str, str]) -> None:
    liquidations = await stage.json_of(environ, "events", "--name", "LiquidatePosition")
    assert len(liquidations) == 7
    places = [
        (one["block_number"], one["transaction_index"], one["event_index"]) for one in liquidations
    ]
    assert places == sorted(places, reverse=True)
    one = liquidations[0]
    assert set(one["args"]) >= {"collateral_asset", "debt_asset", "user"}
    of_block = await stage.json_of(environ, "events", "--block", str(one["block_number"]))
    assert one in of_block
    assert {found["block_number"] for found in of_block} == {one["block_number"]}
    short = hex(int(one["transaction_hash"], 16))
    of_transaction = await stage.json_of(environ, "events", "--tx", short)
    assert one in of_transaction
    assert {found["transaction_hash"] for found in of_transaction} == {one["transaction_hash"]}
    _, out, _ = await stage.command(
        environ, "events", "--name", "LiquidatePosition", "--limit", "1"
    )
    assert "LiquidatePosition" in out.splitlines()[0]
    assert len(out.splitlines()) > 5


async def test_a_closed_pipe_is_no_error(environ: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m indexer events --limit 5000 | head -1"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


# --- demo -------------------------------------------------------------------------------------

TITLES = ("Pools", "Positions at risk", "Transactions", "Liquidations")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty directory, and an environment without anything of ours."""
    monkeypatch.chdir(tmp_path)
    root = str(Path(__file__).parents[2])
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "share")}
    started = zygote.read_at_start(os.environ)
    return {**started, "PATH": os.environ["PATH"], "PYTHONPATH": root, "COLUMNS": "80", **home}


def servers_left(bare: dict[str, str]) -> list[Path]:
    """Pid files of database servers that still run below the home directory."""
    return list(Path(bare["HOME"]).rglob("postmaster.pid"))


async def test_demo_once_twice(bare: dict[str, str]) -> None:
    _, out, err = await stage.command(bare, "demo", "--once")
    assert err == ""
    starts = [out.index(f"\n{title}") for title in TITLES]
    assert starts == sorted(starts)
    assert "Block 125 of 125" in out
    assert max(map(len, out.splitlines())) <= 80
    assert servers_left(bare) == []
    found = await stage.json_of(bare, "demo", "--once")
    assert found["committed_block"] == 125
    for name in ("pools", "positions_at_risk", "transactions", "liquidations"):
        assert found[name], name
    healths = [float(one["health_factor"]) for one in found["positions_at_risk"]]
    assert healths == sorted(healths)
    assert servers_left(bare) == []


@contextlib.asynccontextmanager
async def live_demo(
    bare: dict[str, str], *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running demo, told to end where a failed test has not ended it."""
    demo = await stage.start(bare, "demo", *arguments)
    try:
        yield demo
    finally:
        if demo.returncode is None:
            demo.terminate()
            await demo.communicate()


async def test_demo_live_to_the_end(bare: dict[str, str]) -> None:
    """Without a terminal: the tables at the end, a line that it serves, and a clean Ctrl-C."""
    async with live_demo(bare, "--port", "0") as demo:
        assert demo.stdout is not None
        out = ""
        async with asyncio.timeout(90):
            while "psql" not in out:
                out += (await demo.stdout.readline()).decode()
        assert all(f"\n{title}" in out for title in TITLES)
        assert "Block 125 of 125" in out
        assert "a reorganisation of 7 blocks" in out
        address = next(word for word in out.split() if word.startswith("http://"))
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            assert answer.status == 200
        _, _, second = await stage.command(bare, "demo", "--once", expect=3)
        assert "another indexer" in second
        await _end(demo, signal.SIGINT, bare)


async def test_demo_live_stopped_on_the_way(bare: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    async with live_demo(bare, "--port", port, "--json") as demo:
        await _indexes(f"http://127.0.0.1:{port}/ready")
        out = await _end(demo, signal.SIGTERM, bare)
    found: dict[str, Any] = msgspec.json.decode(out)
    assert found["pools"]
    assert found["committed_block"] < 125


async def _indexes(address: str) -> None:
    """Wait until something is committed."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(address) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


async def _end(
    demo: asyncio.subprocess.Process, number: signal.Signals, bare: dict[str, str]
) -> str:
    demo.send_signal(number)
    out, err = await asyncio.wait_for(demo.communicate(), 20)
    assert demo.returncode == 0, err.decode()
    assert err == b""
    assert servers_left(bare) == []
    return out.decode()
