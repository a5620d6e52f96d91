"""The embedded server: every way in which it starts, is shared, killed, found again and refused."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from indexer import errors
from indexer.store import binaries, embedded, programs, sockets
from tests import postgres
from tests.integration import embedded_stage as stage

NOBODY = 65534
NAMELESS = 54321


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster made once; most tests begin with a copy of it."""
    home = tmp_path_factory.mktemp("template")
    server = embedded.EmbeddedPostgres(home, postgres.programs())
    stage.ask(server.start(), "CREATE TABLE kept AS SELECT 7 AS value")
    server.stop()
    return home / "cluster"


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "postgres"
    place.mkdir()
    shutil.copytree(template, place / "cluster")
    yield place
    stop_whatever_runs(place)


def stop_whatever_runs(place: Path) -> None:
    server = embedded.EmbeddedPostgres(place)
    server.start()
    server.stop()


def of_wheel(major: int) -> Path:
    return next(folder for folder in binaries.wheel() if binaries.major(folder) == major)


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without an installed PostgreSQL."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "INSTALL_PATTERNS", ())


# --- start, join, stop ----------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["found", "wheel-18", "wheel-16"])
def test_start_join_and_stop_with_each_programs(tmp_path: Path, asked: str) -> None:
    folder = None if asked == "found" else of_wheel(int(asked[6:]))
    first = embedded.EmbeddedPostgres(tmp_path, folder)
    url = first.start()
    if folder is not None:
        assert stage.ask(url, "SHOW server_version").startswith(asked[6:])
    # Of the ways to compress pages in the log lz4 is the quick one; a build may lack it.
    knows_lz4 = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'wal_compression'"
    quickest = "lz4" if stage.ask(url, knows_lz4) else "pglz"
    assert stage.ask(url, "SHOW wal_compression") == quickest
    pid = stage.pid_of(tmp_path)
    second = embedded.EmbeddedPostgres(tmp_path, folder)
    assert second.start() == url
    assert stage.pid_of(tmp_path) == pid

    first.stop()
    assert stage.ask(url, "SELECT current_database()") == "vesu"
    second.stop()
    patience = time.monotonic() + 10  # the system may take a moment to forget the process
    while stage.is_alive(pid) and time.monotonic() < patience:
        time.sleep(0.05)
    assert stage.has_ended(pid)
    second.stop()  # nothing left to let go of

    embedded.EmbeddedPostgres(tmp_path, folder).start()
    assert stage.ask(url, "SELECT 1") == 1
    stop_whatever_runs(tmp_path)
    assert not (tmp_path / "cluster" / "postmaster.pid").exists()


def test_nobody_else_reaches_it(home: Path) -> None:
    server = embedded.EmbeddedPostgres(home)
    url = server.start()
    assert stage.ask(url, "SHOW listen_addresses") == ""
    for name in ("cluster", "socket"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o700
    server.stop()


def test_without_an_installed_postgresql_the_wheels_is_found(hidden: None) -> None:
    assert binaries.find() == of_wheel(18)


def test_two_processes_start_at_once(tmp_path: Path) -> None:
    with stage.held(tmp_path) as one, stage.held(tmp_path) as other:
        urls = {one.said(), other.said()}
        assert len(urls) == 1
        pid = stage.pid_of(tmp_path)
        assert stage.ask(urls.pop(), "SELECT 1") == 1
        assert one.stop() == 0
        assert stage.is_alive(pid)
        assert other.stop() == 0
        assert stage.has_ended(pid)


def test_variables_for_other_servers_have_no_say(home: Path) -> None:
    elsewhere = {"PGPORT": "1", "PGHOST": "nowhere.invalid", "PGSSLMODE": "require"}
    with stage.held(home, PGUSER="x", PGDATABASE="x", PGDATA="/x", **elsewhere) as holder:
        assert holder.said().startswith("postgresql://postgres@/vesu?host=")
        assert holder.stop() == 0


# --- killed ---------------------------------------------------------------------------------


def test_a_killed_process_leaves_a_server_that_the_next_takes_over(home: Path) -> None:
    with stage.held(home) as holder:
        url = holder.said()
        holder.kill()
    pid = stage.pid_of(home)
    assert stage.ask(url, "SELECT value FROM kept") == 7

    server = embedded.EmbeddedPostgres(home)
    assert server.start() == url
    assert stage.pid_of(home) == pid
    server.stop()
    assert stage.has_ended(pid)


def test_a_killed_server_with_a_busy_child_recovers(home: Path) -> None:
    server = embedded.EmbeddedPostgres(home)
    url = server.start()
    stage.ask(url, "CREATE TABLE written AS SELECT 1 AS value")
    begun = threading.Event()

    def be_busy() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            begun.set()
            # Answered or broken off: that the next start waits for its end is what counts.
            with contextlib.suppress(psycopg.OperationalError):
                connection.execute("SELECT count(*) FROM generate_series(1, 12000000)")

    busy = threading.Thread(target=be_busy)
    busy.start()
    begun.wait()
    time.sleep(0.2)
    old = stage.kill_server(home)
    again = embedded.EmbeddedPostgres(home)
    assert again.start() == url
    assert stage.pid_of(home) != old
    assert "pre-existing shared memory block" in (home / "server.log").read_text()
    assert stage.ask(url, "SELECT value FROM written") == 1
    busy.join()
    again.stop()
    server.stop()


def test_stopping_a_server_that_was_killed_is_no_error(home: Path) -> None:
    server = embedded.EmbeddedPostgres(home)
    server.start()
    stage.kill_server(home)
    server.stop()


ZOMBIE = """
import ctypes, os, signal, sys, time
from pathlib import Path
from indexer.store import embedded
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become ours, to reap or not
home = Path(sys.argv[1])
server = embedded.EmbeddedPostgres(home)
server.start()
pid = int((home / "cluster" / "postmaster.pid").read_text().splitlines()[0])
os.kill(pid, signal.SIGKILL)
state = lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
while state() != "Z":
    time.sleep(0.02)
print(embedded.EmbeddedPostgres(home).start(), state(), flush=True)
sys.stdin.readline()
"""


def test_a_zombie_is_no_server(home: Path) -> None:
    with stage.held(home, ZOMBIE) as holder:
        url, state = holder.said().split()
        assert state == "Z"
        assert stage.ask(url, "SELECT value FROM kept") == 7


def test_a_pid_that_another_process_got_since_is_no_server(home: Path) -> None:
    embedded.EmbeddedPostgres(home).start()
    pid_file = home / "cluster" / "postmaster.pid"
    socket_lock = home / "socket" / embedded.SOCKET_LOCK
    stage.kill_server(home)
    with subprocess.Popen(["sleep", "60"]) as other:
        for file in (pid_file, socket_lock):
            lines = file.read_text().splitlines()
            file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        server = embedded.EmbeddedPostgres(home)
        assert stage.ask(server.start(), "SELECT value FROM kept") == 7
        server.stop()
        other.kill()


def test_a_kill_while_the_cluster_is_made_leaves_nothing_behind(tmp_path: Path) -> None:
    with stage.held(tmp_path) as holder:
        while not list(tmp_path.glob("cluster.new-*/PG_VERSION")):
            time.sleep(0.005)
        holder.kill()
    assert not (tmp_path / "cluster").exists()
    server = embedded.EmbeddedPostgres(tmp_path)
    assert stage.ask(server.start(), "SELECT 1") == 1
    server.stop()


def test_an_interrupted_start_leaves_no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def interrupt(_: embedded.EmbeddedPostgres) -> None:
        seen.append(stage.pid_of(home))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(embedded.EmbeddedPostgres, "_make_database", interrupt)
        with pytest.raises(KeyboardInterrupt):
            embedded.EmbeddedPostgres(home).start()
    assert seen
    assert stage.has_ended(seen[0])


# --- directories ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["file/below", "/proc/none"])
def test_a_directory_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.DataDirectoryError, match=r"cannot use the data directory .* set"):
        embedded.EmbeddedPostgres(tmp_path / place).start()


@pytest.mark.parametrize("what", ["files", "not a version", "a file"])
def test_a_cluster_that_is_none(tmp_path: Path, what: str) -> None:
    cluster = tmp_path / "cluster"
    if what == "a file":
        cluster.touch()
    else:
        cluster.mkdir()
        (cluster / ("PG_VERSION" if what == "not a version" else "letters")).write_text("dear all")
    with pytest.raises(errors.DataDirectoryError, match="data_dir"):
        embedded.EmbeddedPostgres(tmp_path).start()
    assert not (tmp_path / "server.log").exists()


def test_a_broken_cluster_is_told_in_the_servers_own_words(template: Path, tmp_path: Path) -> None:
    shutil.copytree(template, tmp_path / "cluster")
    (tmp_path / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(errors.EmbeddedServerError, match=r"pg_control.*server\.log"):
        embedded.EmbeddedPostgres(tmp_path).start()


def test_the_programs_of_the_clusters_own_major_are_chosen(tmp_path: Path) -> None:
    server = embedded.EmbeddedPostgres(tmp_path, of_wheel(16))
    server.start()
    server.stop()
    with pytest.raises(errors.EmbeddedServerError, match=r"made by PostgreSQL 16.*PostgreSQL 18"):
        embedded.EmbeddedPostgres(tmp_path, of_wheel(18)).start()
    chosen = embedded.EmbeddedPostgres(tmp_path)
    assert stage.ask(chosen.start(), "SHOW server_version").startswith("16")
    chosen.stop()


@pytest.mark.parametrize("name", ["a" * 100, "with space, 'quote' & ünïcode %41"])
def test_awkward_paths(template: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    shutil.copytree(template, place / "cluster")
    server = embedded.EmbeddedPostgres(place)
    assert stage.ask(server.start(), "SELECT value FROM kept") == 7
    socket_dir = sockets.folder(place)
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    server.stop()
    assert not socket_dir.exists()


def test_somebody_elses_socket_folder_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "socket"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(errors.DataDirectoryError, match="remove it"):
        sockets.make(place, os.getuid())
    place.rmdir()
    place.symlink_to(tmp_path)
    with pytest.raises(errors.DataDirectoryError, match="remove it"):
        sockets.make(place, os.getuid())


# --- users ----------------------------------------------------------------------------------

IS_ROOT = os.getuid() == 0


def other(user: int) -> int:
    """Somebody else, whom only root can become; anybody else stays who they are."""
    return user if IS_ROOT else os.getuid()


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that any user may enter, unlike pytest's own."""
    place = Path("/tmp") / f"vesu-test-{os.getpid()}"
    place.mkdir(mode=0o755)
    yield place
    place.chmod(0o755)
    shutil.rmtree(place)


@pytest.mark.parametrize("user", [other(NOBODY), other(NAMELESS)])
def test_another_user_with_and_without_a_name(outside: Path, user: int) -> None:
    os.chown(outside, user, -1)
    with stage.held(outside / "postgres", user=user) as holder:
        assert holder.said().startswith("postgresql://")
        assert Path(f"/proc/{stage.pid_of(outside / 'postgres')}").stat().st_uid == user
        assert holder.stop() == 0


def test_a_user_without_rights_on_the_directory(outside: Path) -> None:
    outside.chmod(0o755 if IS_ROOT else 0o555)
    with stage.held(outside / "postgres", user=other(NOBODY)) as holder:
        assert holder.said().startswith("DataDirectoryError cannot use the data directory")


def test_a_user_without_rights_on_the_cluster(outside: Path, template: Path) -> None:
    shutil.copytree(template, outside / "cluster")
    (outside / "cluster").chmod(0o700 if IS_ROOT else 0o000)
    with stage.held(outside, user=other(NOBODY)) as holder:
        assert f"writable for user id {other(NOBODY)}" in holder.said()
    (outside / "cluster").chmod(0o700)


def test_for_root_the_server_runs_as_the_directorys_owner(outside: Path) -> None:
    os.chown(outside, other(NOBODY), -1)
    server = embedded.EmbeddedPostgres(outside)
    server.start()
    assert Path(f"/proc/{stage.pid_of(outside)}").stat().st_uid == other(NOBODY)
    server.stop()
    with stage.held(outside, user=other(NOBODY)) as holder:
        assert holder.said().startswith("postgresql://")
        assert holder.stop() == 0


def test_root_without_namespaces_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_works", lambda command: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    runner = programs.Runner(postgres.programs() or binaries.find(), tmp_path, tmp_path / "none")
    runner.owner = 0
    with pytest.raises(errors.EmbeddedServerError, match=r"refuses to run as root.*DATABASE_URL"):
        runner.run("initdb")


# --- programs -------------------------------------------------------------------------------


def test_no_programs_anywhere(
    hidden: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "WHEEL", "no_such_package")
    with pytest.raises(errors.EmbeddedServerError, match=r"no PostgreSQL server programs.*install"):
        embedded.EmbeddedPostgres(tmp_path / "data").start()


@pytest.mark.parametrize(
    "script",
    ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho\n", "#!/no/such/shell\n", "#!/bin/sh\necho /none\n"],
)
def test_a_broken_pg_config_is_passed_over(
    hidden: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    config = tmp_path / "pg_config"
    config.write_text(script)
    config.chmod(0o755)
    monkeypatch.chdir(of_wheel(16))  # an empty answer is not the folder we stand in
    assert binaries.find() == of_wheel(18)


def test_broken_and_old_installations_are_passed_over(
    hidden: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"9.6": "echo 'postgres (PostgreSQL) 9.6.24'", "14": "exit 1", "15": "echo postgres"}
    for version, answer in answers.items():
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        for name in binaries.PROGRAMS:
            (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
            (folder / name).chmod(0o755)
    monkeypatch.setattr(binaries, "INSTALL_PATTERNS", (f"{tmp_path}/*/bin",))
    assert binaries.find() == of_wheel(18)
    assert binaries.of_major(14) is None
    for version, reason in (("14", "does not run"), ("15", "does not tell"), ("none", "holds no")):
        with pytest.raises(errors.EmbeddedServerError, match=reason):
            binaries.find(tmp_path / version / "bin")


def test_only_the_wheels_programs_get_a_library_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setenv("PGDATA", "/elsewhere")
    assert "LD_LIBRARY_PATH" not in programs.environment(Path("/usr/lib/postgresql/15/bin"))
    wheel = of_wheel(18)
    assert programs.environment(wheel)["LD_LIBRARY_PATH"] == str(wheel.parent / "lib")
    assert "PGDATA" not in programs.environment(wheel)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/users/own")
    assert programs.environment(Path("/opt/pg/bin"))["LD_LIBRARY_PATH"] == "/users/own"
