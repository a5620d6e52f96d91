"""A database that cannot, for now or at all: what passes is waited for, the rest ends the run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from indexer import errors
from indexer.recording import server
from indexer.store import database, embedded
from tests import postgres
from tests.acceptance import stage, truth
from tests.chaos import daemon, proxy
from tests.integration import embedded_stage

RAISE = "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{}'; END $$"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("40001", errors.DatabaseRefusalError),  # serialization_failure
        ("40P01", errors.DatabaseRefusalError),  # deadlock_detected
        ("55P03", errors.DatabaseRefusalError),  # lock_not_available
        ("57014", errors.DatabaseRefusalError),  # query_canceled
        ("53100", errors.DatabaseRefusalError),  # disk_full
        ("53200", errors.DatabaseRefusalError),  # out_of_memory
        ("25006", errors.DatabaseReadOnlyError),  # read_only_sql_transaction
        ("57P01", errors.DatabaseUnavailableError),  # admin_shutdown
        ("42501", errors.DatabaseRightsError),  # insufficient_privilege
        ("23505", asyncpg.UniqueViolationError),  # a mistake of ours stays one
    ],
)
async def test_what_each_error_of_the_server_means(
    migrated_database_url: str, code: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        async with database.session(migrated_database_url) as connection:
            await connection.execute(RAISE.format(code))
    assert type(caught.value) is kind


async def connected(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url, server_settings={"application_name": "test"})


async def is_blocked(url: str) -> bool:
    return await daemon.ask(url, daemon.BLOCKED) is not None


async def grows(running: daemon.Daemon, node: server.RecordingServer, url: str, to: int) -> None:
    """The daemon lives, and takes up what comes."""
    node.playhead.go_to(to)
    await running.commits(url, to)


async def test_a_statement_runs_out_of_time(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    migrated_database_url: str,
    tmp_path: Path,
) -> None:
    environ = stage.environment(recorded, node.url, migrated_database_url)
    name = migrated_database_url.partition("?")[0].rpartition("/")[2]
    await daemon.ask(migrated_database_url, f'ALTER DATABASE "{name}" SET statement_timeout = 1000')
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(migrated_database_url, 20)
        holder = await connected(migrated_database_url)
        async with holder.transaction():
            await holder.execute("LOCK TABLE position_versions IN SHARE MODE")
            node.playhead.go_to(30)
            told = await running.tells("database_trouble")
        assert "statement timeout" in told["reason"]
        await holder.close()
        await grows(running, node, migrated_database_url, 35)
        assert await running.failures() >= 1
        await running.stop()
    assert (await stage.json_of(environ, "audit"))["is_good"]


async def test_a_deadlock(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    migrated_database_url: str,
    tmp_path: Path,
) -> None:
    """Somebody locks tables by hand and the cursor after them; the server picks the daemon."""
    environ = stage.environment(recorded, node.url, migrated_database_url)
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(migrated_database_url, 20)
        holder = await connected(migrated_database_url)
        await holder.execute("SET deadlock_timeout = '10min'")
        async with holder.transaction():
            await holder.execute("LOCK TABLE events IN SHARE MODE")
            node.playhead.go_to(30)
            await running.until(lambda: is_blocked(migrated_database_url))
            await holder.execute("SELECT FROM cursor FOR UPDATE")  # goes on once the daemon fails
            told = await running.tells("database_trouble")
        assert "deadlock" in told["reason"]
        await holder.close()
        await grows(running, node, migrated_database_url, 35)
        assert await running.failures() >= 1
        await running.stop()
    assert (await stage.json_of(environ, "audit"))["is_good"]


@contextlib.contextmanager
def tiny_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size; only root may make one."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
async def test_the_disk_is_full_and_then_not_any_more(
    recorded: truth.Recorded, node: server.RecordingServer, indexed_url: str, tmp_path: Path
) -> None:
    """The tables lie on a file system of their own, which fills while they do."""
    with tiny_disk(tmp_path / "disk", 40) as disk:
        space = disk / "space"
        space.mkdir(mode=0o700)
        home = embedded.EmbeddedPostgres(tmp_path / "pg", postgres.programs())
        base = home.start()
        try:
            await daemon.ask(base, f"CREATE TABLESPACE small LOCATION '{space}'")
            await daemon.ask(base, "CREATE DATABASE small TABLESPACE small")
            url = postgres.with_name(base, "small")
            environ = stage.environment(recorded, node.url, url)
            async with daemon.started(environ, tmp_path / "log") as running:
                await running.commits(url, 20)
                ballast = disk / "ballast"
                with contextlib.suppress(OSError), ballast.open("wb") as file:
                    while True:
                        file.write(bytes(65_536))
                        file.flush()
                node.playhead.go_to(recorded.last_block)
                told = await running.tells("database_trouble", times=2)
                assert "No space left on device" in told["reason"]
                assert await running.failures() >= 2
                ballast.unlink()
                await running.commits(url, recorded.last_block)
                await running.stop()
            digest = await stage.json_of(environ, "digest")
            expected = await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")
            assert digest == expected
            await daemon.ask(base, "DROP DATABASE small")
            await daemon.ask(base, "DROP TABLESPACE small")
        finally:
            home.stop()


async def test_a_standby_by_mistake(
    recorded: truth.Recorded, node: server.RecordingServer, tmp_path: Path
) -> None:
    """A real one: a cluster in recovery. Nothing is begun on it."""
    home = embedded.EmbeddedPostgres(tmp_path / "pg", postgres.programs())
    environ = stage.environment(recorded, node.url, home.start())
    await stage.command(environ, "run", "--until-block", "10", "--no-serve")
    home.stop()
    signal_file = tmp_path / "pg" / "cluster" / "standby.signal"
    signal_file.touch()
    shutil.chown(signal_file, (tmp_path / "pg" / "cluster").stat().st_uid)
    home.start()
    try:
        assert await daemon.ask(home.url, "SELECT pg_is_in_recovery()")
        async with daemon.started(environ, tmp_path / "log") as running:
            line = await running.refuses()
        assert "takes no writes" in line
        assert "name the primary" in line
    finally:
        home.stop()


async def test_the_primary_becomes_read_only_for_a_while(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    migrated_database_url: str,
    tmp_path: Path,
) -> None:
    """As in a failover: who was well before waits."""
    environ = stage.environment(recorded, node.url, migrated_database_url)
    name = migrated_database_url.partition("?")[0].rpartition("/")[2]
    switch = f'ALTER DATABASE "{name}" SET default_transaction_read_only = '
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.commits(migrated_database_url, 20)
        await daemon.ask(migrated_database_url, switch + "on")
        await daemon.ask(migrated_database_url, daemon.TERMINATE)
        await running.until(lambda: "takes no writes" in _last_reason(running))
        await daemon.ask(postgres.server_url(), f"{switch}off")
        await grows(running, node, migrated_database_url, 30)
        await running.stop()


def _last_reason(running: daemon.Daemon) -> str:
    told = running.logged("database_trouble")
    return str(told[-1]["reason"]) if told else ""


# --- a second writer --------------------------------------------------------------------------


@pytest.fixture
async def two(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    migrated_database_url: str,
    tmp_path: Path,
) -> AsyncIterator[tuple[daemon.Daemon, dict[str, str]]]:
    """A daemon at block 20, and the environment for a second one."""
    environ = stage.environment(recorded, node.url, migrated_database_url)
    async with daemon.started(environ, tmp_path / "first.log") as first:
        await first.commits(migrated_database_url, 20)
        yield first, environ


async def test_a_second_process_is_refused(
    two: tuple[daemon.Daemon, dict[str, str]], tmp_path: Path
) -> None:
    _, environ = two
    async with daemon.started(environ, tmp_path / "second.log") as second:
        assert "another indexer writes to this database" in await second.refuses()


@pytest.mark.parametrize("moment", ["between", "inside"])
async def test_a_paused_writer_wakes_up_after_another_took_over(
    two: tuple[daemon.Daemon, dict[str, str]],
    node: server.RecordingServer,
    migrated_database_url: str,
    indexed_url: str,
    recorded: truth.Recorded,
    tmp_path: Path,
    moment: str,
) -> None:
    """Asleep between two blocks, or in the middle of a transaction: it writes nothing more."""
    first, environ = two
    url = migrated_database_url
    if moment == "inside":
        await sleep_in_a_transaction(first, node, url)
    else:
        first.process.send_signal(signal.SIGSTOP)
    # What the server does with a silent host, and with one that idles in a transaction.
    await daemon.ask(url, daemon.TERMINATE)
    node.playhead.go_to(60)
    async with daemon.started(environ, tmp_path / "second.log") as second:
        await second.commits(url, 60)
        first.process.send_signal(signal.SIGCONT)
        assert "another indexer writes to this database" in await first.refuses()
        assert first.logged("database_trouble")
        node.playhead.go_to(recorded.last_block)
        await second.commits(url, recorded.last_block)
        await second.stop()
    found = await stage.json_of(environ, "digest")
    assert found == await stage.json_of(environ | {"DATABASE_URL": indexed_url}, "digest")


async def sleep_in_a_transaction(
    running: daemon.Daemon, node: server.RecordingServer, url: str
) -> None:
    holder = await connected(url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE events IN SHARE MODE")
        node.playhead.go_to(30)
        await running.until(lambda: is_blocked(url))
        running.process.send_signal(signal.SIGSTOP)
    await holder.close()


async def test_only_the_lock_of_a_paused_writer_is_lost(
    two: tuple[daemon.Daemon, dict[str, str]],
    node: server.RecordingServer,
    migrated_database_url: str,
    tmp_path: Path,
) -> None:
    """Its other connection lives: the cursor's compare-and-swap keeps it from the tables."""
    first, environ = two
    first.process.send_signal(signal.SIGSTOP)
    lock = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    await daemon.ask(migrated_database_url, f"{daemon.TERMINATE} AND pid IN ({lock})")
    node.playhead.go_to(40)
    async with daemon.started(environ, tmp_path / "second.log") as second:
        await second.commits(migrated_database_url, 40)
        node.playhead.go_to(50)
        first.process.send_signal(signal.SIGCONT)
        assert "another indexer writes to this database" in await first.refuses()
        await second.commits(migrated_database_url, 50)
        await second.stop()
    assert (await stage.json_of(environ, "audit"))["is_good"]


async def test_the_lost_session_still_holds_the_lock(
    recorded: truth.Recorded,
    node: server.RecordingServer,
    migrated_database_url: str,
    tmp_path: Path,
) -> None:
    """The server has not noticed yet that the session is lost: the next one ends it."""
    async with proxy.Proxy(migrated_database_url) as way:
        environ = stage.environment(recorded, node.url, way.url)
        async with daemon.started(environ, tmp_path / "log") as running:
            await running.commits(migrated_database_url, 20)
            way.leave_behind()
            await running.tells("database_back")
            told = [entry["reason"] for entry in running.logged("database_trouble")]
            assert not any("another indexer writes" in reason for reason in told)
            await grows(running, node, migrated_database_url, 30)
            await running.stop()


async def test_the_embedded_cluster_is_not_harmed_by_a_kill_of_both(
    recorded: truth.Recorded, node: server.RecordingServer, tmp_path: Path
) -> None:
    """Daemon and embedded server die at once, as in a container that is killed."""
    environ = stage.environment(recorded, node.url, "", VESU_DATA_DIR=str(tmp_path / "data"))
    del environ["DATABASE_URL"]
    home = tmp_path / "data" / "postgres"
    async with daemon.started(environ, tmp_path / "log") as running:
        await running.tells("started")
        await running.commits(embedded.EmbeddedPostgres(home).url, 20)
        running.process.kill()
        embedded_stage.kill_server(home)
        await running.process.wait()
    node.playhead.go_to(40)
    await stage.command(environ, "run", "--until-block", "40", "--no-serve")
    async with asyncio.timeout(60):
        assert (await stage.json_of(environ, "audit"))["is_good"]
