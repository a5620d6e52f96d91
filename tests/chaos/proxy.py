"""A way to the database that can be cut: every byte between indexer and server goes through it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib import parse

SOCKET = ".s.PGSQL.5432"
PIECE = 65_536
KEEPALIVE_SECONDS = 60.0
"""When a server notices that the other end of a forgotten connection is gone."""

Happening = Callable[[], None]


class Proxy:
    """Forwards connections to the database of `url`; its own URL leads to the same one.

    `passed` counts the pieces that went from clients to the server: asyncpg sends each statement
    in one or two.
    """

    def __init__(self, url: str) -> None:
        self._upstream = parse.urlsplit(url)
        self._folder = Path(tempfile.mkdtemp(prefix="vesu-way-"))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._left_behind: set[asyncio.StreamWriter] = set()
        self._swallowed: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_piece: int | None = None
        self._happening: Happening = self.cut
        self._stalled: asyncio.Event = asyncio.Event()
        self._stalled.set()
        self.is_refusing = False
        self.delay = 0.0
        self.refused = 0
        self.passed = 0

    @property
    def url(self) -> str:
        """Where clients find the database through the proxy."""
        login = self._upstream.netloc.rpartition("@")[0]
        query = f"host={self._folder}&port=5432"
        netloc = f"{login}@" if login else ""
        return parse.urlunsplit(("postgresql", netloc, self._upstream.path, query, ""))

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_unix_server(self._accept, self._folder / SOCKET)
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.flow()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def cut(self) -> None:
        """End every connection, in the middle of whatever it carries."""
        for writer in list(self._writers):
            writer.transport.abort()

    def leave_behind(self) -> None:
        """End every connection for the client alone: the server has not heard of it yet."""
        for client, upstream in list(self._clients.items()):
            self._left_behind.add(upstream)
            client.transport.abort()

    def forget(self, to_server: bool = True, to_client: bool = True) -> None:
        """Swallow what standing connections carry, and say nothing; new ones work.

        That is what a firewall does that lost its table, and a failed-over address.
        """
        for client, upstream in self._clients.items():
            self._swallowed |= {upstream} if to_server else set()
            self._swallowed |= {client} if to_client else set()

    def cut_one(self, index: int) -> None:
        """End one standing connection, if there is any; they are counted from the oldest."""
        for client, upstream in self._one(index):
            client.transport.abort()
            upstream.transport.abort()

    def forget_one(self, index: int) -> None:
        """Swallow what one standing connection carries."""
        for client, upstream in self._one(index):
            self._swallowed |= {client, upstream}

    def half_close(self, index: int) -> None:
        """End one direction of one standing connection: the server hears no more from it."""
        for _, upstream in self._one(index):
            self._swallowed.add(upstream)
            if not upstream.is_closing():
                upstream.write_eof()

    def _one(self, index: int) -> list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]]:
        standing = list(self._clients.items())
        return [standing[index % len(standing)]] if standing else []

    def cut_after(self, pieces: int) -> None:
        """End every connection instead of passing on the piece after so many more."""
        self.after(pieces, self.cut)

    def after(self, pieces: int, happening: Happening) -> None:
        """Have something happen once so many more pieces were passed on, before the next."""
        self._at_piece = self.passed + pieces
        self._happening = happening

    @property
    def is_armed(self) -> bool:
        """Whether what was armed is still to come."""
        return self._at_piece is not None

    def stall(self) -> None:
        """Pass nothing on any more, and say nothing: what a lost network does."""
        self._stalled.clear()

    def flow(self) -> None:
        """Pass everything on again, at once."""
        self._stalled.set()
        self._at_piece = None
        self.delay = 0.0
        self.is_refusing = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_refusing:
            self.refused += 1
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            # The server itself is away: so are we.
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        self._clients[writer] = up_writer
        both = [
            asyncio.ensure_future(self._pump(reader, up_writer, self._count)),
            asyncio.ensure_future(self._pump(up_reader, writer, lambda: None)),
        ]
        self._tasks |= set(both)
        await asyncio.wait(both)
        self._tasks -= set(both)
        del self._clients[writer]
        self._writers -= {writer, up_writer}

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        options = dict(parse.parse_qsl(self._upstream.query))
        host = options.get("host") or self._upstream.hostname or "localhost"
        port = int(options.get("port") or self._upstream.port or 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[], None]
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(PIECE):
                await self._stalled.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                count()
                if writer not in self._swallowed:
                    writer.write(piece)
                    await writer.drain()
        if writer in self._swallowed:
            # Over TCP the server's keepalives, which the lock's session sets, find out by then.
            asyncio.get_running_loop().call_later(KEEPALIVE_SECONDS, writer.transport.abort)
        elif writer not in self._left_behind:
            writer.transport.abort()

    def _count(self) -> None:
        self.passed += 1
        if self._at_piece is not None and self.passed > self._at_piece:
            self._at_piece = None
            self._happening()
