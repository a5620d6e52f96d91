"""The files of a recording: JSON documents, one a line, found by their number.

`NAME.jsonl.gz` is decompressed into memory. In its place `NAME.jsonl` may lie, without
compression: it is mapped, so a chain of many gigabytes takes no memory of its own.
"""

from __future__ import annotations

import array
import bisect
import gzip
import mmap
import pathlib
import zlib
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from indexer import errors

T = TypeVar("T")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)  # the latter inside a JSON string

_POSITION_BITS = 24
_HASH_MASK = (1 << 64 - _POSITION_BITS) - 1


class Lines:
    """The lines of one file, without their ends; eight bytes a line besides the text."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self.path = path(folder, name)
        self._text = _text(self.path)
        self._starts = array.array("Q", [0])
        end = self._text.find(b"\n")
        while end >= 0:
            self._starts.append(end + 1)
            end = self._text.find(b"\n", end + 1)
        if self._starts[-1] < len(self._text):
            self._starts.append(len(self._text) + 1)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> bytes:
        return self._text[self._starts[index] : self._starts[index + 1] - 1]

    def decoded(self, kind: type[T]) -> Iterator[T]:
        """Each line as `kind`; RecordingError for a line that is none."""
        decoder = msgspec.json.Decoder(kind)
        try:
            for index in range(len(self)):
                yield decoder.decode(self[index])
        except UNREADABLE as error:
            raise broken(self.path, error) from error


class Hashes:
    """Positions by hash, eight bytes each: 40 bits of the hash, so that a few may share them."""

    def __init__(self) -> None:
        self._keys = array.array("Q")
        self._is_sorted = True

    def append(self, block_hash: str) -> None:
        """The hash of the next position, of 2^24 at most."""
        self._keys.append(_key(block_hash) + len(self._keys))
        self._is_sorted = False

    def candidates(self, block_hash: str) -> Iterator[int]:
        """The positions that may be meant: all of this hash, and now and then another's."""
        if not self._is_sorted:
            self._keys = array.array("Q", sorted(self._keys))
            self._is_sorted = True
        key = _key(block_hash)
        for index in range(bisect.bisect_left(self._keys, key), len(self._keys)):
            position = self._keys[index] - key
            if position >> _POSITION_BITS:
                return
            yield position


def path(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The file of this name: the one without compression where there is one."""
    plain = folder / f"{name}.jsonl"
    return plain if plain.exists() else folder / f"{name}.jsonl.gz"


def rows(folder: pathlib.Path, name: str, kind: type[T]) -> list[T]:
    """All lines of a file, each decoded as `kind`."""
    return list(Lines(folder, name).decoded(kind))


def decode(text: bytes | msgspec.Raw, kind: type[T], source: object) -> T:
    """A JSON text as `kind`; RecordingError, which names the source, where it is none."""
    try:
        return msgspec.json.decode(text, type=kind)
    except UNREADABLE as error:
        raise broken(source, error) from error


def read(path: pathlib.Path) -> bytes:
    """A file's bytes; RecordingError where there is none such."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.RecordingError(f"The recording lacks {path}: {error.strerror}.") from error


def broken(source: object, error: Exception) -> errors.RecordingError:
    """The error for what is no JSON of a recording."""
    return errors.RecordingError(
        f"{source} does not hold the JSON of a recording ({error}); take a fresh copy of it."
    )


def _key(block_hash: str) -> int:
    return (int(block_hash, 16) & _HASH_MASK) << _POSITION_BITS


def _text(path: pathlib.Path) -> bytes | mmap.mmap:
    if path.suffix != ".gz":
        with path.open("rb") as file:
            is_empty = not path.stat().st_size  # which nothing maps
            return b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return gzip.decompress(read(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise errors.RecordingError(
            f"{path} is not a complete gzip file ({error}); take a fresh copy of the recording."
        ) from error
