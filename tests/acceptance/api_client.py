"""A client of the API, and the API over a database, as the tests ask it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib import parse

import aiohttp

from indexer import config
from indexer.api import application, server
from indexer.app import databases


class Said(NamedTuple):
    """An answer: status, headers, the document, and its bytes."""

    status: int
    headers: dict[str, str]
    body: Any
    raw: bytes


class Client:
    """Asks one server."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    @property
    def base(self) -> str:
        """The server's address."""
        return str(self.session._base_url).rstrip("/")

    async def ask(
        self, path: str, *, headers: dict[str, str] | None = None, **query: object
    ) -> Said:
        said = {name: str(value) for name, value in query.items()}
        target = f"{path}?{parse.urlencode(said)}" if said else path
        async with self.session.get(target, headers=headers) as answer:
            raw = await answer.read()
            told = {name.lower(): value for name, value in answer.headers.items()}
            return Said(answer.status, told, json.loads(raw) if raw else None, raw)

    async def get(self, path: str, **query: object) -> Any:
        """The document of an answer that must be 200."""
        said = await self.ask(path, **query)
        assert said.status == 200, f"{path} {query}: {said.status} {said.body}"
        return said.body

    async def data(self, path: str, **query: object) -> Any:
        return (await self.get(path, **query))["data"]

    async def walk(self, path: str, **query: object) -> list[Any]:
        """All rows of a list, page by page."""
        rows: list[Any] = []
        cursor: dict[str, object] = {}
        while True:
            found = await self.get(path, **query, **cursor)
            rows += found["data"]
            if found["next"] is None:
                return rows
            cursor = {"cursor": found["next"]}


@contextlib.asynccontextmanager
async def serving(url: str, **options: Any) -> AsyncIterator[Client]:
    """A client of the API over a database."""
    async with (
        databases.pool(config.load(None, {}, {}), url) as pool,
        server.serving(pool, "127.0.0.1", 0, application.Options(**options)) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield Client(session)
