"""Servers of the bundled recording and plain JSON-RPC clients, for the tests of the recording."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from indexer.recording import chain, options, playhead, server
from tests.acceptance.truth import devnet_a

RECORDING = devnet_a().chain
MAIN = RECORDING.main.blocks
PRIME_POOL = RECORDING.manifest["pools"]["prime"]["address"]


class Client:
    """A JSON-RPC client that shows everything that came back."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def post(self, message: Any, path: str = "/") -> Any:
        async with self.session.post(self.url + path, json=message) as response:
            assert response.status == 200
            return await response.json()

    async def ask(self, method: str, params: Any = None, path: str = "/") -> Any:
        """The answer object: with `result` or `error`."""
        request = {"jsonrpc": "2.0", "id": 7, "method": f"starknet_{method}"}
        if params is not None:
            request["params"] = params
        answer = await self.post(request, path)
        assert answer["jsonrpc"] == "2.0"
        assert answer["id"] == 7
        return answer

    async def result(self, method: str, params: Any = None, path: str = "/") -> Any:
        answer = await self.ask(method, params, path)
        assert "error" not in answer, answer
        return answer["result"]

    async def code(self, method: str, params: Any = None, path: str = "/") -> int:
        answer = await self.ask(method, params, path)
        assert "result" not in answer
        return int(answer["error"]["code"])


class Stage:
    """Starts servers and clients for a test and ends them after it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.running: list[server.RecordingServer] = []

    async def __call__(self, head: playhead.Playhead | None = None, **settings: Any) -> Client:
        running = server.RecordingServer(RECORDING, head, options.ServerOptions(**settings))
        await running.start()
        self.running.append(running)
        return Client(self.session, running.url)


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Stage]:
    """A stage whose servers and session end with the context."""
    async with aiohttp.ClientSession() as session:
        made = Stage(session)
        yield made
        for running in made.running:
            await running.stop()


def number(value: int) -> dict[str, int]:
    return {"block_number": value}


def recorded(block: chain.Block) -> Any:
    return json.loads(bytes(block.answer))
