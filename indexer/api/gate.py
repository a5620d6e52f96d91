"""Checks each request before the application sees it: sizes, keys, rates, concurrency."""

from __future__ import annotations

import collections
import hashlib
import hmac
import time
from collections.abc import Iterable

import msgspec
from litestar import types

from indexer.api import problems

MAX_TARGET = 4_096
"""Bytes of path and query."""

MAX_HEADERS = 16_384
"""Bytes of all headers; the connection is cut at this size already (see `protocol`)."""

MAX_BODY = 16_384
MOST_CLIENTS = 10_000
"""How many clients' rates are kept; the one that was idle longest is dropped first."""

BURST_SECONDS = 10
OPEN = ("/health", "/ready", "/metrics")
"""Paths for monitoring: they need no key and have no rate limit."""


class Rules(msgspec.Struct, frozen=True):
    """Who may send requests, and how many.

    `keys`: the keys that are valid. `is_key_required`: whether reading needs one.
    `requests_per_minute` for one client, 0: any number. `most_at_once`: requests in hand.
    """

    keys: tuple[str, ...] = ()
    is_key_required: bool = False
    requests_per_minute: int = 0
    most_at_once: int = 64


class Keys:
    """The keys that are valid, compared in constant time."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def is_valid(self, key: str | None) -> bool:
        """Whether a key is valid; compares with every key, so that the time tells nothing."""
        digest = hashlib.sha256((key or "").encode()).digest()
        return sum(hmac.compare_digest(digest, expected) for expected in self._digests) > 0

    def is_sent(self, scope: types.Scope) -> bool:
        """Whether a request brings a valid key."""
        return self.is_valid(_key(scope))


class Gate:
    """Refuses requests that are too large, too frequent or without a key; passes on the others."""

    def __init__(self, app: types.ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._keys = Keys(rules.keys)
        self._buckets: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()
        self._in_hand = 0

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """An ASGI application; the server speaks HTTP alone."""
        refused = self._refused(scope)
        if refused is not None:
            await _say(refused, send)
            return
        self._in_hand += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_hand -= 1

    def _refused(self, scope: types.Scope) -> problems.Problem | None:
        problem = _too_large(scope)
        if problem is not None or scope["path"] in OPEN:
            return problem
        key = _key(scope)
        is_known = key is not None and self._keys.is_valid(key)
        if (key is not None or self._rules.is_key_required) and not is_known:
            return problems.problem(
                401, "send a key as `Authorization: Bearer KEY`; this one is missing or not valid"
            )
        if not self._has_left(key if key is not None else _client(scope)):
            return problems.problem(
                429, f"more than {self._rules.requests_per_minute} requests a minute"
            )
        if self._in_hand >= self._rules.most_at_once:
            return problems.problem(503, "too many requests are in hand: ask again")
        return None

    def _has_left(self, client: str) -> bool:
        """Take one request out of the client's token bucket, which refills steadily."""
        a_second = self._rules.requests_per_minute / 60
        if not a_second:
            return True
        now, full = time.monotonic(), max(1.0, a_second * BURST_SECONDS)
        seen_at, left = self._buckets.pop(client, (now, full))
        left = min(full, left + (now - seen_at) * a_second)
        self._buckets[client] = (now, max(0.0, left - 1))
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1


def _too_large(scope: types.Scope) -> problems.Problem | None:
    target = len(scope["raw_path"]) + len(scope["query_string"])
    if target > MAX_TARGET:
        return problems.problem(414, f"path and query have {target} bytes; at most {MAX_TARGET}")
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MAX_HEADERS:
        return problems.problem(431, f"the headers have {size} bytes; at most {MAX_HEADERS}")
    length = _header(scope["headers"], b"content-length")
    if length is not None and (not length.isdigit() or int(length[:20]) > MAX_BODY):
        return problems.problem(413, f"a body has at most {MAX_BODY} bytes")
    return None


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    return next((value for header, value in headers if header == name), None)


def _key(scope: types.Scope) -> str | None:
    """The key that was sent; None without one."""
    sent = _header(scope["headers"], b"authorization")
    if sent is None:
        return None
    scheme, _, key = sent.decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _client(scope: types.Scope) -> str:
    client = scope["client"]
    return client[0] if client else ""


async def _say(problem: problems.Problem, send: types.Send) -> None:
    body = problem.body
    headers = {
        "content-type": problems.MEDIA_TYPE,
        "content-length": str(len(body)),
        "connection": "close",
        **problem.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
