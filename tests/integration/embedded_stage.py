"""Embedded servers in processes of their own, for the tests of what happens between processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).parents[2]

HOLD = """
import os, sys
import encodings.ascii, encodings.idna, psycopg
from pathlib import Path
from indexer import errors
from indexer.store import embedded
if user := int(os.environ.pop("BECOME", "0")):  # now that all is imported: its files may be root's
    os.setgroups([]), os.setgid(user), os.setuid(user)
server = embedded.EmbeddedPostgres(Path(sys.argv[1]))
try:
    print(server.start(), flush=True)
except errors.IndexerError as error:
    print(type(error).__name__, error, flush=True)
    raise SystemExit(3)
sys.stdin.readline()
server.stop()
"""


class Holder:
    """A process that starts or joins the server in `home`, and stops when told."""

    def __init__(self, home: Path, script: str = HOLD, user: int | None = None, **env: str) -> None:
        become = {} if user is None else {"BECOME": str(user)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | become | env,
        )

    def said(self) -> str:
        """The next line that the process prints: the URL, or its error."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> int:
        """Let it stop the server; returns its exit code."""
        self.process.communicate("\n", timeout=60)
        return self.process.returncode

    def kill(self) -> None:
        """kill -9, as an out-of-memory killer does it."""
        self.process.kill()
        self.process.communicate(timeout=60)


@contextlib.contextmanager
def held(home: Path, *arguments: Any, **keywords: Any) -> Iterator[Holder]:
    holder = Holder(home, *arguments, **keywords)
    try:
        yield holder
    finally:
        holder.kill()


def ask(url: str, statement: str) -> Any:
    """The one value that a statement answers; None of one that answers nothing."""
    with psycopg.connect(url, autocommit=True) as connection:
        answer = connection.execute(statement.encode())
        row = answer.fetchone() if answer.description else None
    return None if row is None else row[0]


def pid_of(home: Path) -> int:
    """The postmaster that the cluster's pid file names."""
    return int((home / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def is_alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def has_ended(pid: int) -> bool:
    """Whether a process ends in a moment: a server's pid file is gone before it is."""
    deadline = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(pid)


def kill_server(home: Path) -> int:
    """kill -9 the postmaster and wait for its end; returns its pid."""
    pid = pid_of(home)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return pid
