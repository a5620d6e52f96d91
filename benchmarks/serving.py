"""A recorded chain, served by a process of its own (`benchmarks.node`)."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec


class Traffic(msgspec.Struct, frozen=True):
    """What a node was asked: `calls` by method, HTTP `requests`, and `bytes` of all answers."""

    calls: dict[str, int]
    requests: int
    bytes: int

    @property
    def total_calls(self) -> int:
        """The calls of all methods; a batch has several."""
        return sum(self.calls.values())


class Shown(msgspec.Struct, frozen=True):
    """A new head: its hash, and the Unix time in seconds from which the node showed it."""

    hash: str
    at: float


class Node:
    """A served chain; `url` is its address."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self.url = self._out.readline().strip()

    def traffic(self) -> Traffic:
        """What was asked since the last time."""
        return msgspec.json.decode(self._told("traffic"), type=Traffic)

    def go_to(self, branch: int, number: int) -> Shown:
        """Put the head on a block of a branch."""
        return msgspec.json.decode(self._told(f"{branch} {number}"), type=Shown)

    def told(self) -> dict[int, float]:
        """When its first answer named each head, or a later one, in Unix seconds."""
        return msgspec.json.decode(self._told("told"), type=dict[int, float])

    def _told(self, line: str) -> str:
        self._in.write(f"{line}\n")
        self._in.flush()
        return self._out.readline()


@contextlib.contextmanager
def serving(folder: Path, latency: float = 0.0) -> Iterator[Node]:
    """A node while inside; every request takes `latency` seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.node", str(folder), str(latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Node(process)
    finally:
        process.communicate()
