"""Options of the recording server, and the faults that it can inject."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of one request. In a batch, the first fault of the transport wins.

    `delay`: seconds to wait first. `status`, `headers`, `body`: an HTTP answer in place of the
    real one. `close_after`: cut the connection after so many bytes of the body (0: before any
    answer). `drop`: leave this request out of a batch's answer. `edit`: makes the result that
    is sent from the decoded real one; it may raise errors.RpcError to send that error. `result`:
    makes the result where nothing is recorded, and may raise the same.
    """

    delay: float = 0.0
    status: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    close_after: int | None = None
    drop: bool = False
    edit: Callable[[Any], Any] | None = None
    result: Callable[[], Any] | None = None


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Options of the recording server. Port 0 takes any free port.

    `latency`: seconds that every HTTP request takes. `scan_limit`: blocks that one getEvents
    call looks at before it hands out a token (None: all). `chunk_limit`: largest chunk_size.
    `reverse_batches`: answer a batch backwards. `keep_abandoned`: blocks that the head has left
    stay known by hash. `gzip`: compress for clients that accept it. `fault` is asked for each
    JSON-RPC request with its method and params as sent; it may also move the playhead.
    """

    host: str = "127.0.0.1"
    port: int = 0
    latency: float = 0.0
    scan_limit: int | None = None
    chunk_limit: int = 1024
    reverse_batches: bool = False
    keep_abandoned: bool = False
    gzip: bool = True
    fault: Callable[[str, Any], Fault | None] | None = None
