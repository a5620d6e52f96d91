"""A Starknet node over real HTTP whose chain is a recording."""

from __future__ import annotations

import asyncio
import collections
import errno
import functools
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import hdrs, web

from indexer import errors
from indexer.recording import chain, node, profiles
from indexer.recording import options as options_module
from indexer.recording import playhead as playhead_module

Fault = options_module.Fault
Playhead = playhead_module.Playhead
ServerOptions = options_module.ServerOptions

_MAX_BODY = 10 * 1024 * 1024  # what pathfinder and juno take
_WORTH_COMPRESSING = 1024


class RecordingServer:
    """Serves what the playhead shows of a recording, from entering to leaving the context.

    Without a playhead the whole main chain is visible.
    """

    def __init__(
        self,
        recording: chain.Recording,
        playhead: Playhead | None = None,
        options: ServerOptions | None = None,
    ) -> None:
        self.recording = recording
        self.playhead = playhead or Playhead.everything(recording)
        self.options = options or ServerOptions()
        self._node = node.Node(recording, self.playhead, self.options)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> RecordingServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The server's URL; its root path speaks the recording's own RPC version."""
        if self._runner is None:
            raise errors.RecordingError("The recording's server is not running.")
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def counts(self) -> collections.Counter[str]:
        """How often each method was asked."""
        return self._node.counts

    async def start(self) -> None:
        """Listen; PortInUseError when the port is taken."""
        app = web.Application(client_max_size=_MAX_BODY)
        for path, profile in profiles.by_path(self.recording.spec_version).items():
            app.router.add_post(path, functools.partial(self._post, profile))
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self.options.host, self.options.port).start()
        except OSError as error:
            await runner.cleanup()
            raise self._cannot_listen(error) from error
        self._runner = runner

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _cannot_listen(self, error: OSError) -> errors.SurroundingsError:
        address = f"port {self.options.port} on {self.options.host}"
        if error.errno == errno.EADDRINUSE:
            return errors.PortInUseError(
                f"Another process listens on {address}; choose another port or stop that process."
            )
        return errors.SurroundingsError(f"Cannot listen on {address}: {error.strerror}.")

    async def _post(self, profile: profiles.Profile, request: web.Request) -> web.StreamResponse:
        try:
            message = msgspec.json.decode(await request.read())
        except (msgspec.DecodeError, UnicodeDecodeError):  # the latter inside a JSON string
            refusal = node.refusal(None, errors.RpcError("Parse error", -32700))
            return self._respond(request, refusal)
        items = message if isinstance(message, list) else [message]
        faults = [self._node.fault(item) for item in items]
        await asyncio.sleep(self.options.latency + max((f.delay for f in faults), default=0))
        broken = next((f for f in faults if f.status or f.close_after is not None), None)
        if broken is not None and broken.status:
            return await _break(request, broken, broken.body)
        body = self._body(profile, message, faults)
        if broken is not None:
            return await _break(request, broken, body)
        return self._respond(request, body)

    def _body(self, profile: profiles.Profile, message: Any, faults: list[Fault]) -> bytes:
        """The JSON text that answers a request or a batch of them."""
        if not isinstance(message, list):
            return self._node.answer(profile, message, faults[0])
        if not message:
            return node.refusal(None, errors.RpcError("Invalid Request", -32600))
        answers = [
            self._node.answer(profile, item, fault)
            for item, fault in zip(message, faults, strict=True)
            if not fault.drop
        ]
        if self.options.reverse_batches:
            answers.reverse()
        return b"[" + b",".join(answers) + b"]"

    def _respond(self, request: web.Request, body: bytes) -> web.Response:
        response = web.Response(body=body, content_type="application/json")
        accepted = request.headers.get(hdrs.ACCEPT_ENCODING, "")
        if self.options.gzip and len(body) > _WORTH_COMPRESSING and "gzip" in accepted:
            response.enable_compression(web.ContentCoding.gzip)
        return response


async def _break(request: web.Request, fault: Fault, body: bytes) -> web.StreamResponse:
    """Answer as the fault says: another status, headers and body, or a cut connection."""
    headers = {hdrs.CONTENT_TYPE: "application/json", **fault.headers}
    response = web.StreamResponse(status=fault.status or 200, headers=headers)
    response.content_length = len(body)
    if fault.close_after == 0:
        _cut(request)
        return response
    await response.prepare(request)
    await response.write(body[: fault.close_after])
    if fault.close_after is not None:
        _cut(request)
    return response


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
