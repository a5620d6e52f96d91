"""Serve a recording, without compression, until stdin is closed: `python -m benchmarks.node F`."""

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
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
