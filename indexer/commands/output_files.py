"""Files that a command writes, whole or not at all, and standard output.

A file is written as `.NAME.part` in the same folder and is renamed when it is complete. A killed
process leaves the part behind; the next process that writes the same file replaces it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from indexer import errors

STDOUT = Path("-")


class Sink(io.RawIOBase):
    """A file descriptor to write to, which counts and hashes the bytes."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._name = name
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """The hash of what was written so far, in hex."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.bytes

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write all of it; OutputError, or OutputClosedError where the reader is gone."""
        view = memoryview(data)
        written = 0
        try:
            while written < len(view):
                written += os.write(self._descriptor, view[written:])
        except BrokenPipeError:
            raise errors.OutputClosedError() from None
        except OSError as error:
            raise errors.OutputError(f"cannot write {self._name}: {error.strerror}") from error
        self._hash.update(view)
        self.bytes += len(view)
        return len(view)


@contextlib.contextmanager
def output(path: Path, *, force: bool) -> Iterator[Sink]:
    """A sink for `path`, which exists only once the block has ended well; `-` is stdout."""
    if path == STDOUT:
        sys.stdout.flush()
        yield Sink(sys.stdout.fileno(), "standard output")
        return
    with partial_file(path, force=force) as partial, partial.open("wb", buffering=0) as file:
        yield Sink(file.fileno(), str(path))


@contextlib.contextmanager
def partial_file(path: Path, *, force: bool) -> Iterator[Path]:
    """The file to write instead of `path`; renamed to it if the block ends well, else removed.

    ConfigError: `path` exists and `force` is not given. OutputError: it cannot be written, or
    another process is writing it.
    """
    require_free(path, force=force)
    partial = path.with_name(f".{path.name}.part")
    with _mapped_errors(path):
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _claim(descriptor, partial, path)
        try:
            with _mapped_errors(path):
                os.ftruncate(descriptor, 0)
            yield partial
            with _mapped_errors(path):
                os.fsync(descriptor)
                require_free(path, force=force)
                partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str, *, force: bool) -> None:
    """A small file, whole or not at all."""
    with partial_file(path, force=force) as partial, _mapped_errors(path):
        partial.write_text(text, "utf-8")


def require_free(path: Path, *, force: bool) -> None:
    """ConfigError: the file exists and may not be replaced."""
    if path.is_dir():
        raise errors.ConfigError(f"{path} is a folder: name a file in it")
    if path.exists() and not force:
        raise errors.ConfigError(f"{path} exists: name another file, or replace it with --force")


def _claim(descriptor: int, partial: Path, path: Path) -> None:
    """Lock the part. Another process may have renamed it since it was opened."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_held = os.path.samestat(os.fstat(descriptor), partial.stat())
    except (BlockingIOError, FileNotFoundError):
        is_held = False
    if not is_held:
        raise errors.OutputError(f"another process is writing {path}")


@contextlib.contextmanager
def _mapped_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.OutputError(f"cannot write {path}: {error.strerror}") from error
