"""`backup` and `restore`: what comes back is what was there, proved, or nothing is changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib import parse

import asyncpg
import pytest

from indexer.recording import server
from indexer.store import binaries, database, embedded, locks, migrate
from tests import postgres
from tests.acceptance import moving, refusal, stage, truth

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def environ(recorded: truth.Recorded, indexed_url: str) -> dict[str, str]:
    return stage.environment(recorded, NOWHERE, indexed_url)


@pytest.fixture(scope="module")
async def kept(
    recorded: truth.Recorded, indexed_url: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A backup of the indexed database, and its digest."""
    file = tmp_path_factory.mktemp("kept") / "vesu.dump"
    environ = stage.environment(recorded, NOWHERE, indexed_url)
    await stage.command(environ, "backup", str(file))
    return file, await stage.json_of(environ, "digest")


# --- what comes back ------------------------------------------------------------------------------


async def test_a_backup_beside_a_writing_daemon_is_of_one_block(
    recorded: truth.Recorded, tmp_path: Path
) -> None:
    async with moving.daemon(recorded, 15) as daemon:
        made = []
        for file in (tmp_path / f"{index}.dump" for index in range(2)):
            backup = stage.json_of(daemon.environ, "backup", str(file))
            told, commits = await daemon.during(backup)
            print(f"block {told['manifest']['block_number']}, {commits} commits meanwhile")
            assert commits > 1
            made.append((file, told["manifest"]))
        await daemon.reach(recorded.last_block)
        assert len({kept["block_number"] for _, kept in made}) == len(made)
        environ = daemon.environ
        for file, kept in made:
            block = str(kept["block_number"])
            assert int(kept["block_hash"], 16) == int(recorded.hashes[int(block)], 16)
            then = await stage.json_of(environ, "digest", "--at-block", block)
            assert kept["digest"] == then
            async with postgres.fresh_database() as other:
                elsewhere = environ | {"DATABASE_URL": other}
                told = await stage.json_of(elsewhere, "restore", str(file))
                assert told["proof"]["is_equal"]
                assert told["proof"]["digest"] == then["all"]
                assert await stage.json_of(elsewhere, "digest") == then


async def test_an_indexer_goes_on_from_a_restored_database(
    recorded: truth.Recorded, kept: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Also what no digest holds: the cursor, identities, indexes, comments."""
    loaded = recorded.chain
    async with postgres.fresh_database() as url, server.RecordingServer(loaded) as node:
        environ = stage.environment(recorded, node.url, url)
        await stage.command(environ, "run", "--until-block", "60", "--no-serve")
        file = str(tmp_path / "sixty.dump")
        await stage.command(environ, "backup", file)
        async with postgres.fresh_database() as other:
            environ["DATABASE_URL"] = other
            await stage.command(environ, "restore", file)
            await stage.command(environ, "verify-indexes")
            until = str(recorded.last_block)
            await stage.command(environ, "run", "--until-block", until, "--no-serve")
            assert await stage.json_of(environ, "digest") == kept[1]
            assert (await stage.json_of(environ, "audit"))["is_good"]
            connection = await asyncpg.connect(other)
            comment = await connection.fetchval(
                "SELECT obj_description('vesu_positions'::regclass)"
            )
            await connection.close()
    assert comment


@pytest.mark.parametrize("major", [16, 18])
async def test_into_another_major_and_back(
    environ: dict[str, str], kept: tuple[Path, dict[str, Any]], tmp_path: Path, major: int
) -> None:
    file, digest = kept
    folder = next(place for place in binaries.wheel() if binaries.major(place) == major)
    newer = embedded.EmbeddedPostgres(tmp_path / "newer", folder)
    there = environ | {"DATABASE_URL": newer.start()}
    here = json.loads(file.with_name("vesu.dump.manifest.json").read_text())["server_major"]
    try:
        if major < 17 <= here:
            line = await refusal.refused(there, "restore", str(file), code=3)
            assert f"cannot be restored into PostgreSQL {major}" in line
            return
        told = await stage.json_of(there, "restore", str(file))
        assert told["proof"]["is_equal"]
        assert await stage.json_of(there, "digest") == digest
        back = tmp_path / "back.dump"
        made = await stage.json_of(there, "backup", str(back))
        assert made["manifest"]["server_major"] == made["manifest"]["dumped_by"] == major
    finally:
        newer.stop()
    async with postgres.fresh_database() as url:
        home = environ | {"DATABASE_URL": url}
        if here < 17 <= major:
            line = await refusal.refused(home, "restore", str(back), code=3)
            assert f"cannot be restored into PostgreSQL {here}" in line
            assert await refusal.tables(url) == set()
        else:
            await stage.command(home, "restore", str(back))
            assert await stage.json_of(home, "digest") == digest


async def test_the_embedded_server_by_default(
    recorded: truth.Recorded, kept: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """No database configured, no server running: each command starts its own and stops it."""
    digest = kept[1]
    file = str(tmp_path / "vesu.dump")
    data = tmp_path / "data"
    async with server.RecordingServer(recorded.chain) as node:
        environ = stage.environment(recorded, node.url, "", VESU_DATA_DIR=str(data))
        until = str(recorded.last_block)
        await stage.command(environ, "run", "--until-block", until, "--no-serve")
    await stage.command(environ, "backup", file)
    shutil.rmtree(data)
    _, out, _ = await stage.command(environ, "restore", file)
    assert f"digest {digest['all']}, as backed up" in out
    await stage.command(environ, "restore", file, "--force")
    assert await stage.json_of(environ, "digest") == digest
    assert not (data / "postgres" / "cluster" / "postmaster.pid").exists()


async def test_a_database_of_an_earlier_version(
    environ: dict[str, str], indexed_url: str, kept: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Backed up before the upgrade: the contents are proved, and `migrate` goes on from there."""
    file = tmp_path / "old.dump"
    last = migrate.known()[-1]
    undo = (migrate.folder() / f"{last}.rollback.sql").read_text("utf-8")
    async with postgres.fresh_database() as url, postgres.fresh_database() as other:
        old, new = (environ | {"DATABASE_URL": one} for one in (url, other))
        await stage.command(old, "restore", str(kept[0]))
        connection = await asyncpg.connect(url)
        await connection.execute(undo)
        await connection.execute("DELETE FROM _yoyo_migration WHERE migration_id = $1", last)
        await connection.close()
        made = await stage.json_of(old, "backup", str(file))
        assert made["manifest"]["digest"] is None
        told = await stage.json_of(new, "restore", str(file))
        assert told["proof"]["is_equal"]
        assert told["pending_migrations"] == [last]
        await stage.command(new, "migrate")
        await stage.command(new, "verify-indexes")


# --- what is in the way ---------------------------------------------------------------------------


async def test_only_into_an_empty_database_unless_forced(
    environ: dict[str, str], kept: tuple[Path, dict[str, Any]]
) -> None:
    file, digest = kept
    async with postgres.fresh_database() as url:
        environ["DATABASE_URL"] = url
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE mine (number integer)")
        line = await refusal.refused(environ, "restore", str(file), code=2)
        assert "not empty (it holds mine)" in line
        line = await refusal.refused(environ, "restore", str(file), "--force", code=2)
        assert "holds what the backup does not (mine)" in line
        assert await refusal.tables(url) == {"mine"}
        await connection.execute("DROP TABLE mine")
        await stage.command(environ, "restore", str(file))
        await connection.execute("UPDATE vesu_positions SET nominal_debt = nominal_debt + 1")
        spoilt = await stage.json_of(environ, "digest")
        assert spoilt != digest
        line = await refusal.refused(environ, "restore", str(file), code=2)
        assert "--force" in line
        assert await stage.json_of(environ, "digest") == spoilt
        await connection.execute("CREATE SCHEMA vesu_shadow")
        await stage.command(environ, "restore", str(file), "--force")
        assert await stage.json_of(environ, "digest") == digest
        assert await connection.fetchval("SELECT to_regnamespace('vesu_shadow')") is None
        await connection.close()


async def test_not_under_a_writer_or_a_migrator(
    environ: dict[str, str], kept: tuple[Path, dict[str, Any]], empty_database_url: str
) -> None:
    environ["DATABASE_URL"] = empty_database_url
    async with locks.WriterLock(empty_database_url):
        line = await refusal.refused(environ, "restore", str(kept[0]), "--force", code=3)
        assert "another indexer writes to this database" in line
    connection = await database.connect(empty_database_url)
    await connection.execute(f"SELECT pg_advisory_lock({migrate.MIGRATE_KEY})")
    line = await refusal.refused(environ, "restore", str(kept[0]), code=3)
    assert "migrating" in line
    await connection.close()
    assert await refusal.tables(empty_database_url) == set()


async def test_damaged_or_foreign_backups(
    environ: dict[str, str],
    kept: tuple[Path, dict[str, Any]],
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    environ["DATABASE_URL"] = empty_database_url
    file, side = tmp_path / "vesu.dump", tmp_path / "vesu.dump.manifest.json"
    whole = kept[0].read_bytes()
    manifest = kept[0].with_name(side.name).read_text()
    newer = json.loads(manifest)
    newer["migrations"].append("9999_later")
    for content, beside, said in (
        (whole[:-100], manifest, "damaged or was changed"),
        (whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:], manifest, "damaged"),
        (whole, manifest[:-20], "is no manifest"),
        (whole, json.dumps(newer), "newer indexer"),
    ):
        file.write_bytes(content)
        side.write_text(beside)
        line = await refusal.refused(environ, "restore", str(file), code=3)
        assert said in line
    side.unlink()
    line = await refusal.refused(environ, "restore", str(file), code=3)
    assert "a backup is two files" in line
    assert await refusal.tables(empty_database_url) == set()


async def test_a_difference_is_found(
    environ: dict[str, str],
    kept: tuple[Path, dict[str, Any]],
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    """The archive is whole, but its manifest was made of other rows."""
    environ["DATABASE_URL"] = empty_database_url
    file = tmp_path / "vesu.dump"
    file.write_bytes(kept[0].read_bytes())
    manifest = json.loads(kept[0].with_name("vesu.dump.manifest.json").read_text())
    manifest["contents"]["receipts"]["hash"] = "0" * 64
    file.with_name("vesu.dump.manifest.json").write_text(json.dumps(manifest))
    told = await stage.json_of(environ, "restore", str(file), expect=1)
    assert told["proof"]["differing"] == ["receipts"]


# --- half-way -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def held(url: str, mode: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold a lock on events in a transaction, so that programs wait there."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE events IN {mode} MODE")
            yield connection
    finally:
        await connection.close()


async def waiting(connection: asyncpg.Connection, *, until: bool) -> None:
    """Until a session of the database waits for a lock, or until none does."""
    asked = (
        "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE NOT l.granted AND a.datname = current_database())"
    )
    while await connection.fetchval(asked) != until:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("deadly", [signal.SIGTERM, signal.SIGKILL])
async def test_a_killed_backup_leaves_no_file(
    environ: dict[str, str],
    indexed_url: str,
    kept: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    deadly: signal.Signals,
) -> None:
    file = tmp_path / "vesu.dump"
    async with held(indexed_url, "ACCESS EXCLUSIVE") as connection:
        process = await stage.start(environ, "backup", str(file))
        await waiting(connection, until=True)
        process.send_signal(deadly)
        await process.communicate()
    left = {one.name for one in tmp_path.iterdir()}
    assert left <= (set() if deadly == signal.SIGTERM else {".vesu.dump.part"})
    made = await stage.json_of(environ, "backup", str(file))
    assert made["manifest"]["digest"] == kept[1]
    assert {one.name for one in tmp_path.iterdir()} == {"vesu.dump", "vesu.dump.manifest.json"}
    line = await refusal.refused(environ, "backup", str(file), code=2)
    assert "--force" in line


@pytest.mark.parametrize("deadly", [signal.SIGTERM, signal.SIGKILL])
async def test_a_killed_restore_changes_nothing(
    environ: dict[str, str], kept: tuple[Path, dict[str, Any]], deadly: signal.Signals
) -> None:
    """Killed while it replaces tables: the old ones are there, to the last row."""
    file, digest = kept
    async with postgres.fresh_database() as url:
        environ["DATABASE_URL"] = url
        await stage.command(environ, "restore", str(file))
        admin = await asyncpg.connect(url)
        await admin.execute("DELETE FROM vesu_liquidations")
        before = await stage.json_of(environ, "digest")
        assert before != digest
        async with held(url, "ACCESS SHARE") as connection:
            process = await stage.start(environ, "restore", str(file), "--force")
            await waiting(connection, until=True)
            process.send_signal(deadly)
            await process.communicate()
        await waiting(admin, until=False)
        # Whatever is left of pg_restore has ended once its lock on the schema's tables is gone.
        await admin.execute("BEGIN; LOCK TABLE vesu_liquidations, events; COMMIT")
        await admin.close()
        assert await stage.json_of(environ, "digest") == before
        await stage.command(environ, "restore", str(file), "--force")
        assert await stage.json_of(environ, "digest") == digest


# --- the programs ---------------------------------------------------------------------------------


async def test_the_password_is_in_no_list_of_processes(
    environ: dict[str, str], indexed_url: str, tmp_path: Path
) -> None:
    """A pg_dump in between notes what it was given; the first on the PATH of the right version."""
    connection = await asyncpg.connect(indexed_url)
    major = connection.get_server_version().major
    await connection.close()
    real = next(path for found, path in binaries.clients("pg_dump") if found == major)
    fake = tmp_path / "bin" / "pg_dump"
    fake.parent.mkdir()
    fake.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/arguments\n"
        f'printf %s "$PGPASSWORD" > {tmp_path}/password\nexec {real} "$@"\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    parts = parse.urlsplit(indexed_url)
    place = parts.netloc.rpartition("@")[2]
    user = parts.username or "postgres"
    environ["DATABASE_URL"] = parse.urlunsplit(
        parts._replace(netloc=f"{user}:p%40ss%20word%27@{place}")
    )
    environ["PATH"] = f"{fake.parent}{os.pathsep}{environ['PATH']}"
    _, out, err = await stage.command(environ, "backup", str(tmp_path / "vesu.dump"))
    assert (tmp_path / "password").read_text() == "p@ss word'"
    given = (tmp_path / "arguments").read_text()
    for said in (given, out, err):
        assert not re.search(r"p(@|%40)ss", said)
    for wanted in ("--format=custom", "--no-owner", "--no-privileges", "--snapshot="):
        assert wanted in given
