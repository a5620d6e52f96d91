"""Limits on connections of clients: bounded headers, no slow requests, no unread answers.

uvicorn's protocol keeps every header it is sent and waits for ever for a slow one. This one cuts
a connection whose request does not arrive in time or in bounds, or which leaves its answer lying.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http import httptools_impl

from indexer.api import gate, problems

MAX_HEAD = gate.MAX_TARGET + gate.MAX_HEADERS
"""Bytes of a request line and its headers together."""

REQUEST_SECONDS = 10.0
"""How long a request may take to arrive, from its first byte or the connection's start."""

MOST_CONNECTIONS = 1_000

STALL_SECONDS = 30.0
"""How long an answer may lie unread before the connection is cut."""


class Protocol(httptools_impl.HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._is_in_head = True
        self._request_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection begins; its first request must arrive within a time limit."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(
                problems.problem(503, f"more than {MOST_CONNECTIONS} connections are open")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection is over."""
        self._stop(self._request_timer)
        self._stop(self._stall_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests; headers that do not end are answered and cut off."""
        if self._request_timer is None:
            self._await_request()
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # What came after the headers in the same piece is forgiven: a piece is 64 kB at most.
        if self._is_in_head and self._head_bytes > MAX_HEAD and not self.transport.is_closing():
            self._refuse(problems.problem(431, f"a request's head has at most {MAX_HEAD} bytes"))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are there."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there; what comes now is another one's head."""
        self._is_in_head, self._head_bytes = True, 0
        self._stop(self._request_timer)
        self._request_timer = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in the API's own form."""
        self._refuse(problems.problem(400, msg))

    def pause_writing(self) -> None:
        """The client reads more slowly than the server writes."""
        super().pause_writing()
        self._stop(self._stall_timer)
        self._stall_timer = self.loop.call_later(STALL_SECONDS, self._cut)

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        self._stop(self._stall_timer)
        self._stall_timer = None

    def _await_request(self) -> None:
        self._request_timer = self.loop.call_later(REQUEST_SECONDS, self._cut)

    def _cut(self) -> None:
        self.transport.abort()

    def _refuse(self, problem: problems.Problem) -> None:
        body = problem.body
        head = (
            f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: {problems.MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
