"""Poseidon hashes that the tests' processes share: each is computed once in a run of the tests.

The recorded chains are filled and proved some hundred times in a run, and the library takes longer
for their hashes than everything else takes that happens to a block. Who asks again hears what the
library told of the same felts; commitments are still built of hashes, and compared, by all that
need them. A new process of Python computes its hashes itself, and so do all in `make chaos`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from poseidon_py import poseidon_hash

FILE = "TEST_HASHES"
"""The variable that names the run's file."""

SIZE = 32
"""How many bytes a question's digest has in the file, and the answer behind it as many."""

Library = Callable[[Sequence[int]], int]


class Shared:
    """Answers in a file, to which each process appends what it computes."""

    def __init__(self, file: Path) -> None:
        self._known: dict[bytes, bytes] = {}
        self._read = 0
        self._file = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)

    def take_up(self) -> None:
        """Read what was appended since the last time."""
        size = os.fstat(self._file).st_size // (2 * SIZE) * 2 * SIZE
        added = os.pread(self._file, size - self._read, self._read) if size > self._read else b""
        for start in range(0, len(added), 2 * SIZE):
            middle = start + SIZE
            self._known[added[start:middle]] = added[middle : middle + SIZE]
        self._read += len(added)

    def answer(self, function: str, felts: Sequence[int], library: Library) -> int:
        """What a function of the library gives for felts."""
        question = " ".join((function, *map(hex, felts))).encode()
        digest = hashlib.blake2b(question, digest_size=SIZE).digest()
        if digest not in self._known:
            self.take_up()
        if digest not in self._known:
            told = self._known[digest] = library(felts).to_bytes(SIZE)
            # One write, so that nobody sees half of it: a process may be killed at any time.
            os.write(self._file, digest + told)
        return int.from_bytes(self._known[digest])


_shared: list[Shared] = []


def share() -> None:
    """Have this process, and those forked from it, share their hashes, if the run has a file."""
    file = os.environ.get(FILE)
    if file is None or _shared:
        return
    shared = Shared(Path(file))
    _shared.append(shared)
    many, pair = poseidon_hash.poseidon_hash_many, poseidon_hash.poseidon_hash
    poseidon_hash.poseidon_hash_many = lambda felts: shared.answer("many", felts, many)
    poseidon_hash.poseidon_hash = lambda left, right: shared.answer(
        "pair", (left, right), lambda felts: int(pair(*felts))
    )


def take_up() -> None:
    """Read what other processes computed: who is forked from this one then need not."""
    for one in _shared:
        one.take_up()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Meanwhile, processes that are started find a file to share; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="vesu-hashes-") as folder:
        os.environ[FILE] = str(Path(folder) / "hashes")
        try:
            yield
        finally:
            del os.environ[FILE]
