"""The API's process beside a daemon: `python -m indexer.commands.api_worker LISTENING PAIR`.

Started by `indexer.daemon.api_process`, never by hand. Settings, with the passwords in them, come
over the pair and stand in no argument or variable.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys

from indexer import config
from indexer.api import server
from indexer.app import api_settings, databases
from indexer.commands import event_loop, logs, serve, showing
from indexer.daemon import api_process


class _Daemon:
    """The daemon's end of the pair, as the child sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asking = asyncio.Lock()
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def settings(self) -> api_settings.ApiSettings:
        """The settings that the daemon sends first."""
        return api_settings.ApiSettings.read(await api_process.read_frame(self._reader))

    def serves(self) -> None:
        """Tell the daemon that it need not answer in our place any more."""
        self._writer.write(api_process.SERVES)

    async def metrics(self) -> bytes:
        """The writer's metrics."""
        async with self._asking:
            self._writer.write(api_process.METRICS)
            return await self._answers.get()

    async def listen(self) -> None:
        """Take answers until the daemon is gone; then its port must be free at once."""
        try:
            while True:
                self._answers.put_nowait(await api_process.read_frame(self._reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            os._exit(0)


async def _work(listening: socket.socket, pair: socket.socket) -> None:
    stopping = asyncio.Event()
    event_loop.stop_on_signals(stopping)
    daemon = _Daemon(*await asyncio.open_connection(sock=pair))
    received = await daemon.settings()
    settings = received.settings
    showing.keep_secret(config.secrets_of(settings))
    logs.set_up(settings.log.level, settings.log.format)
    listens = asyncio.create_task(daemon.listen())
    async with (
        databases.pool(settings, received.url, at_once=False) as pool,
        server.serving_on(listening, pool, serve.options(settings, received.url), daemon.metrics),
    ):
        daemon.serves()
        await stopping.wait()
    listens.cancel()


def main() -> None:
    """Serve on an inherited socket until the daemon says or is gone."""
    descriptors = map(int, sys.argv[1:3])
    listening, pair = (socket.socket(fileno=descriptor) for descriptor in descriptors)
    for listener in (listening, pair):
        listener.setblocking(False)  # noqa: FBT003 - its only argument
    event_loop.run(_work(listening, pair), event_loop.fast())
    # As at the end of every command (see `cli.main`): the daemon waits for this end.
    gc.freeze()


if __name__ == "__main__":
    main()
