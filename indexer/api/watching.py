"""Begins watches, the only thing that the API writes; a key is required."""

from __future__ import annotations

import asyncio
from typing import Any

import litestar
import msgspec

from indexer import errors
from indexer.api import answering, gate, problems, queries, routes
from indexer.query import kinds, watches

PATH = "/v1/watch"
MOST_BEGINNING = 4
"""How many watches are begun at the same time; each needs a connection of its own."""

HASH = queries.Parameter("hash", "felt", "Hash of a transaction.", "0x1")


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to begin a watch: the hash of a transaction, 0x and up to 64 hex digits."""

    hash: str


async def _sighting(question: routes.Question) -> routes.Answer:
    return routes.Answer(await watches.read(question.connection, int(question.path["hash"], 16)))


SIGHTING = routes.Route(
    f"{PATH}/{{hash}}",
    "What is known of a transaction: not seen, received, in a block, or indexed at block N",
    _sighting,
    watches.Sighting,
    "records",
    parts=(HASH,),
    description="Of any hash, watched or not, as the database knows it now.",
    is_of_moment=False,
    has_tag=False,
)


def handler(service: answering.Service, keys: gate.Keys, url: str | None) -> Any:
    """The handler of `POST /v1/watch`; `url`: the database in which watches are begun."""
    beginning = asyncio.Semaphore(MOST_BEGINNING)

    @litestar.post(PATH, status_code=200)
    async def begin_watch(
        request: litestar.Request[Any, Any, Any],
    ) -> litestar.Response[bytes]:
        if url is None or not keys.is_sent(request.scope):
            return _refusal()
        queries.check_known(queries.split(request.scope["query_string"].decode("latin-1")), ())
        hash_ = _hash(await request.body())
        async with beginning, asyncio.timeout(answering.ACQUIRE_SECONDS):
            await watches.begin(url, int(hash_, 16))
        return await service.answer(request, SIGHTING, {"hash": hash_})

    return begin_watch


def _refusal() -> litestar.Response[bytes]:
    refused = problems.problem(
        401, "a watch is begun only with a key (`Authorization: Bearer KEY`) out of api.keys"
    )
    return litestar.Response(
        refused.body,
        status_code=refused.status,
        headers=refused.headers,
        media_type=problems.MEDIA_TYPE,
    )


def _hash(body: bytes) -> str:
    """The hash that a body names; QuestionError where it names none."""
    try:
        sent = msgspec.json.decode(body, type=Body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.QuestionError(
            f'the body is not JSON such as {{"hash": "0x…"}}: {error}', parameter="hash"
        ) from error
    return kinds.felt(sent.hash, "hash")
