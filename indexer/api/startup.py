"""Answers probes while the process that serves the API is not up: a thread accepts in its place.

That process needs seconds to start on a busy machine, and so may migrating, probing and opening.
Whoever watches over the indexer is answered at once meanwhile, on the same socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import msgspec
import structlog

from indexer import metrics
from indexer.api import problems, sockets
from indexer.query import health

log = structlog.get_logger(__name__)

STARTING = "the indexer is starting"
REQUEST_SECONDS = 5.0
"""How long a request may take to arrive, and its answer to be taken."""

MAX_HEAD = 16_384
MOST_CONNECTIONS = 200
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Responder:
    """Answers on a listening socket while there is a reason why nobody else does."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self._reason: str | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="probes", daemon=True)
        self._answering: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Responder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def answer(self, reason: str | None) -> None:
        """Answer with this reason from now on; None: stop, another process serves the socket."""
        self._loop.call_soon_threadsafe(self._answer, reason)

    def _answer(self, reason: str | None) -> None:
        self._reason = reason
        if reason is None:
            self._loop.remove_reader(self.listening)
        else:
            self._loop.add_reader(self.listening, self._accept)

    async def _finish(self) -> None:
        self._answer(None)
        if self._answering:
            await asyncio.wait(self._answering, timeout=REQUEST_SECONDS)

    def _accept(self) -> None:
        try:
            connection, _ = self.listening.accept()
        except OSError as error:
            # Another process took it, or the client has gone.
            log.debug("probe_not_accepted", reason=str(error))
            return
        connection.setblocking(False)  # noqa: FBT003 - its only argument
        if len(self._answering) >= MOST_CONNECTIONS:
            connection.close()
            return
        task = self._loop.create_task(self._serve(connection, self._reason or STARTING))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _serve(self, connection: socket.socket, reason: str) -> None:
        """Answer one request and close."""
        with contextlib.closing(connection):
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    head = await self._head(connection)
                    await self._loop.sock_sendall(connection, response(head, reason))
            except (OSError, TimeoutError) as error:
                log.debug("probe_not_answered", reason=str(error) or type(error).__name__)

    async def _head(self, connection: socket.socket) -> bytes:
        """A request up to the end of its headers, or as much of it as is allowed."""
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
            piece = await self._loop.sock_recv(connection, MAX_HEAD)
            if not piece:
                break
            head += piece
        return head


def response(head: bytes, reason: str) -> bytes:
    """The complete answer to a request, as the API answers before any block is committed."""
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    status, headers = "503 Service Unavailable", {"content-type": "application/json"}
    if path == b"/health":
        reasons = [health.reason("starting", reason)]
        body = _json(status="stale", reason=reason, reasons=reasons, committed_block=None)
    elif path == b"/ready":
        body = _json(ready=False, reason=reason)
    elif path == b"/metrics":
        status, headers, body = "200 OK", {"content-type": METRICS_TYPE}, metrics.exposition()
    else:
        problem = problems.problem(503, f"{reason}: ask again")
        headers, body = {"content-type": problems.MEDIA_TYPE, **problem.headers}, problem.body
    headers |= {"content-length": str(len(body)), "connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"HTTP/1.1 {status}\r\n{lines}\r\n".encode()
    return start if method == b"HEAD" else start + body


def _json(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


@contextlib.contextmanager
def answering(host: str, port: int) -> Iterator[Responder]:
    """Listen and answer while inside; PortInUseError where host and port are not free."""
    with (
        contextlib.closing(sockets.bind_patiently(host, port)) as listening,
        Responder(listening) as responder,
    ):
        responder.answer(STARTING)
        yield responder
