"""JSON-RPC over HTTP to one endpoint: one session, bounded, retried, every failure typed.

Transient failures (no connection, time-outs, 429, 5xx, bodies that are not JSON-RPC) are retried
with growing, jittered pauses that honour Retry-After. Errors that a retry cannot change are
raised at once, as are refusals of a request's size (408, 413, bodies beyond the limit). URLs may
hold keys, so only their scheme, host and port are shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import email.utils
import logging
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import aiohttp
import aiolimiter
import msgspec
import structlog

from indexer import errors, urls
from indexer.chain import failures

log = structlog.get_logger(__name__)

T = TypeVar("T")

LARGEST_BODY = 64 * 1024 * 1024
LONGEST_PAUSE = 30.0
LONGEST_MESSAGE = 1_000
"""How many characters of a node's message are shown, in the log or in a datagram to systemd."""
TRANSIENT_CODES = frozenset({-32603, -32005, -32010, -32012, 429})
RANGE_CODES = frozenset({-32000, -32005, -32602})
RANGE_WORDS = ("block range", "range too", "range is too", "too many blocks")
BUSY_WORDS = ("timeout", "timed out", "busy", "temporarily", "rate limit", "capacity")


SINGLY_SECONDS = 600.0
"""How long calls are sent singly after a batch was refused."""

is_background = contextvars.ContextVar("is_background", default=False)
"""Set by background tasks: answers to them do not prove that the writer makes progress."""


class NodeSettings(msgspec.Struct, frozen=True):
    """Limits of the requests to an endpoint. Times in seconds."""

    request_timeout_seconds: float = 20.0
    max_concurrency: int = 8
    max_requests_per_second: float = 50.0
    attempts: int = 5
    first_pause: float = 0.2


class Request(msgspec.Struct, frozen=True):
    """One method call; `params` by name or by position."""

    method: str
    params: Any = ()


class _Error(msgspec.Struct):
    code: int
    message: str | None = None
    data: Any = None


class _Response(msgspec.Struct):
    jsonrpc: str
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


_decode_one = msgspec.json.Decoder(_Response).decode
_decode_many = msgspec.json.Decoder(list[_Response]).decode


async def gather(questions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results in order; the first failure cancels the others and is raised."""
    tasks = [asyncio.create_task(question) for question in questions]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


class Endpoint:
    """The JSON-RPC connection to one URL."""

    def __init__(self, url: str, settings: NodeSettings) -> None:
        self._url = url
        self.name = urls.redact(url)
        self._secrets = urls.secrets_of(url)
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.max_concurrency)
        rate = settings.max_requests_per_second
        self._rate = aiolimiter.AsyncLimiter(max(rate, 1), max(1 / rate, 1))
        self._session: aiohttp.ClientSession | None = None
        self._ids = 0
        self._batches_from = 0.0
        self.answered_at = 0.0
        """When the writer last got a good answer, by the monotonic clock; 0: never."""

    @property
    def _timeout(self) -> float:
        return self._settings.request_timeout_seconds

    @property
    def batches(self) -> bool:
        """Whether batches are asked: where one was refused, not for a while."""
        return time.monotonic() >= self._batches_from

    def ask_singly(self) -> None:
        """Ask no batch for a while: one was refused, by the node for good or by a passing fault."""
        self._batches_from = time.monotonic() + SINGLY_SECONDS

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, request: Request) -> msgspec.Raw:
        """The result of one call, still as JSON text."""
        answer = (await self._retried([request]))[0]
        if isinstance(answer, errors.RpcError):
            raise answer
        return answer

    async def call_many(self, requests: Sequence[Request]) -> list[msgspec.Raw | errors.RpcError]:
        """The results of several calls, in order: one batch, or single calls where refused."""
        if not requests:
            return []
        if self.batches and len(requests) > 1:
            try:
                return await self._retried(requests)
            except errors.FatalNodeError as error:
                refusal = str(error)
            answers = await self._one_by_one(requests)
            # Single calls succeed, so it was the batch that was refused.
            log.info("batches_refused", endpoint=self.name, reason=refusal)
            self.ask_singly()
            return answers
        return await self._one_by_one(requests)

    async def _one_by_one(self, requests: Sequence[Request]) -> list[msgspec.Raw | errors.RpcError]:
        answers = await gather(self._retried([request]) for request in requests)
        return [answer for (answer,) in answers]

    # --- one attempt after another ----------------------------------------------------

    async def _retried(self, requests: Sequence[Request]) -> list[msgspec.Raw | errors.RpcError]:
        pause, spent = self._settings.first_pause, 0.0
        for attempt in range(1, self._settings.attempts + 1):
            began = time.monotonic()
            try:
                return await self._attempt(requests)
            except errors.RangeTooLargeError:
                raise  # The same request gets the same answer: the caller asks for less.
            except errors.RetryableNodeError as error:
                spent += time.monotonic() - began
                # Five time-outs in a row would take too long.
                if attempt == self._settings.attempts or spent > 2 * self._timeout:
                    raise
                asked = getattr(error, "retry_after", None)
                jittered = pause * random.uniform(0.5, 1.5)  # noqa: S311
                wait = min(jittered if asked is None else asked, LONGEST_PAUSE)
                failures.record(self.name, error, "retry", logging.INFO, seconds=round(wait, 3))
                await asyncio.sleep(wait)
                pause *= 2
        raise AssertionError("the loop returns or raises")

    async def _attempt(self, requests: Sequence[Request]) -> list[msgspec.Raw | errors.RpcError]:
        first = self._ids + 1
        self._ids += len(requests)
        calls = [
            {"jsonrpc": "2.0", "id": first + index, "method": one.method, "params": one.params}
            for index, one in enumerate(requests)
        ]
        body = msgspec.json.encode(calls if len(calls) > 1 else calls[0])
        async with self._slots, self._rate:
            answer = await self._post(body)
        if len(calls) > 1:
            results = self._matched(answer, first, len(calls))
        else:
            results = [self._result(self._parsed(answer, _decode_one), first)]
        if not is_background.get():
            self.answered_at = time.monotonic()
        return results

    async def _post(self, body: bytes) -> bytes:
        session = self._opened()
        # A redirect would turn the POST into a GET.
        asking = session.post(self._url, data=body, allow_redirects=False)
        async with self._mapped(), asking as response:
            answer = await self._bounded(response)
            if response.status != 200:
                raise self._http_error(response, answer)
            return answer

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            total = self._timeout
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=total, sock_connect=min(total, 10)),
                headers={"Content-Type": "application/json"},
                connector=aiohttp.TCPConnector(limit=self._settings.max_concurrency),
            )
        return self._session

    async def _bounded(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, read no further than the limit."""
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > LARGEST_BODY:
                raise errors.RangeTooLargeError(
                    f"{self.name} answered with more than {LARGEST_BODY} bytes"
                )
            parts.append(part)
        return b"".join(parts)

    @contextlib.asynccontextmanager
    async def _mapped(self) -> AsyncIterator[None]:
        try:
            yield
        # Not chained: aiohttp's messages may show the whole URL.
        except TimeoutError:
            raise errors.NodeUnreachableError(
                f"{self.name} gave no answer within {self._timeout:g} s", kind="timeout"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise errors.NodeUnreachableError(
                f"{self.name} cannot be reached: {_reason(error)}"
            ) from None

    # --- reading answers --------------------------------------------------------------

    def _http_error(self, response: aiohttp.ClientResponse, body: bytes) -> errors.NodeError:
        status = response.status
        said = f"{self.name} answered HTTP {status}"
        if status in (408, 413):
            return errors.RangeTooLargeError(said)
        if status == 429 or status == 503:
            return errors.NodeBusyError(said, _retry_after(response.headers.get("Retry-After")))
        if status >= 500:
            return errors.NodeUnreachableError(said, kind="http_5xx")
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            error = _decode_one(body).error
            if error is not None:
                return self._rpc_error(error)
        return errors.FatalNodeError(f"{said}: check the URL and its key in node.urls")

    def _parsed(self, body: bytes, decode: Any) -> Any:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.NodeUnreachableError(
                f"{self.name} answered with something that is no JSON-RPC: {error}",
                kind="not_json_rpc",
            ) from error

    def _result(self, response: _Response, wanted: int) -> msgspec.Raw | errors.RpcError:
        if response.error is not None:
            return self._rpc_error(response.error)
        if response.id != wanted:
            raise errors.InconsistentAnswerError(
                f"{self.name} answered another call than asked", kind="mismatched"
            )
        if not len(memoryview(response.result)):
            raise errors.InconsistentAnswerError(
                f"{self.name} answered without a result", kind="mismatched"
            )
        return response.result

    def _matched(self, body: bytes, first: int, count: int) -> list[msgspec.Raw | errors.RpcError]:
        """The answers of a batch in the order of its calls; nodes may answer in any order."""
        if body.lstrip()[:1] == b"{":
            response = self._parsed(body, _decode_one)
            if response.error is None:
                raise errors.InconsistentAnswerError(
                    f"{self.name} answered a batch with one result", kind="mismatched"
                )
            raise self._rpc_error(response.error)
        responses = self._parsed(body, _decode_many)
        for response in responses:
            if response.id is None and response.error is not None:
                raise self._rpc_error(response.error)
        by_id = {response.id: response for response in responses}
        if len(responses) != count or set(by_id) != set(range(first, first + count)):
            raise errors.InconsistentAnswerError(
                f"{self.name} answered {len(responses)} of a batch of {count} calls, or others",
                kind="mismatched",
            )
        return [self._result(by_id[id_], id_) for id_ in range(first, first + count)]

    def _rpc_error(self, error: _Error) -> errors.RpcError:
        """The error of an answer. Fatal errors are returned, transient ones raised."""
        message = error.message or ""
        for secret in self._secrets:
            message = message.replace(secret, "***")
        text = f"{self.name}: {message[:LONGEST_MESSAGE]} (code {error.code})"
        said = f"{message} {error.data}".lower()
        words = ("range",) if error.code == -32005 else RANGE_WORDS
        if error.code in RANGE_CODES and any(word in said for word in words):
            raise errors.RangeTooLargeError(text)
        busy = error.code == -32000 and any(word in said for word in BUSY_WORDS)
        if error.code in (429, -32005, -32012):
            raise errors.NodeBusyError(text)
        if busy or error.code in TRANSIENT_CODES:
            raise errors.NodeUnreachableError(text, kind="internal")
        return errors.RpcError(text, error.code, error.data)


def _retry_after(header: str | None) -> float | None:
    """The seconds of a Retry-After header, which holds a number or a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(email.utils.parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def _reason(error: BaseException) -> str:
    """The reason of a network error, without the URL that aiohttp puts in."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error.strerror or error.os_error)
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
