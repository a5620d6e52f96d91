"""One endpoint: its requests are bounded, batched and retried, every failure typed.

Failures that may pass (no connection, time-outs, 429, 5xx, bodies that are not JSON-RPC, errors
in words of the node's own) are retried with growing, jittered pauses. Where the endpoint is busy
(429, 503, its words) the pause and a lower rate are for all requests to it (`throttle`).
Refusals of a request's size (408, 413, bodies beyond the limit) are raised at once, for the
caller to ask for less. A refused batch is sent in smaller ones.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import structlog

from indexer import errors, metrics, urls
from indexer.chain import envelope, failures, limits, throttle, transport

log = structlog.get_logger(__name__)

T = TypeVar("T")

Request = envelope.Request
Result = envelope.Result

LARGEST_PAGE = 1_000
"""How many events a page of getEvents has at most: every known node answers so many."""

DIVISIBLE_ATTEMPTS = 2
"""How often a refused request is repeated before the caller divides it."""

BATCH_ATTEMPTS = 2
"""How often a refused batch is repeated before it is divided."""

is_background = contextvars.ContextVar("is_background", default=False)
"""Set by background tasks: their requests wait for the writer's, and their answers do not prove
that the writer makes progress."""


class NodeSettings(msgspec.Struct, frozen=True):
    """Limits of the requests to an endpoint. Times in seconds.

    `refused_seconds`: how long a request that worked before may be refused before that is final.
    """

    request_timeout_seconds: float = 20.0
    max_concurrency: int = 8
    max_requests_per_second: float = 50.0
    attempts: int = 5
    first_pause: float = 0.2
    refused_seconds: float = 600.0


async def gather(questions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results in order; the first failure cancels the others and is raised."""
    tasks = [asyncio.create_task(question) for question in questions]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


class Endpoint:
    """The JSON-RPC connection to one URL, and the sizes of request that it answers."""

    def __init__(self, url: str, settings: NodeSettings) -> None:
        self.name = urls.redact(url)
        self.limits = limits.Limits(LARGEST_PAGE)
        self.answered_at = 0.0
        """When the writer last got a good answer, by the monotonic clock; 0: never."""
        self._settings = settings
        self._transport = transport.Transport(
            url, settings.request_timeout_seconds, settings.max_concurrency
        )
        self._secrets = urls.secrets_of(url)
        self._reader = envelope.Reader(self.name, self.hide)
        self._throttle = throttle.Throttle(
            settings.max_concurrency,
            settings.max_requests_per_second,
            settings.first_pause,
            settings.attempts,
        )
        self._note_rate()
        self._ids = 0
        self._worked: set[str] = set()
        self._refused: dict[str, float] = {}

    def hide(self, text: str) -> str:
        """What the node says, without what the URL keeps secret."""
        return urls.hide(text, self._secrets)

    @property
    def batches(self) -> bool:
        """Whether calls are sent in batches: the endpoint does not refuse two calls in one."""
        return self.limits.batch.size > 1

    @property
    def proxy(self) -> str | None:
        """The proxy of the environment that requests go through, as it may be shown."""
        return self._transport.proxy

    @property
    def lowered_rate(self) -> float | None:
        """The requests a second that it is sent at most because it refused more; None: none."""
        return self._throttle.rate if self._throttle.is_lowered else None

    def seconds_for(self, requests: int) -> float:
        """How long so many requests wait for a lowered rate alone; 0 where it is not lowered."""
        return self._throttle.seconds_for(requests)

    async def close(self) -> None:
        """Close every connection."""
        self._throttle.close()
        await self._transport.close()

    async def call(self, request: Request, attempts: int | None = None) -> msgspec.Raw:
        """The result of one call, still as JSON text; sent at most `attempts` times."""
        answer = (await self._retried([request], attempts or self._settings.attempts))[0]
        if isinstance(answer, errors.RpcError):
            raise answer
        return answer

    async def call_many(self, requests: Sequence[Request]) -> list[Result]:
        """The results of several calls, in order; a batch has as many as the endpoint takes."""
        if not requests:
            return []
        size = self.limits.batch.size
        parts = [requests[start : start + size] for start in range(0, len(requests), size)]
        answers = await gather(self._batch(part) for part in parts)
        return [answer for part in answers for answer in part]

    async def _batch(self, requests: Sequence[Request]) -> list[Result]:
        attempts = self._settings.attempts
        if len(requests) > 1:
            attempts = min(attempts, BATCH_ATTEMPTS)
        try:
            answers = await self._retried(requests, attempts)
        except errors.NodeError as error:
            if len(requests) == 1:
                raise
            refusal = error
        else:
            self.limits.batch.answered(len(requests))
            return answers
        return await self._divided(requests, refusal)

    async def _divided(
        self, requests: Sequence[Request], refusal: errors.NodeError
    ) -> list[Result]:
        """The results of a refused batch, from smaller ones.

        The call that is most likely at fault is sent alone first. Its failure is the endpoint's;
        its success shows that the batch was refused.
        """
        alone = next((request for request in requests if request.is_divisible), requests[0])
        await self._retried([alone], 1 if refusal.kind == "timeout" else self._settings.attempts)
        self.limits.batch.refused(len(requests))
        size = self.limits.batch.size
        log.info("batches_refused", endpoint=self.name, calls=size, reason=str(refusal))
        return await self.call_many(requests)

    # --- one attempt after another ----------------------------------------------------

    async def _retried(self, requests: Sequence[Request], attempts: int) -> list[Result]:
        pause, spent, started = self._settings.first_pause, 0.0, time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            turn = await self._throttle.take(is_background=is_background.get())
            began = time.monotonic()
            try:
                answers = await self._attempt(requests)
            except errors.NodeBusyError as error:
                if error.is_rate:
                    self._note_refusal(error, turn, attempt)
                    continue
                refusal: errors.RetryableNodeError = error
            except errors.RetryableNodeError as error:
                refusal = error
            else:
                self._note_answer(requests, answers, turn)
                return answers
            finally:
                self._throttle.give_back(turn)
            is_large = isinstance(refusal, errors.RangeTooLargeError)
            if is_large and (len(requests) > 1 or requests[-1].is_divisible):
                raise refusal  # The same request gets the same answer: less is asked for.
            spent += time.monotonic() - began
            # Five time-outs in a row would take too long.
            is_late = spent > 2 * self._settings.request_timeout_seconds
            if attempt >= attempts or is_late or _is_divided(requests, refusal, attempt):
                raise self._lasting(requests, refusal, attempt, started)
            wait = pause * random.uniform(0.5, 1.5)  # noqa: S311
            failures.record(self.name, refusal, "retry", logging.INFO, seconds=round(wait, 3))
            await asyncio.sleep(wait)
            pause *= 2

    def _note_refusal(self, error: errors.NodeBusyError, turn: throttle.Turn, attempt: int) -> None:
        """Leave the endpoint alone for a while; raises where it has refused often enough."""
        seconds = self._throttle.refused(turn, error.retry_after)
        self._note_rate()
        if attempt >= self._settings.attempts or self._throttle.is_refusing:
            raise error
        failures.record(
            self.name,
            error,
            "retry",
            logging.INFO,
            seconds=round(seconds, 3),
            requests_per_second=round(self._throttle.rate, 1),
        )

    def _note_answer(
        self, requests: Sequence[Request], answers: Sequence[Result], turn: throttle.Turn
    ) -> None:
        was_lowered = self._throttle.is_lowered
        self._throttle.answered(turn)
        if was_lowered:
            self._note_rate()
        for request, answer in zip(requests, answers, strict=True):
            if request.is_optional and isinstance(answer, errors.RpcError):
                continue  # Any refusal is an answer to it: it does not show that the method works.
            self._worked.add(request.method)
            if self._refused:
                self._refused.pop(request.method, None)

    def _note_rate(self) -> None:
        metrics.requests_per_second.labels(self.name).set(self._throttle.rate)

    def _lasting(
        self,
        requests: Sequence[Request],
        error: errors.RetryableNodeError,
        attempts: int,
        started: float,
    ) -> errors.NodeError:
        """The error to raise after the last attempt: final where a refusal has lasted.

        A refusal in words that promise nothing else is final at once where the method never
        worked, such as an unknown method or a wrong key; any other after `refused_seconds`.
        """
        if not isinstance(error, errors.RefusedRequestError) or requests[-1].is_divisible:
            return error
        now = time.monotonic()
        since = min(self._refused.setdefault(request.method, started) for request in requests)
        is_new = error.is_definite and not any(
            request.method in self._worked for request in requests
        )
        if not is_new and now - since < self._settings.refused_seconds:
            return error
        text = f"{error}; refused {attempts} times now, and for {now - since:.0f} s in all"
        if error.code is None:
            return errors.FatalNodeError(text)
        return errors.RpcError(text, error.code, error.data)

    async def _attempt(self, requests: Sequence[Request]) -> list[Result]:
        first = self._ids + 1
        self._ids += len(requests)
        body = envelope.encoded(requests, first)
        reply = await self._transport.post(body)
        if reply.status != 200:
            error = self._http_error(reply, requests)
            if isinstance(error, errors.RpcError) and len(requests) == 1:
                return [error]
            raise error
        results = self._reader.results(reply.body, requests, first)
        if not is_background.get():
            self.answered_at = time.monotonic()
        return results

    def _http_error(self, reply: transport.Reply, requests: Sequence[Request]) -> errors.NodeError:
        """The error for a status other than 200; a JSON-RPC error in the body is more precise."""
        error = transport.http_error(self.name, reply)
        if type(error) in (errors.RangeTooLargeError, errors.NodeBusyError):
            return error
        return self._reader.error_in(reply.body, requests) or error


def _is_divided(
    requests: Sequence[Request], error: errors.RetryableNodeError, attempt: int
) -> bool:
    """Whether the caller divides a refused request now, after it was repeated once."""
    is_refusal = isinstance(error, errors.RefusedRequestError)
    return is_refusal and attempt >= DIVISIBLE_ATTEMPTS and requests[-1].is_divisible
