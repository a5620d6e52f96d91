"""Where the embedded server listens: a folder that only its user may enter."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path

from indexer import errors

LONGEST = 90
"""A Unix socket's path may have 107 bytes, 103 on macOS; PostgreSQL appends `/.s.PGSQL.5432`."""

_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
"""What needs no quoting in a URL, a shell's word and PostgreSQL's list of folders alike."""

SHORT = Path("/tmp")  # noqa: S108 - not $TMPDIR: all processes must come to the same folder


def folder(home: Path) -> Path:
    """`home`/socket; one named after it in /tmp where that path is too long or has odd letters."""
    inside = home / "socket"
    if len(os.fsencode(inside)) <= LONGEST and _PLAIN.fullmatch(str(inside)):
        return inside
    name = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:20]
    return SHORT / f"vesu-{name}"


def make(path: Path, owner: int) -> None:
    """Make the folder, or see that it is the owner's own: in /tmp anybody may have made it."""
    try:
        path.mkdir(mode=0o700)
        os.chown(path, owner, -1)
    except FileExistsError:
        stat_result = path.lstat()
        if (
            not stat.S_ISDIR(stat_result.st_mode)
            or stat_result.st_uid != owner
            or stat_result.st_mode & 0o022
        ):
            raise errors.DataDirectoryError(
                f"{path} is not a folder that only user id {owner} may write: remove it"
            ) from None


def clean(home: Path) -> None:
    """Leave no empty folder of ours behind in /tmp."""
    socket_folder = folder(home)
    if socket_folder.parent == SHORT:
        with contextlib.suppress(OSError):  # A file in it is not ours, and gone is what we want.
            socket_folder.rmdir()
