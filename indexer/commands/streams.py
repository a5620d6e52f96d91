"""Standard output and error as they are: closed, full, without a reader, or of another encoding.

What standard output cannot take ends the command with OutputError (exit 3) or OutputClosedError
(exit 141). Standard error has no other place to report to: what it cannot take is dropped, so that
a daemon outlives its log reader.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sized
from typing import TypedDict, cast

from indexer import errors


def install() -> None:
    """Replace sys.stdout and sys.stderr; letters that an encoding lacks are written as `?`.

    Streams that are not the process's own, as in a test, are left as they are.
    """
    if sys.stdout is sys.__stdout__:
        sys.stdout = _Output(_raw(sys.stdout, 1), errors="replace", **_manner(sys.stdout))
    if sys.stderr is sys.__stderr__:
        sys.stderr = _Messages(_raw(sys.stderr, 2), errors="replace", **_manner(sys.stderr))


def discard(descriptor: int) -> None:
    """A stream takes everything from now on, so that flushing it at the end cannot fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


class _Output(io.TextIOWrapper):
    def write(self, text: str) -> int:
        with _mapped():
            return super().write(text)

    def flush(self) -> None:
        with _mapped():
            super().flush()


class _Messages(io.TextIOWrapper):
    def write(self, text: str) -> int:
        with _dropped():
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with _dropped():
            super().flush()


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        discard(1)
        raise errors.OutputClosedError() from None
    except OSError as error:
        discard(1)
        raise errors.OutputError(f"cannot write standard output: {error.strerror}") from error


@contextlib.contextmanager
def _dropped() -> Iterator[None]:
    try:
        yield
    except OSError:
        discard(2)


def _raw(stream: object, descriptor: int) -> io.BufferedWriter:
    """The bytes below a stream.

    Of a process that was started without the stream, its descriptor is taken at once, or the next
    socket or file would get it.
    """
    if isinstance(stream, io.TextIOWrapper):
        return cast("io.BufferedWriter", stream.detach())
    discard(descriptor)
    raw: io.RawIOBase = _Closed() if descriptor == 1 else io.FileIO(2, "w", closefd=False)
    return io.BufferedWriter(raw)


class _Closed(io.RawIOBase):
    """Standard output of a process that was started without one: what is first written fails."""

    has_failed = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        raise errors.OutputClosedError

    def write(self, data: Sized) -> int:  # type: ignore[override]
        if not self.has_failed:
            self.has_failed = True
            raise BrokenPipeError
        return len(data)


class _Manner(TypedDict):
    encoding: str
    line_buffering: bool


def _manner(stream: object) -> _Manner:
    return {
        "encoding": getattr(stream, "encoding", None) or "utf-8",
        "line_buffering": bool(getattr(stream, "line_buffering", False)),
    }
