"""A gateway in front of a node that limits what it passes on, and refuses in words of its own.

Its limits may change at any moment. How it refuses (status, code, wording, broken answers) is
drawn by a seeded dice, so a run can be repeated; nothing in it is the indexer's.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

SPECIFIED = {10, 20, 21, 24, 27, 28, 29, 31, 32, 33, 34, 40, 41}
"""Codes to which Starknet's specification gives a meaning; a gateway invents others."""

SIZE_WORDS = (
    "block range too large",
    "exceed maximum block range: {n}",
    "query returned more than {n} results",
    "eth_getLogs is limited to a {n} range",
    "requested too many blocks from {n} to head, maximum is set to {n}",
    "response size should not be greater than {n}MB, please narrow your filter",
    "the requested window is not available on your plan",
    "Log response size exceeded. Try with a smaller range.",
    "query timeout exceeded",
    "limit exceeded",
    "Invalid params",
    "",
)
BATCH_WORDS = (
    "batch too large, limit {n}",
    "Batch size exceeds the maximum of {n}",
    "batch requests are not supported",
    "Batch request denied",
    "not supported",
    "too many calls in one request",
    "Invalid Request",
    "",
)
LIST_WORDS = (
    "Invalid params: address must be a string",
    "data did not match any variant of untagged enum Address",
    "too many addresses, maximum {n}",
    "invalid type: sequence, expected a felt",
    "filter not supported",
    "",
)
PAGE_WORDS = ("chunk_size must be at most {n}", "page size not allowed", "limit: {n}", "")
RATE_WORDS = (
    "too many requests",
    "{n}/second request limit reached - reduce calls per second or upgrade",
    "Your app has exceeded its compute units per second capacity",
    "rate limited, retry in {n}ms",
    "temporarily unavailable",
    "server overloaded",
)
PASSING_WORDS = (
    *RATE_WORDS,
    "upstream request timed out",
    "backend {n} went away",
    "no available nodes",
    "internal failure #{n}",
    "something happened",
    "",
)


class Limits(msgspec.Struct):
    """What the gateway passes on; None: anything. `rate`: requests a tenth of a second."""

    blocks: int | None = None
    calls: int | None = None
    addresses: int | None = None
    events: int | None = None
    rate: int | None = None


class Refusal(msgspec.Struct, frozen=True):
    """One way to refuse: an HTTP answer, or a connection that is cut."""

    status: int
    body: str
    is_error_object: bool
    is_cut: bool = False


def code(dice: random.Random) -> int:
    """An error code without a meaning in Starknet's specification, and not an unknown method."""
    while True:
        found = dice.choice(
            [dice.randint(-32099, -32000), dice.randint(0, 99), dice.randint(400, 599), -32602]
        )
        if found not in SPECIFIED and found not in (429, 503, -32601):
            return found


def wording(dice: random.Random, words: tuple[str, ...]) -> str:
    """One of the words with a number in it, or letters that mean nothing, in any case."""
    if dice.random() < 0.2:
        return "".join(dice.choice("abcdehijknoqsvwxyz ") for _ in range(dice.randint(1, 40)))
    text = dice.choice(words).replace("{n}", str(dice.choice([2, 5, 10, 100, 500, 1000, 10_000])))
    return dice.choice([text, text.upper(), text.capitalize()])


STATUSES = (400, 403, 413, 422, 500, 502, 504)
DOWN = (400, 422, 500, 502, 503, 504)
"""Statuses of a node that is not up yet, or of the gateway before it."""


def refusal(
    dice: random.Random, words: tuple[str, ...], statuses: tuple[int, ...] = STATUSES
) -> Refusal:
    """A way to refuse, drawn: an error object, a status with or without it, or nothing at all."""
    error = json.dumps({"code": code(dice), "message": wording(dice, words)})
    kind = dice.choice(["object"] * 3 + ["status", "status with object", "cut", "empty", "html"])
    status = dice.choice(statuses)
    if kind == "object":
        return Refusal(200, error, is_error_object=True)
    if kind == "status with object":
        return Refusal(status, error, is_error_object=True)
    if kind == "status":
        return Refusal(status, wording(dice, words), is_error_object=False)
    if kind == "cut":
        return Refusal(200, "", is_error_object=False, is_cut=True)
    return Refusal(200, "" if kind == "empty" else "<html>no</html>", is_error_object=False)


class Gateway:
    """Passes requests on to `upstream` within `limits`; each kind of refusal is drawn once.

    `asked`: every message; `passed`: those that were passed on.
    `passing`: how many more requests are refused for no reason, each in other words and by one of
    these `statuses`.
    """

    def __init__(self, upstream: str, seed: int) -> None:
        self.limits = Limits()
        self.passing = 0
        self.statuses = STATUSES
        self.asked: list[Any] = []
        self.passed: list[Any] = []
        self.refused: dict[str, int] = dict.fromkeys(("blocks", "calls", "addresses", "events"), 0)
        self.refused |= {"rate": 0, "passing": 0}
        self.url = ""
        self._upstream = upstream
        self._dice = random.Random(seed)
        self._session: aiohttp.ClientSession
        self._window = (0.0, 0)
        self.redraw()

    def redraw(self, seed: int | None = None) -> None:
        """Draw anew how each limit is refused."""
        if seed is not None:
            self._dice = random.Random(seed)
        self.ways = {
            "blocks": refusal(self._dice, SIZE_WORDS),
            "calls": refusal(self._dice, BATCH_WORDS),
            "addresses": refusal(self._dice, LIST_WORDS),
            "events": refusal(self._dice, PAGE_WORDS),
            "rate": self._rate_refusal(),
        }

    def _rate_refusal(self) -> Refusal:
        if self._dice.random() < 0.3:
            return Refusal(429, "slow down", is_error_object=False)
        error = {"code": code(self._dice), "message": self._words(RATE_WORDS)}
        return Refusal(200, json.dumps(error), is_error_object=True)

    def _words(self, words: tuple[str, ...]) -> str:
        return self._dice.choice(words).replace("{n}", str(self._dice.randint(1, 100)))

    # --- deciding -------------------------------------------------------------------------

    def _verdict(self, message: Any) -> Refusal | None:
        calls = message if isinstance(message, list) else [message]
        broken = self._broken(calls, isinstance(message, list))
        if broken is not None:
            self.refused[broken] += 1
            return self.ways[broken]
        if self.passing:
            self.passing -= 1
            self.refused["passing"] += 1
            return refusal(self._dice, PASSING_WORDS, self.statuses)
        return None

    def _broken(self, calls: list[Any], is_batch: bool) -> str | None:
        """The name of a limit that a request exceeds."""
        limits = self.limits
        if limits.rate is not None and self._is_too_fast(limits.rate):
            return "rate"
        if limits.calls is not None and is_batch and len(calls) > limits.calls:
            return "calls"
        for filter_ in (one["params"]["filter"] for one in calls if _is_events(one)):
            if broken := self._broken_by(filter_):
                return broken
        return None

    def _broken_by(self, filter_: dict[str, Any]) -> str | None:
        limits, address = self.limits, filter_["address"]
        # A limit of one means that no list at all is taken.
        longest = 0 if limits.addresses == 1 else limits.addresses
        if longest is not None and isinstance(address, list) and len(address) > longest:
            return "addresses"
        blocks = filter_["to_block"]["block_number"] - filter_["from_block"]["block_number"] + 1
        if limits.blocks is not None and blocks > limits.blocks:
            return "blocks"
        if limits.events is not None and filter_["chunk_size"] > limits.events:
            return "events"
        return None

    def _is_too_fast(self, rate: int) -> bool:
        began, count = self._window
        if time.monotonic() - began > 0.1:
            began, count = time.monotonic(), 0
        self._window = (began, count + 1)
        return count >= rate

    # --- HTTP -----------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        message = json.loads(body)
        self.asked.append(message)
        refused = self._verdict(message)
        if refused is not None:
            return _answer(request, message, refused)
        self.passed.append(message)
        try:
            async with self._session.post(self._upstream, data=body) as answer:
                return web.Response(
                    status=answer.status, body=await answer.read(), content_type="application/json"
                )
        except aiohttp.ClientError:
            return web.Response(status=502, text="the node cut the connection")

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Gateway]:
        """Listening on a free port of the loopback interface while inside."""
        app = web.Application(client_max_size=10 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._handle)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        headers = {"Content-Type": "application/json"}
        try:
            async with aiohttp.ClientSession(headers=headers) as self._session:
                yield self
        finally:
            await runner.cleanup()


def _is_events(call: Any) -> bool:
    return isinstance(call, dict) and call.get("method") == "starknet_getEvents"


def _answer(request: web.Request, message: Any, refused: Refusal) -> web.StreamResponse:
    if refused.is_cut:
        assert request.transport is not None
        request.transport.close()
    if not refused.is_error_object:
        return web.Response(status=refused.status, text=refused.body)
    id_ = None if isinstance(message, list) else message.get("id")
    text = json.dumps({"jsonrpc": "2.0", "id": id_, "error": json.loads(refused.body)})
    return web.Response(status=refused.status, text=text, content_type="application/json")
