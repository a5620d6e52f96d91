"""Nodes for the tests of the chain room: the recording's server, and one that lies at will."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from indexer import errors
from indexer.chain import client, probe, ranges, rpc, source, types
from indexer.recording import options, playhead, server
from tests.acceptance.truth import devnet_a

RECORDING = devnet_a().chain
MAIN = RECORDING.main.blocks
CHAIN_ID = int(RECORDING.chain_id, 16)
LAST = RECORDING.main.last
EMITTERS = sorted({int(e.from_address, 16) for b in MAIN.values() for e in b.events})
KEY = "sEcReT0123456789"

SETTINGS = rpc.NodeSettings(
    request_timeout_seconds=5, max_requests_per_second=10_000, attempts=3, first_pause=0.001
)
READING = ranges.ReaderSettings(pause_seconds=0.001)

Reply = Callable[[Any], Any]


def truth(
    from_block: int, to_block: int, addresses: Sequence[int] | frozenset[int]
) -> list[types.EmittedEvent]:
    """What the recorded main chain holds, told by the recording itself."""
    wanted = {hex(address) for address in addresses}
    return [
        event
        for number in range(from_block, to_block + 1)
        if number in MAIN
        for event in MAIN[number].events
        if event.from_address in wanted
    ]


@contextlib.asynccontextmanager
async def recorded(
    *, path: str = "/", head: playhead.Playhead | None = None, **settings: Any
) -> AsyncIterator[str]:
    """The URL of a served recording; with `settings` for its ServerOptions."""
    made = options.ServerOptions(**settings)
    async with server.RecordingServer(RECORDING, head, made) as running:
        yield running.url + path


class Lying:
    """An HTTP server whose every answer is the test's; counts what it was asked.

    `reply` gets the decoded request and gives a web.Response, bytes, or the result to wrap.
    """

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[Any] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        message = json.loads(await request.read())
        self.asked.append(message)
        answer = self.reply(message)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, web.StreamResponse):
            return answer
        if not isinstance(answer, bytes):
            answer = ok(message, answer)
        return web.Response(body=answer, content_type="application/json")


def ok(message: Any, result: Any) -> bytes:
    """The right envelope round a result, for a single call."""
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()


def refused(message: Any, code: int, text: str = "no", data: Any = None) -> bytes:
    """A JSON-RPC error, for a single call or for a batch as a whole."""
    id_ = None if isinstance(message, list) else message["id"]
    told = {"code": code, "message": text, "data": data}
    return json.dumps({"jsonrpc": "2.0", "id": id_, "error": told}).encode()


@contextlib.asynccontextmanager
async def lying(reply: Reply) -> AsyncIterator[Lying]:
    """A server that answers as `reply` says; its URL holds a key."""
    liar = Lying(reply)
    app = web.Application()
    app.router.add_post("/{path:.*}", liar.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    liar.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v2/{KEY}/rpc?token={KEY}"
    try:
        yield liar
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def endpoint(
    reply: Reply, settings: rpc.NodeSettings = SETTINGS
) -> AsyncIterator[tuple[rpc.Endpoint, Lying]]:
    """An endpoint that talks to a lying server."""
    async with lying(reply) as liar:
        made = rpc.Endpoint(liar.url, settings)
        try:
            yield made, liar
        finally:
            await made.close()


@contextlib.asynccontextmanager
async def connected(
    *urls: str, settings: rpc.NodeSettings = SETTINGS
) -> AsyncIterator[client.StarknetNode]:
    """A probed node behind these URLs."""
    node = await client.connect(urls, CHAIN_ID, settings)
    try:
        yield node
    finally:
        await node.close()


@contextlib.asynccontextmanager
async def node(**settings: Any) -> AsyncIterator[client.StarknetNode]:
    """A probed node that is a served recording."""
    async with recorded(**settings) as url, connected(url) as made:
        yield made


def unprobed(made: rpc.Endpoint) -> source.Source:
    """A source over an endpoint, as if it had been probed and spoke RPC 0.10."""
    return source.Source(
        made, probe.NodeProfile(made.name, "0.10.2", hex(CHAIN_ID), True, True, True)
    )


async def failure(question: Awaitable[Any]) -> errors.IndexerError:
    """The error that a question ends with; it must not show the key, nor must its causes."""
    try:
        await question
    except errors.IndexerError as error:
        shown: BaseException | None = error
        while shown is not None:
            assert KEY not in f"{shown} {shown!r}"
            shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
        return error
    raise AssertionError("it did not fail")


def http(status: int, body: str = "<html>no</html>", **headers: str) -> web.Response:
    """An HTTP answer that is no JSON-RPC."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(status=status, text=body, headers=named, content_type="text/html")
