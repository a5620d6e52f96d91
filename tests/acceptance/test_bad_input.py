"""Bad input and bad surroundings: one line that says what and what to do, and nothing begun.

Exit 2 is usage or configuration, 3 the surroundings. No key of a URL is ever shown.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import types
from collections.abc import AsyncIterator
from pathlib import Path

import click
import msgspec
import pytest

from indexer import cli
from indexer.recording import server
from tests import postgres
from tests.acceptance import refusal, stage, truth

BEYOND = str(2**63)
"""A block number that PostgreSQL's bigint does not hold."""

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
async def node(recorded: truth.Recorded) -> AsyncIterator[server.RecordingServer]:
    async with server.RecordingServer(recorded.chain) as running:
        yield running


@pytest.fixture
def environ(
    recorded: truth.Recorded, node: server.RecordingServer, tmp_path: Path
) -> dict[str, str]:
    """Everything right but the database, which is unreachable: a test that needs it sets it."""
    return stage.environment(
        recorded,
        node.url,
        "postgresql://vesu@127.0.0.1:1/vesu",
        VESU_DATA_DIR=str(tmp_path / "data"),
    )


# --- usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--til-block", "5"), ("--til-block", "vesu-indexer run --help")),
        (("rum",), ("'rum'", "the nearest known is 'run'", "--help")),
        (("statsu",), ("'statsu'", "the nearest known is 'status'")),
        (("zzz",), ("No such command 'zzz'; see vesu-indexer --help",)),
        (("positions", "--limt", "5"), ("--limt", "--limit")),
        (("run", "--until-block", "-1"), ("--until-block", "-1")),
        (("replay",), ("--from-block", "replay --help")),
        (("position", "0x1", "0x2", "0xUSDC", "0x4"), ("DEBT", "'0xUSDC'", "0x and up to 64")),
        (("position", "0x1", "0x2", "0x3", "0x" + "f" * 64), ("USER", "not a Starknet address")),
        (("events", "--tx", "yesterday"), ("--tx", "'yesterday'", "hex digits")),
        (("demo", "--port", "70000"), ("--port", "70000")),
        (("run", "--until-block", BEYOND), ("--until-block", BEYOND)),
        (("digest", "--at-block", BEYOND), ("--at-block", BEYOND)),
        (("pools", "--at-block", BEYOND), ("--at-block", BEYOND)),
        (("events", "--block", BEYOND), ("--block", BEYOND)),
        (("reconcile", "--block", BEYOND), ("--block", BEYOND)),
        (("reconcile", "--sample", BEYOND), ("--sample", BEYOND)),
        (("reconcile", "--seed", "1"), ("--seed", "--sample")),
        (("reorg", "--to-block", BEYOND), ("--to-block", BEYOND)),
        (("audit", "--seed", BEYOND), ("--seed", BEYOND)),
        (("replay", "--from-block", "9", "--to-block", "8"), ("--to-block 8 is below",)),
        (("verify", "--from-block", "9", "--to-block", "8"), ("--to-block 8 is below",)),
        (("events", "--from-block", "9", "--to-block", "8"), ("--to-block 8 is below",)),
        (
            ("export", "events", "--format=csv", "--out=-", "--from-block=9", "--to-block=8"),
            ("--to-block 8 is below",),
        ),
        (("backup", "-"), ("FILE", "a manifest is kept beside it")),
        (("restore", "-"), ("FILE", "a manifest is kept beside it")),
        (("digest", "--compare", "localhost"), ("--compare", "postgresql://")),
        (("positions", "--limit", "0"), ("--limit", "0")),
        (("transactions", "--type", "loan"), ("--type", "'loan'")),
    ],
)
async def test_usage(
    environ: dict[str, str], arguments: tuple[str, ...], says: tuple[str, ...]
) -> None:
    line = await refusal.refused(environ, *arguments, code=2)
    for part in says:
        assert part in line


# --- configuration --------------------------------------------------------------------------


async def test_unknown_key_in_the_environment(environ: dict[str, str]) -> None:
    line = await refusal.refused(environ | {"VESU_NODE_URL": "http://x"}, "run", code=2)
    assert "VESU_NODE_URL;" in line
    assert "VESU_NODE_URLS" in line
    line = await refusal.refused(environ | {"VESU_ZZZ": "http://x"}, "run", code=2)
    assert "unknown variable VESU_ZZZ; docs/reference.md lists the known ones" in line


async def test_unknown_key_in_the_file(environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[node]\nurl = "http://localhost"\n')
    line = await refusal.refused(environ, "run", "--config", str(file), code=2)
    assert f"{file}: unknown key node.url; the nearest known is node.urls" in line
    file.write_text("[node]\nzzz = 1\n")
    line = await refusal.refused(environ, "run", "--config", str(file), code=2)
    assert (
        f"{file}: unknown key node.zzz; known are node.urls, node.poll_interval_seconds, " in line
    )
    file.write_text("[databse]\nurl = 1\n")
    line = await refusal.refused(environ, "run", "--config", str(file), code=2)
    assert f"{file}: unknown key databse; the nearest known is database" in line
    file.write_text("zzz = 1\n")
    line = await refusal.refused(environ, "run", "--config", str(file), code=2)
    assert f"{file}: unknown key zzz; known are " in line
    assert all(section in line for section in ("database", "node", "network", "data_dir"))


async def test_missing_file(environ: dict[str, str], tmp_path: Path) -> None:
    line = await refusal.refused(environ, "status", "--config", str(tmp_path / "none.toml"), code=2)
    assert "none.toml cannot be read" in line
    assert "--config" in line


async def test_no_node(environ: dict[str, str]) -> None:
    line = await refusal.refused(environ | {"VESU_NODE_URLS": ""}, "run", code=2)
    assert "node.urls is empty" in line
    assert "VESU_NODE_URLS" in line
    line = await refusal.refused(environ | {"VESU_ZZZ": "http://x"}, "run", code=2)
    assert "unknown variable VESU_ZZZ; docs/reference.md lists the known ones" in line


async def test_an_extension_without_its_singleton(
    environ: dict[str, str], empty_database_url: str
) -> None:
    contracts = [{"kind": "extension_v1_1", "address": "0x1234", "from_block": 0}]
    environ |= {
        "DATABASE_URL": empty_database_url,
        "VESU_NETWORK_CONTRACTS": msgspec.json.encode(contracts).decode(),
    }
    line = await refusal.refused(environ, "run", code=2)
    assert "network.contracts: extension_v1_1 needs exactly one singleton_v1_1" in line
    assert await refusal.tables(empty_database_url) == set()


async def test_missing_recording(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "indexer.recording",
        str(tmp_path / "nothing"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    assert len(err.decode().splitlines()) == 1
    assert "nothing is not a recorded chain" in err.decode()


# --- the node -------------------------------------------------------------------------------


async def test_unreachable_node(environ: dict[str, str], empty_database_url: str) -> None:
    environ |= {"DATABASE_URL": empty_database_url, "VESU_NODE_URLS": NOWHERE}
    environ |= {"VESU_LOG_LEVEL": "error", "VESU_NODE_START_TIMEOUT_SECONDS": "1"}
    line = await refusal.refused(environ, "run", "--no-serve", code=3)
    assert "127.0.0.1:1" in line
    assert "s for it (node.start_timeout_seconds)" in line
    assert await refusal.cursors(empty_database_url) == 0


async def test_no_key_of_a_node_in_detailed_logs(
    environ: dict[str, str], migrated_database_url: str
) -> None:
    environ |= {
        "DATABASE_URL": migrated_database_url,
        "VESU_NODE_URLS": "http://user:SECRET@127.0.0.1:1/SECRET?key=SECRET",
        "VESU_LOG_LEVEL": "debug",
        "VESU_NODE_START_TIMEOUT_SECONDS": "1",
    }
    (ran, *said), (looked, *told) = await asyncio.gather(
        stage.command(environ, "run", "--no-serve", expect=None),
        stage.command(environ, "doctor", expect=None),
    )
    assert (ran, looked) == (3, 1)
    assert "127.0.0.1:1" in said[1]
    for text in (*said, *told):
        assert "SECRET" not in text
        assert "Traceback" not in text


async def test_wrong_chain(
    environ: dict[str, str], recorded: truth.Recorded, empty_database_url: str
) -> None:
    async with stage.edited(recorded, chainId=lambda _: "0x534e5f4d41494e") as url:
        environ |= {"DATABASE_URL": empty_database_url, "VESU_NODE_URLS": f"{url}/"}
        line = await refusal.refused(environ, "run", "--no-serve", code=3)
    assert "serves SN_MAIN (0x534e5f4d41494e), but network.chain_id is" in line
    assert "change node.urls or the network" in line
    assert await refusal.cursors(empty_database_url) == 0


@pytest.mark.parametrize("version", ["0.7.1", "0.11.0", "new"])
async def test_wrong_version(
    environ: dict[str, str], recorded: truth.Recorded, empty_database_url: str, version: str
) -> None:
    async with stage.edited(recorded, specVersion=lambda _: version) as url:
        environ |= {"DATABASE_URL": empty_database_url, "VESU_NODE_URLS": url}
        line = await refusal.refused(environ, "run", "--no-serve", code=3)
    assert f"speaks Starknet RPC {version}" in line
    assert "/rpc/v0_10" in line
    assert await refusal.cursors(empty_database_url) == 0


# --- replay and points in time ----------------------------------------------------------------


async def test_replay_of_an_empty_log(environ: dict[str, str], migrated_database_url: str) -> None:
    environ["DATABASE_URL"] = migrated_database_url
    line = await refusal.refused(environ, "replay", "--from-block", "0", code=2)
    assert "nothing to replay" in line


async def test_replay_from_above_the_head(environ: dict[str, str], indexed_url: str) -> None:
    environ["DATABASE_URL"] = indexed_url
    line = await refusal.refused(environ, "replay", "--from-block", "9999", code=2)
    assert "--from-block 9999 is above the last committed block 125" in line


async def test_swap_alone(environ: dict[str, str], indexed_url: str) -> None:
    environ["DATABASE_URL"] = indexed_url
    line = await refusal.refused(environ, "replay", "--from-block", "0", "--swap", code=2)
    assert "--shadow" in line


async def test_block_above_the_committed_one(environ: dict[str, str], indexed_url: str) -> None:
    environ["DATABASE_URL"] = indexed_url
    for command in (("digest",), ("position", "0x1", "0x2", "0x3", "0x4")):
        line = await refusal.refused(environ, *command, "--at-block", "9999", code=2)
        assert "block 9999 is above the committed block 125" in line


async def test_start_block_beyond_the_database(environ: dict[str, str]) -> None:
    line = await refusal.refused(environ | {"VESU_NETWORK_START_BLOCK": BEYOND}, "status", code=2)
    assert "network.start_block" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pool", "0x1"), "no pool 0x00"),
        (("--pool", "Nowhere"), "no pool 'Nowhere' is known"),
        (("--user", "0xb0b"), "nothing to compare at block 125: no row of"),
    ],
)
async def test_reconciling_nothing_is_no_success(
    environ: dict[str, str], indexed_copy: str, arguments: tuple[str, ...], says: str
) -> None:
    environ["DATABASE_URL"] = indexed_copy
    line = await refusal.refused(environ, "reconcile", *arguments, code=2)
    assert says in line
    assert (await stage.json_of(environ, "status", expect=None))["reconciled"] is None


# --- disk and port --------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("run",), ("demo", "--once"), ("migrate",)])
async def test_data_directory_that_cannot_be_written(
    environ: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Below a file, where not even root may make a folder."""
    (tmp_path / "file").write_text("")
    environ |= {"DATABASE_URL": "", "VESU_DATA_DIR": str(tmp_path / "file" / "data")}
    line = await refusal.refused(environ, *command, code=3)
    assert f"the data directory {tmp_path}" in line
    assert "VESU_DATA_DIR" in line


async def test_port_in_use(environ: dict[str, str], empty_database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environ |= {"DATABASE_URL": empty_database_url, "VESU_API_PORT": port}
        line = await refusal.refused(environ, "run", code=3)
    assert f"cannot listen on 127.0.0.1 port {port}" in line
    assert "api.port" in line
    # The HTTP side comes first: nothing is migrated yet.
    assert await postgres.value(empty_database_url, "SELECT to_regclass('cursor')") is None


async def test_host_that_is_not_ours(environ: dict[str, str], empty_database_url: str) -> None:
    environ |= {"DATABASE_URL": empty_database_url, "VESU_API_HOST": "nowhere.invalid"}
    line = await refusal.refused(environ, "run", code=3)
    assert "cannot listen on nowhere.invalid" in line
    assert "api.host" in line


# --- mistakes of our own ----------------------------------------------------------------------


def in_process(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of the command line, called in this process."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["vesu-indexer", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    signal.signal(signal.SIGTERM, before)
    return stop.value.code


@pytest.mark.parametrize("level", ["info", "debug"])
def test_unexpected_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    @click.command()
    def command() -> None:
        raise ZeroDivisionError("a mistake")

    broken = types.SimpleNamespace(command=command)
    monkeypatch.setitem(sys.modules, "indexer.commands.status", broken)  # type: ignore[arg-type]
    monkeypatch.setenv("VESU_LOG_LEVEL", level)
    assert in_process(["status"], monkeypatch) == cli.INTERNAL_ERROR
    err = capsys.readouterr().err
    assert err.startswith("error: internal error: ZeroDivisionError: a mistake;")
    assert "VESU_LOG_LEVEL=debug" in err
    assert ("Traceback" in err) is (level == "debug")
