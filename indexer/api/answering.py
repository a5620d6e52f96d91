"""From a request to an answer: one snapshot, one moment, the envelope, the ETag."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import importlib.metadata
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
import litestar
import msgspec

from indexer import errors
from indexer.api import cursors, queries, routes
from indexer.query import database_state, kinds, point_in_time

ACQUIRE_SECONDS = 5.0
"""How long a request waits for a connection before it is told to come back."""

WAIT_SECONDS = 10.0
"""How long `min_block` waits."""

LONGEST_WAIT_BLOCKS = 10_000
"""How many blocks ahead `min_block` may be; a block beyond that does not come in time."""

MOST_WAITING = 32
VERSION = importlib.metadata.version("vesu-indexer")


class Meta(msgspec.Struct, frozen=True):
    """What an answer is true for.

    `valued_at` is what interest is accrued to: the block's time, or the time asked for. `fork`
    counts the rollbacks that the database went through; null where the question names its moment,
    whose chain `block_hash` tells on any machine. `prices_as_of` is the time of the oldest
    price that the answer rests on (gains: at their end); null: on none, or on those of many times,
    as a history, whose points say it themselves. `is_price_stale`: it is older at `valued_at` than
    the `max_price_age` of the question; null: none was given, or no price is there. `age_seconds`
    is how old the block is: now, or at the moment that was asked for. `is_suspect`: it is not
    decided whether the chain still holds the committed block.
    """

    block_number: kinds.Block
    block_hash: kinds.Felt
    block_time: datetime.datetime
    valued_at: datetime.datetime
    fork: kinds.Block | None
    finality: database_state.Finality
    prices_as_of: datetime.datetime | None
    is_price_stale: bool | None
    age_seconds: kinds.Block
    is_suspect: bool


class Envelope(msgspec.Struct, frozen=True):
    """Every answer."""

    data: Any
    meta: Meta
    next: str | None


class Head:
    """Waits for blocks to be committed; all who wait share one look at the database."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting = 0
        self._looking = asyncio.Lock()
        self._seen: tuple[float, int] = (0.0, -1)

    async def wait(self, block: int) -> None:
        """Wait until the block is committed; NotCommittedError if it is not in time."""
        deadline = time.monotonic() + WAIT_SECONDS
        if self._waiting >= MOST_WAITING:
            raise errors.BusyError("too many requests wait for blocks already")
        self._waiting += 1
        try:
            while (committed := await self._committed()) < block:
                is_far = block - committed > LONGEST_WAIT_BLOCKS
                if is_far or time.monotonic() > deadline:
                    raise errors.NotCommittedError(
                        f"min_block: block {block} is not committed yet, block {committed} is",
                        parameter="min_block",
                    )
                await asyncio.sleep(0.1)
        finally:
            self._waiting -= 1

    async def _committed(self) -> int:
        async with self._looking:
            seen_at, number = self._seen
            if time.monotonic() - seen_at > 0.1:
                async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                    number = await database_state.committed_block(connection) or 0
                self._seen = (time.monotonic(), number)
        return number


class Service:
    """Answers routes from a pool of read-only connections."""

    def __init__(
        self, pool: asyncpg.Pool, shared: routes.Shared, signer: cursors.Signer, cache: str
    ) -> None:
        self._pool = pool
        self._shared = shared
        self._signer = signer
        self._head = Head(pool)
        self._cache = cache

    async def answer(
        self,
        request: litestar.Request[Any, Any, Any],
        route: routes.Route,
        parts: Mapping[str, str],
    ) -> litestar.Response[bytes]:
        """The answer to a request for a route; raises whatever goes wrong (see `problems`).

        `parts`: the texts of the path's parameters.
        """
        query_values = queries.split(request.scope["query_string"].decode("latin-1"))
        queries.check_known(query_values, route.known)
        path = {parameter.name: parameter.parse(parts[parameter.name]) for parameter in route.parts}
        # A wrong parameter is refused before anything is waited for or read.
        required = [parameter.name for parameter in route.parameters if parameter.is_required]
        for name in required:
            if name not in query_values:
                raise errors.QuestionError(f"{name} is missing", parameter=name)
        if route.is_list:
            queries.page_query(query_values, route.filters, route.orders, None)
        for parameter in route.parameters:
            if parameter.name in query_values:
                parameter.parse(query_values[parameter.name])
        moment_query = (
            queries.moment_query(query_values)
            if route.is_of_moment
            else database_state.MomentQuery()
        )
        routes.max_price_age(route, query_values)
        moment_query.check()
        if route.is_of_moment and "min_block" in query_values:
            await self._head.wait(kinds.block(query_values["min_block"], "min_block"))
        async with (
            self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await self._answer(request, route, connection, path, query_values, moment_query)

    async def _answer(
        self,
        request: litestar.Request[Any, Any, Any],
        route: routes.Route,
        connection: routes.Connection,
        path: Mapping[str, Any],
        query_values: dict[str, str],
        moment_query: database_state.MomentQuery,
    ) -> litestar.Response[bytes]:
        address = request.scope["path"]
        question = cursors.question(address, query_values)
        standing = await database_state.read(connection)
        moment, after, sampling = await self._moment(
            connection, standing, moment_query, query_values, question
        )
        standing = msgspec.structs.replace(standing, sampling=sampling)
        tag = _tag(address, query_values, standing, moment) if route.has_tag else None
        headers = {
            "x-vesu-block": str(moment.block_number),
            "x-vesu-age": str(max(0, int(standing.age_seconds))),
            "cache-control": self._cache,
        }
        if tag is not None:
            headers["etag"] = tag
        if tag in _known_tags(request):
            return litestar.Response(b"", status_code=304, headers=headers, media_type=None)
        answer = await route.handler(
            routes.Question(
                *(route, connection, self._shared, standing, moment, path, query_values, after),
                is_at_head=not moment_query.is_pinned and "cursor" not in query_values,
            )
        )
        envelope = Envelope(
            answer.data,
            _meta(
                standing,
                moment,
                moment_query,
                answer.priced_at,
                routes.max_price_age(route, query_values),
            ),
            None if answer.next is None else self._next(question, standing, moment, answer.next),
        )
        return litestar.Response(
            msgspec.json.encode(envelope), headers=headers, media_type="application/json"
        )

    async def _moment(
        self,
        connection: routes.Connection,
        standing: database_state.DatabaseState,
        moment_query: database_state.MomentQuery,
        query_values: Mapping[str, str],
        question: str,
    ) -> tuple[point_in_time.Moment, tuple[str, ...] | None, int]:
        """The moment, where to continue, and the newest samples known; a cursor holds all three."""
        if "cursor" not in query_values:
            return (
                await database_state.moment(connection, standing, moment_query),
                None,
                standing.sampling,
            )
        cursor = self._signer.read(query_values["cursor"], question)
        await database_state.check_unchanged(
            connection, standing, cursor.block_number, cursor.block_hash, cursor.fork_counter
        )
        moment = await point_in_time.moment(connection, cursor.block_number)
        if cursor.valued_at is not None:
            moment = msgspec.structs.replace(moment, valued_at=cursor.valued_at)
        return moment, cursor.after, cursor.sampling

    def _next(
        self,
        question: str,
        standing: database_state.DatabaseState,
        moment: point_in_time.Moment,
        after: tuple[str, ...],
    ) -> str:
        is_block_time = moment.valued_at == moment.block_time
        return self._signer.write(
            cursors.Cursor(
                question,
                moment.block_number,
                moment.block_hash,
                standing.fork_counter,
                standing.sampling,
                None if is_block_time else moment.valued_at,
                after,
            )
        )


def _meta(
    standing: database_state.DatabaseState,
    moment: point_in_time.Moment,
    moment_query: database_state.MomentQuery,
    priced_at: datetime.datetime | None,
    max_price_age: int | None,
) -> Meta:
    if moment_query.is_pinned:
        age = (moment.valued_at - moment.block_time).total_seconds()
    else:
        age = standing.age_seconds + (standing.block_timestamp - moment.block_time).total_seconds()
    return Meta(
        moment.block_number,
        moment.block_hash,
        moment.block_time,
        moment.valued_at,
        None if moment_query.is_pinned else standing.fork_counter,
        standing.finality(moment.block_number),
        priced_at,
        point_in_time.is_stale(moment, priced_at, max_price_age),
        max(0, int(age)),
        standing.is_suspect,
    )


def _tag(
    address: str,
    query_values: Mapping[str, str],
    standing: database_state.DatabaseState,
    moment: point_in_time.Moment,
) -> str:
    """The answer's ETag: a hash of everything it depends on except the clock (`age_seconds`)."""
    parts = (
        *(VERSION, address, sorted(query_values.items()), moment.block_hash, moment.valued_at),
        *(standing.fork_counter, standing.generation, standing.finality(moment.block_number)),
        *(standing.sampling, standing.is_suspect),
    )
    return f'W/"{hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]}"'


def _known_tags(request: litestar.Request[Any, Any, Any]) -> set[str]:
    """The tags that the client already holds, each in its weak form."""
    tags = (tag.strip() for tag in request.headers.get("if-none-match", "").split(","))
    return {tag if tag.startswith("W/") else f"W/{tag}" for tag in tags if tag}
