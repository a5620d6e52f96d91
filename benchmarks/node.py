"""Serve a recording, without compression, until stdin is closed.

`python -m benchmarks.node FOLDER [LATENCY]`: every request takes LATENCY seconds. A line `BRANCH
NUMBER` on stdin puts the head on that block; its hash and the time are printed as JSON. A line
`traffic` prints what was asked since the last such line, a line `told` when the first answer named
each block, as JSON (`benchmarks.serving`).
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from benchmarks import serving
from indexer.recording import chain, options, server


class CountingServer(server.RecordingServer):
    """Counts its answers and the bytes of their bodies; notes when it told of each new head."""

    requests = 0
    body_bytes = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._untold: list[int] = []
        self.told: dict[int, float] = {}
        """When the first answer named each head, or a later one; Unix time in seconds."""

    def _respond(self, request: web.Request, body: bytes) -> web.Response:
        self.requests += 1
        self.body_bytes += len(body)
        if self._untold and b'"block_number":%d,' % self._untold[-1] in body:
            self.told |= dict.fromkeys(self._untold, time.time())
            self._untold.clear()
        return super()._respond(request, body)

    def go_to(self, number: int, branch: int) -> None:
        """Put the head on a block of a branch."""
        self.playhead.go_to(number, branch)
        self._untold.append(number)

    def traffic(self) -> serving.Traffic:
        """What was asked since the last time."""
        found = serving.Traffic(dict(self.counts), self.requests, self.body_bytes)
        self.counts.clear()
        self.requests = self.body_bytes = 0
        return found


async def main(folder: Path, latency: float) -> None:
    """Print the address once listening."""
    node = CountingServer(
        chain.load(folder), options=options.ServerOptions(gzip=False, latency=latency)
    )
    async with node:
        print(node.url, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip() == "traffic":
                _tell(node.traffic())
                continue
            if line.strip() == "told":
                _tell(node.told)
                continue
            branch, number = map(int, line.split())
            node.go_to(number, branch)
            hash_ = node.recording.branch(branch).blocks[number].hash
            _tell(serving.Shown(hash_, time.time()))


def _tell(answer: object) -> None:
    print(msgspec.json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
