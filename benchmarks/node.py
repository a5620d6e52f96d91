"""Serve a recording, without compression, until stdin is closed: `python -m benchmarks.node F`.

A line `BRANCH NUMBER` on stdin puts the head on that block; its hash is printed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from indexer.recording import chain, options, server


async def main(folder: Path) -> None:
    """Print the address once listening."""
    async with server.RecordingServer(
        chain.load(folder), options=options.ServerOptions(gzip=False)
    ) as node:
        print(node.url, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            branch, number = map(int, line.split())
            node.playhead.go_to(number, branch)
            print(node.recording.branch(branch).blocks[number].hash, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
