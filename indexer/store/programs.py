"""Running PostgreSQL's programs: with a clean environment, and never as root.

PostgreSQL refuses root. If root owns the data directory, the programs run in a user namespace,
in which root's files belong to an ordinary user; if somebody else owns it, they run as that
owner. No user is added and no permission above the data directory is touched.
"""

from __future__ import annotations

import functools
import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indexer import errors
from indexer.store import binaries

PATIENCE = 420.0
"""Seconds after which a program is taken to hang; more than pg_ctl itself waits."""


class Runner:
    """Runs the programs of `folder` on `cluster`; `owner` is the user id that the files get."""

    def __init__(self, folder: Path, home: Path, cluster: Path) -> None:
        self._folder = folder
        self._home = home
        self._cluster = cluster
        self.owner = os.geteuid() or (cluster if cluster.exists() else home).stat().st_uid

    def run(self, program: str, *arguments: str, cluster: Path | None = None) -> None:
        """Run a program to its end. EmbeddedServerError: it failed, with what it said."""
        cluster_folder = cluster or self._cluster
        try:
            done = self._done(program, cluster_folder, arguments)
        except subprocess.TimeoutExpired:
            raise errors.EmbeddedServerError(
                f"{program} did not end within {PATIENCE:.0f} s in {cluster_folder}"
            ) from None
        if done.returncode != 0:
            message = " ".join(done.stderr.split())
            raise errors.EmbeddedServerError(
                f"{program} failed in {cluster_folder}: {message or 'it gave no reason'}"
            )

    def is_up(self) -> bool:
        """Whether a server runs on the cluster, ready or not."""
        return self._done("pg_ctl", self._cluster, ("status",)).returncode == 0

    def takes(self, setting: str, value: str) -> bool:
        """Whether the server knows a value of a setting: builds differ."""
        options = ("-C", setting, "-c", f"{setting}={value}")
        return self._done("postgres", self._cluster, options).returncode == 0

    def _done(
        self, program: str, cluster: Path, arguments: Sequence[str]
    ) -> subprocess.CompletedProcess[str]:
        command = [str(self._folder / program), "-D", str(cluster), *arguments]
        prefix, identity = _unprivileged(self._home, self.owner)
        return subprocess.run(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(self._folder),
            start_new_session=True,
            timeout=PATIENCE,
            cwd=self._home,
            **identity,
        )


def environment(folder: Path) -> dict[str, str]:
    """What the programs see of our environment; PG* variables would change what they do.

    The wheel's programs look for their libraries beside themselves; an installed PostgreSQL
    is set up for its own, so there only what the user has set counts.
    """
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZ") if name in os.environ}
    own = str(folder.parent / "lib") if binaries.is_from_wheel(folder) else ""
    libraries = own or os.environ.get("LD_LIBRARY_PATH", "")
    return kept | {"LC_ALL": "C"} | ({"LD_LIBRARY_PATH": libraries} if libraries else {})


def _unprivileged(home: Path, owner: int) -> tuple[Sequence[str], dict[str, Any]]:
    """What to put before a command, and whom to run it as, so that PostgreSQL sees no root."""
    if os.geteuid() == 0 and owner != 0:
        group = home.stat().st_gid
        return (), {"user": owner, "group": group, "extra_groups": []}
    if os.geteuid() != 0 and _has_name(owner):
        return (), {}
    namespace = _namespace()
    if _works(namespace):
        return namespace, {}
    if owner == 0:
        raise errors.EmbeddedServerError(
            "PostgreSQL refuses to run as root and this machine allows no user namespace: run "
            f"as another user, or give {home} to one (chown), or set DATABASE_URL"
        )
    raise errors.EmbeddedServerError(
        f"PostgreSQL needs a user with a name, and user id {owner} has none on this machine: "
        "add it to /etc/passwd, run as another user, or set DATABASE_URL"
    )


def _namespace() -> tuple[str, ...]:
    """A user namespace in which we are an ordinary user with a name (initdb looks it up)."""
    named = next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0), 65534)
    return ("unshare", "-U", f"--map-user={named}", "--map-group=1000")


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


@functools.cache
def _works(command: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run((*command, "true"), capture_output=True, timeout=30, check=False)
    except OSError:
        return False
    return done.returncode == 0
