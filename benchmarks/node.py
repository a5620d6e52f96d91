"""Serve a recording, without compression, until stdin is closed.

`python -m benchmarks.node FOLDER [LATENCY]`: every request takes LATENCY seconds. A line `BRANCH
NUMBER` on stdin puts the head on that block; its hash is printed. A line `counts` prints the calls
by method since the last such line, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from indexer.recording import chain, options, server


async def main(folder: Path, latency: float) -> None:
    """Print the address once listening."""
    async with server.RecordingServer(
        chain.load(folder), options=options.ServerOptions(gzip=False, latency=latency)
    ) as node:
        print(node.url, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip() == "counts":
                print(json.dumps(node.counts), flush=True)
                node.counts.clear()
                continue
            branch, number = map(int, line.split())
            node.playhead.go_to(number, branch)
            print(node.recording.branch(branch).blocks[number].hash, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
