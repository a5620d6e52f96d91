"""The embedded PostgreSQL: a server of our own under the data directory.

Layout: `cluster/` (the data), `socket/` (where it listens, no TCP), `server.log`, and two lock
files: `start.lock` lets one process at a time start or stop the server, `users.lock` is held
shared by everyone who uses it, so the last one out stops it. A server that a killed process
left behind is taken over by the next start; it does no harm meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg

from indexer import errors
from indexer.store import binaries, programs, sockets

DATABASE = "vesu"
PORT = 5432
"""Only a part of the socket's name; said in the URL, or PGPORT would have a say."""

SOCKET_LOCK = f".s.PGSQL.{PORT}.lock"

READY_SECONDS = 300.0
"""After a crash the server reads its log before it answers; a large one takes minutes."""

ORPHAN_SECONDS = 30.0
"""A killed postmaster's children end by themselves once their query does."""

LOG_BYTES = 1_000_000


class EmbeddedPostgres:
    """One server under `data_dir`; `programs_dir` names the folder of its binaries."""

    def __init__(self, data_dir: Path, programs_dir: Path | None = None) -> None:
        self._home = data_dir.absolute()
        self._cluster = self._home / "cluster"
        self._log = self._home / "server.log"
        self._configured = programs_dir
        self._users: IO[str] | None = None

    def start(self) -> str:
        """Start the server, or join the one that runs; returns its URL.

        DataDirectoryError: the directory cannot be used. EmbeddedServerError: no programs, or
        the server does not come up; the message holds the server's own reason.
        """
        with self._readable_errors():
            self._make_home()
            with self._locked("start.lock"):
                self._users = self._open_lock("users.lock")
                fcntl.flock(self._users, fcntl.LOCK_SH)
                try:
                    self._bring_up()
                except BaseException:
                    self._leave()
                    raise
        return self.url

    def revive(self) -> None:
        """Start the server again if it died under us; between start() and stop() alone."""
        with self._readable_errors(), self._locked("start.lock"):
            self._bring_up()

    def stop(self) -> None:
        """Let go of the server; the last one who uses it stops it."""
        if self._users is not None:
            with self._locked("start.lock"):
                self._leave()

    @property
    def folder(self) -> Path:
        """Where it lives."""
        return self._home

    @property
    def is_made(self) -> bool:
        """Whether there is a cluster in the folder already; starting makes one otherwise."""
        with self._readable_errors():
            return self._cluster.exists()

    @property
    def url(self) -> str:
        """Where asyncpg and psycopg find the server."""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._socket_dir()}&port={PORT}"

    # --- the directory ----------------------------------------------------------------

    @contextlib.contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise errors.DataDirectoryError(
                f"cannot use the data directory {self._home}: {error.strerror} "
                f"({error.filename}); make it writable for user id {os.geteuid()}, or set "
                "data_dir (VESU_DATA_DIR) to another one"
            ) from error

    def _make_home(self) -> None:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("start.lock", "users.lock"):
            if not (self._home / name).exists():
                (self._home / name).touch()
        if self._cluster.exists() and self._major() is None and any(self._cluster.iterdir()):
            raise errors.DataDirectoryError(
                f"{self._cluster} holds files that are no PostgreSQL cluster: move them "
                "away, or set data_dir to another directory"
            )

    def _major(self) -> int | None:
        """The major version that made the cluster; None: there is none."""
        try:
            return int((self._cluster / "PG_VERSION").read_text().strip())
        except (FileNotFoundError, ValueError):
            return None

    def _socket_dir(self) -> Path:
        return sockets.folder(self._home)

    def _open_lock(self, name: str) -> IO[str]:
        return (self._home / name).open("r")

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with self._open_lock(name) as lock:
            deadline = time.monotonic() + READY_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise errors.EmbeddedServerError(
                            f"another process has been starting the server in {self._home} "
                            f"for {READY_SECONDS:.0f} s: see {self._log}"
                        ) from None
                    time.sleep(0.05)
            yield

    # --- up and down ------------------------------------------------------------------

    def _bring_up(self) -> None:
        """Invariant: only whoever holds start.lock is in here or in `_leave`."""
        runner = programs.Runner(self._programs(), self._home, self._cluster)
        if self._major() is None:
            self._initialise(runner)
        sockets.make(self._socket_dir(), runner.owner)
        if not self._is_up(runner):
            self._launch(runner)
        self._make_database()

    def _leave(self) -> None:
        users, self._users = self._users, None
        assert users is not None  # held since start()
        with users:
            fcntl.flock(users, fcntl.LOCK_UN)
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # Others still use it: theirs to stop.
            if self._major() is not None:
                runner = programs.Runner(self._programs(), self._home, self._cluster)
                if self._is_up(runner):
                    runner.run("pg_ctl", "stop", "-m", "fast", "-w", "-t", "60")
                sockets.clean(self._home)

    def _programs(self) -> Path:
        major = self._major()
        if major is None:
            return binaries.find(self._configured)
        if self._configured is None and (path := binaries.of_major(major)):
            return path
        folder = binaries.find(self._configured)
        have = binaries.major(folder)
        if have != major:
            raise errors.EmbeddedServerError(
                f"{self._cluster} was made by PostgreSQL {major}, but the programs found are "
                f"of PostgreSQL {have}: install PostgreSQL {major}, or set data_dir to a new "
                "directory and index again"
            )
        return folder

    def _initialise(self, runner: programs.Runner) -> None:
        """Make the cluster beside its place: a kill half-way leaves nothing that looks whole."""
        for left in self._home.glob("cluster.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=self._home))
        os.chown(made, runner.owner, -1)
        options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        try:
            runner.run("initdb", *options, "--no-instructions", cluster=made)
            made.rename(self._cluster)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def _launch(self, runner: programs.Runner) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        # A page's first change after a checkpoint is logged as the whole page. In a long fill half
        # of the server's time went into compressing these by its own method.
        compression = "lz4" if runner.takes("wal_compression", "lz4") else "on"
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={self._socket_dir()} "
            f"-c port={PORT} -c unix_socket_permissions=0700 -c shared_buffers=128MB "
            "-c max_connections=50 -c max_wal_size=1GB -c jit=off -c log_checkpoints=off "
            f"-c wal_compression={compression} -c checkpoint_timeout=15min"
        )
        start = ("start", "-w", "-t", f"{READY_SECONDS:.0f}", "-l", str(self._log), "-o", options)
        deadline = time.monotonic() + ORPHAN_SECONDS
        while True:
            said_before = self._log.stat().st_size if self._log.exists() else 0
            try:
                return runner.run("pg_ctl", *start)
            except errors.EmbeddedServerError as error:
                log_text = self._log_since(said_before)
                if (
                    "pre-existing shared memory block" not in log_text
                    or time.monotonic() > deadline
                ):
                    reason = _last_complaint(log_text)
                    raise errors.EmbeddedServerError(f"{error}{reason}; see {self._log}") from None
            time.sleep(0.5)

    def _log_since(self, offset: int) -> str:
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", "replace")
        return ""

    # --- the server -------------------------------------------------------------------

    def _is_up(self, runner: programs.Runner) -> bool:
        """Whether a server runs on the cluster, ready or not.

        PostgreSQL would believe any live process of the same user to be the server that a lock
        file names, and a zombie too. Both happen in containers, which number their processes
        anew after a restart and often have nobody to reap them.
        """
        for file in (self._cluster / "postmaster.pid", self._socket_dir() / SOCKET_LOCK):
            with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
                if not self._is_server(int(file.read_text().splitlines()[0])):
                    file.unlink()
        return runner.is_up()

    def _is_server(self, pid: int) -> bool:
        """Whether the process works in the cluster's folder, as only its server does."""
        try:
            return Path(f"/proc/{pid}/cwd").samefile(self._cluster)
        except PermissionError:
            return True  # Another user's. PostgreSQL's own check is enough, as it is without /proc.
        except (FileNotFoundError, ProcessLookupError):
            return not Path("/proc/self").exists()

    def _make_database(self) -> None:
        with self._connected() as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
            ).fetchone()
            if found is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection, once the server that runs is ready for it."""
        deadline = time.monotonic() + 30.0
        while True:
            try:
                return psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=10)
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise errors.EmbeddedServerError(
                        f"a server runs on {self._cluster}, but does not answer in "
                        f"{self._socket_dir()}: {' '.join(str(error).split())}; stop it "
                        f"(kill -{signal.SIGINT:d} its first process, named in postmaster.pid) "
                        f"and try again; see {self._log}"
                    ) from error
            time.sleep(0.2)


def _last_complaint(log_text: str) -> str:
    """The server's own reason from its log, if it gave one."""
    lines = [line for line in log_text.splitlines() if line.strip()]
    grave = [line.partition("] ")[2] for line in lines if "FATAL:" in line or "PANIC:" in line]
    return ": " + " ".join(" ".join(grave[-1:] or lines[-3:]).split()) if lines else ""
