"""Where settings come from, and which database a command means: .env, Kubernetes, embedded."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests import postgres
from tests.acceptance import refusal, stage

PASSWORD = "s3cret"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty current folder, and an environment without settings of the indexer."""
    monkeypatch.chdir(tmp_path)
    return {
        **stage.clean_environment(),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "VESU_DATA_DIR": str(tmp_path / "data"),
    }


def messages(err: str) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in err.splitlines() if line.startswith("{")]


# --- .env -------------------------------------------------------------------------------------


async def test_the_env_file_in_the_current_folder(
    bare: dict[str, str], migrated_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        f'# the guide\'s\nexport DATABASE_URL="{migrated_database_url}"\nPOSTGRES_PASSWORD=x\n'
    )
    _, out, err = await stage.command(bare, "verify-indexes")
    assert out == "All expected indexes are present!\n"
    [said] = messages(err)
    assert (said["event"], said["source"]) == ("using_database", ".env")


async def test_the_parts_of_the_guide_and_a_masked_password(
    bare: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        f"DB_NAME=vesu\nDB_USER=app\nDB_PASSWORD={PASSWORD}\nDB_HOST=127.0.0.1\nDB_PORT=1\n"
    )
    _, out, err = await stage.command(bare, "status", expect=3)
    assert out == ""
    assert messages(err)[0]["url"] == "postgresql://app:***@127.0.0.1:1/vesu"
    assert PASSWORD not in err


async def test_the_env_file_beside_the_configuration_file(
    bare: dict[str, str], migrated_database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "mine.toml").write_text("")
    (folder / ".env").write_text(f"DATABASE_URL={migrated_database_url}\n")
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://127.0.0.1:1/not_this_one\n")
    file = str(folder / "mine.toml")
    await stage.command(bare, "verify-indexes", "--config", file)
    await stage.command(bare | {"VESU_CONFIG": file}, "verify-indexes")


async def test_an_env_file_that_is_named(
    bare: dict[str, str], migrated_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "prod.env").write_text(f"DATABASE_URL={migrated_database_url}\n")
    await stage.command(bare, "verify-indexes", "--env-file", "prod.env")
    line = await refusal.refused(bare, "verify-indexes", "--env-file", "none.env", code=2)
    assert "none.env is not a file" in line


async def test_the_environment_wins_over_the_env_file(
    bare: dict[str, str], migrated_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://127.0.0.1:1/not_this_one\n")
    _, _, err = await stage.command(
        bare | {"DATABASE_URL": migrated_database_url}, "verify-indexes"
    )
    assert err == ""


async def test_a_typo_in_the_env_file_is_named_with_the_file(
    bare: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("VESU_NODE_URL=http://127.0.0.1:1\n")
    line = await refusal.refused(bare, "status", code=2)
    assert ".env: unknown variable VESU_NODE_URL; the nearest known is VESU_NODE_URLS" in line


@pytest.mark.parametrize("content", [b"DATABASE_URL=\xff\xfe\n", None])
async def test_an_env_file_that_cannot_be_read(
    bare: dict[str, str], tmp_path: Path, content: bytes | None
) -> None:
    if content is None:
        (tmp_path / ".env").mkdir()  # A folder of that name is no file of variables.
        line = await refusal.refused(bare, "status", code=2)
        assert "no database is configured" in line
        return
    (tmp_path / ".env").write_bytes(content)
    line = await refusal.refused(bare, "status", code=2)
    assert ".env cannot be read (it is not UTF-8)" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# fine\nDATABASE_URL postgresql://127.0.0.1:1/x\n", ".env: line 2 is no VARIABLE=value"),
        ("VESU_API_PORT='80\nX=1\n", ".env: line 1 is no VARIABLE=value"),
        ("X\nDATABASE_URL\n", ".env: DATABASE_URL has no value: write DATABASE_URL="),
    ],
)
async def test_a_line_of_an_env_file_is_never_passed_over(
    bare: dict[str, str], tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / ".env").write_text(text)
    line = await refusal.refused(bare, "status", code=2)
    assert words in line


async def test_a_url_that_hides_the_parts_says_so(
    bare: dict[str, str], migrated_database_url: str
) -> None:
    environ = bare | {"DATABASE_URL": migrated_database_url, "DB_NAME": "other"}
    _, _, err = await stage.command(environ, "verify-indexes")
    [said] = messages(err)
    assert said["source"] == "environment variable DATABASE_URL; DB_NAME are set too, and not used"


# --- Kubernetes -------------------------------------------------------------------------------

SERVICES = {
    "VESU_SERVICE_HOST": "10.0.0.7",
    "VESU_SERVICE_PORT": "8080",
    "VESU_SERVICE_PORT_HTTP_METRICS": "8080",
    "VESU_PORT": "tcp://10.0.0.7:8080",
    "VESU_PORT_8080_TCP": "tcp://10.0.0.7:8080",
    "VESU_PORT_8080_TCP_PROTO": "tcp",
    "VESU_PORT_8080_TCP_PORT": "8080",
    "VESU_PORT_8080_TCP_ADDR": "10.0.0.7",
    "VESU_PORT_53_UDP": "udp://10.0.0.7:53",
    "VESU_INDEXER_SERVICE_HOST": "10.0.0.8",
    "VESU_INDEXER_PORT": "tcp://10.0.0.8:80",
    "VESU_API_PORT": "tcp://10.0.0.9:80",
    "VESU_API_PORT_80_TCP_ADDR": "10.0.0.9",
    "DB_PORT": "tcp://10.0.0.10:5432",
    "DB_SERVICE_HOST": "10.0.0.10",
}


async def test_variables_of_services_are_ignored(
    bare: dict[str, str], migrated_database_url: str
) -> None:
    environ = bare | SERVICES | {"DATABASE_URL": migrated_database_url}
    _, _, err = await stage.command(environ, "verify-indexes")
    assert err == ""
    _, _, err = await stage.command(environ | {"VESU_LOG_LEVEL": "debug"}, "verify-indexes")
    said = messages(err)[0]
    assert said["event"] == "variables_of_kubernetes_services_ignored"
    assert said["names"] == sorted(SERVICES)


@pytest.mark.parametrize("name", ["VESU_PORTS", "VESU_API_PROT", "VESU_SERVICE", "VESU_PORT"])
async def test_a_typo_stays_an_error(bare: dict[str, str], name: str) -> None:
    line = await refusal.refused(bare | {name: "8080"}, "status", code=2)
    assert f"environment: unknown variable {name};" in line


# --- the embedded database --------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("verify-indexes",),
        ("positions",),
        ("digest",),
        ("migrate", "--list"),
        ("migrate", "--rollback", "--yes"),
        ("replay", "--from-block", "0"),
        ("backup", "a.dump"),
    ],
)
async def test_only_run_demo_and_migrate_make_a_database(
    bare: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    line = await refusal.refused(bare, *arguments, code=2)
    assert f"no database is configured, and there is no embedded one in {tmp_path}" in line
    assert "DATABASE_URL" in line
    assert list(tmp_path.iterdir()) == []


async def test_migrate_says_that_it_makes_one_and_others_that_they_use_it(
    bare: dict[str, str], tmp_path: Path
) -> None:
    _, _, err = await stage.command(bare, "migrate")
    making, *_ = messages(err)
    assert making["event"] == "making_embedded_database"
    assert making["folder"] == str(tmp_path / "data" / "postgres")
    _, out, err = await stage.command(bare, "verify-indexes")
    assert out == "All expected indexes are present!\n"
    assert messages(err)[0]["event"] == "using_embedded_database"


# --- what destroys asks -------------------------------------------------------------------------


async def test_a_rollback_of_a_filled_database_needs_consent(
    bare: dict[str, str], indexed_copy: str
) -> None:
    environ = bare | {"DATABASE_URL": indexed_copy}
    line = await refusal.refused(environ, "migrate", "--rollback", code=2)
    assert "This drops all tables of the indexer" in line
    assert "block 125" in line
    assert "--yes" in line
    assert "event_log" in await refusal.tables(indexed_copy)
    code, shown = on_terminal(environ, b"n\n", "migrate", "--rollback")
    assert (code, "Go on? [y/N]" in shown, "nothing was changed" in shown) == (2, True, True)
    assert "event_log" in await refusal.tables(indexed_copy)
    code, shown = on_terminal(environ, b"y\n", "migrate", "--rollback")
    assert (code, "rolled back  0001_log" in shown) == (0, True)
    assert "events" not in await refusal.tables(indexed_copy)


async def test_a_rollback_with_consent_or_of_nothing(
    bare: dict[str, str], indexed_copy: str, migrated_database_url: str
) -> None:
    await stage.command(bare | {"DATABASE_URL": indexed_copy}, "migrate", "--rollback", "--yes")
    assert "events" not in await refusal.tables(indexed_copy)
    await postgres.execute(migrated_database_url, "SELECT 1 FROM events")
    environ = bare | {"DATABASE_URL": migrated_database_url}
    await stage.command(environ, "migrate", "--rollback")
    _, out, _ = await stage.command(environ, "migrate", "--rollback")
    assert out == "Nothing to do: no migration is applied.\n"


def on_terminal(environ: dict[str, str], typed: bytes, *arguments: str) -> tuple[int, str]:
    """Run a command whose standard input is a terminal on which `typed` is typed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "indexer", *arguments],
        env=environ,
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(slave)
    os.write(master, typed)
    shown, _ = process.communicate(timeout=60)
    os.close(master)
    return process.returncode, shown.decode()
