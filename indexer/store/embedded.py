"""The embedded PostgreSQL: a server of our own under the data directory.

Layout: `cluster/` (the data), `socket/` (where it listens, no TCP), `server.log`, and two lock
files: `start.lock` lets one process at a time start or stop the server, `users.lock` is held
shared by everyone who uses it, so the last one out stops it. A server that a killed process
left behind is taken over by the next start; it does no harm meanwhile.

As root the programs run in a user namespace, because PostgreSQL refuses root; no user is
added and no permission above the data directory is touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import psycopg

from indexer import errors
from indexer.store import binaries

DATABASE = "vesu"
LONGEST_SOCKET = 90
"""A Unix socket's path may have 107 bytes; PostgreSQL appends its own name to ours."""

START_SECONDS = 60.0


class EmbeddedPostgres:
    """One server under `data_dir`; `programs` names the folder of its binaries."""

    def __init__(self, data_dir: Path, programs: Path | None = None) -> None:
        self._home = data_dir.absolute()
        self._cluster = self._home / "cluster"
        self._configured = programs
        self._users: IO[str] | None = None

    def start(self) -> str:
        """Start the server, or join the one that runs; returns its URL."""
        self._make_home()
        with self._locked("start.lock"):
            programs = self._programs()
            if not (self._cluster / "PG_VERSION").exists():
                self._initialise(programs)
            self._clear_zombie()
            if not self._answers():
                self._launch(programs)
            self._make_database()
            self._users = self._open_lock("users.lock")
            fcntl.flock(self._users, fcntl.LOCK_SH)
        return self.url

    def stop(self) -> None:
        """Let go of the server; the last one who uses it stops it."""
        if self._users is None:
            return
        with self._locked("start.lock"):
            fcntl.flock(self._users, fcntl.LOCK_UN)
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # Others still use it: theirs to stop.
            else:
                self._run(self._programs(), "pg_ctl", "stop", "-m", "fast", "-w", "-t", "30")
            self._users.close()
            self._users = None

    @property
    def url(self) -> str:
        """Where asyncpg and psycopg find the server."""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._socket_dir()}"

    # --- the directory ----------------------------------------------------------------

    def _make_home(self) -> None:
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._home / "start.lock").touch()
            (self._home / "users.lock").touch()
        except OSError as error:
            raise errors.DataDirectoryError(
                f"cannot write the data directory {self._home}: {error.strerror}; make it "
                "writable, or set data_dir (VESU_DATA_DIR) to another one"
            ) from error
        if self._cluster.exists() and not (self._cluster / "PG_VERSION").exists():
            if any(self._cluster.iterdir()):
                raise errors.DataDirectoryError(
                    f"{self._cluster} holds files that are no PostgreSQL cluster: move them "
                    "away, or set data_dir to another directory"
                )

    def _socket_dir(self) -> Path:
        inside = self._home / "socket"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET:
            return inside
        name = hashlib.sha256(os.fsencode(self._home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"vesu-{os.getuid()}-{name}"

    def _open_lock(self, name: str) -> IO[str]:
        return (self._home / name).open("r+")

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with self._open_lock(name) as lock:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise errors.EmbeddedServerError(
                            f"another process has been starting the server in {self._home} "
                            f"for {START_SECONDS:.0f} s: see {self._home / 'server.log'}"
                        ) from None
                    time.sleep(0.05)
            yield

    # --- the programs -----------------------------------------------------------------

    def _programs(self) -> Path:
        version_file = self._cluster / "PG_VERSION"
        if not version_file.exists():
            return binaries.find(self._configured)
        wanted = int(version_file.read_text().strip())
        if self._configured is None:
            found = binaries.of_major(wanted)
            if found is not None:
                return found
        programs = binaries.find(self._configured)
        have = binaries.major(programs)
        if have != wanted:
            raise errors.EmbeddedServerError(
                f"{self._cluster} was made by PostgreSQL {wanted}, but the programs found are "
                f"of PostgreSQL {have}: install PostgreSQL {wanted}, or set data_dir to a new "
                "directory and index again"
            )
        return programs

    def _run(self, programs: Path, program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(self._cluster), *arguments]
        done = subprocess.run(
            [*_unprivileged(self._home), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(programs),
            start_new_session=True,
            timeout=START_SECONDS * 2,
            cwd=self._home,
        )
        if done.returncode != 0:
            raise errors.EmbeddedServerError(
                f"{program} failed in {self._cluster}: {done.stderr.strip() or 'no reason given'}"
                f"; see {self._home / 'server.log'}"
            )

    def _initialise(self, programs: Path) -> None:
        self._run(
            programs,
            "initdb",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-instructions",
        )

    def _launch(self, programs: Path) -> None:
        socket_dir = self._socket_dir()
        socket_dir.mkdir(mode=0o700, exist_ok=True)
        if socket_dir.stat().st_uid != os.getuid():
            raise errors.DataDirectoryError(f"{socket_dir} belongs to somebody else: remove it")
        options = (
            f"-c listen_addresses='' -c unix_socket_directories='{socket_dir}' "
            "-c unix_socket_permissions=0700 -c shared_buffers=128MB -c max_connections=50 "
            "-c max_wal_size=1GB -c jit=off"
        )
        self._run(
            programs,
            "pg_ctl",
            "start",
            "-w",
            "-t",
            str(int(START_SECONDS)),
            "-l",
            str(self._home / "server.log"),
            "-o",
            options,
        )

    # --- the server -------------------------------------------------------------------

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _clear_zombie(self) -> None:
        """A postmaster that nobody has reaped looks alive to PostgreSQL: forget its pid file."""
        pid_file = self._cluster / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().splitlines()[0])
            status = Path(f"/proc/{pid}/stat").read_text()
        except (OSError, ValueError, IndexError):
            return
        if status.rpartition(")")[2].split()[0] == "Z":
            pid_file.unlink()

    def _make_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
            ).fetchone()
            if found is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _environment(programs: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZ") if name in os.environ}
    return kept | {"LC_ALL": "C", "LD_LIBRARY_PATH": str(programs.parent / "lib")}


def _unprivileged(home: Path) -> Sequence[str]:
    """What to put before a command so that PostgreSQL does not see root."""
    if os.getuid() != 0:
        return ()
    namespace = ("unshare", "-U", "--map-user=1000", "--map-group=1000")
    if _works((*namespace, "true")):
        return namespace
    owner = home.stat()
    if owner.st_uid != 0:
        return ("setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups")
    raise errors.EmbeddedServerError(
        "PostgreSQL refuses to run as root and this machine allows no user namespace: run as "
        f"another user, or give {home} to one (chown), or set DATABASE_URL"
    )


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except FileNotFoundError:
        return False
