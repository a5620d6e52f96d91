"""JSON-RPC 2.0 envelopes: requests as bytes, and the results and errors of their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from indexer import errors
from indexer.cairo import text as texts
from indexer.chain import rpc_errors

LONGEST_MESSAGE = 1_000
"""How many characters of a node's message are shown, in the log or in a datagram to systemd."""


class Request(msgspec.Struct, frozen=True):
    """One method call; `params` by name or by position.

    `is_divisible`: it asks for several things, and the caller divides it where it is refused.
    `is_optional`: the caller can do without it, so a refusal is its answer and is not repeated.
    """

    method: str
    params: Any = ()
    is_divisible: bool = False
    is_optional: bool = False


class _Error(msgspec.Struct):
    code: int | float | str
    message: str | None = None
    data: Any = None


class _Response(msgspec.Struct):
    id: int | float | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


_decode_one = msgspec.json.Decoder(_Response).decode
_decode_many = msgspec.json.Decoder(list[_Response]).decode

Result = msgspec.Raw | errors.RpcError
"""A call's result, still as JSON text, or the error that is its answer."""


def encoded(requests: Sequence[Request], first_id: int) -> bytes:
    """The body of a call, or of a batch of them, with ids from `first_id` on."""
    calls = [
        {
            "jsonrpc": "2.0",
            "id": first_id + index,
            "method": request.method,
            "params": request.params,
        }
        for index, request in enumerate(requests)
    ]
    return msgspec.json.encode(calls if len(calls) > 1 else calls[0])


class Reader:
    """Reads the answers of one endpoint; `hide` takes secrets out of its messages."""

    def __init__(self, name: str, hide: Callable[[str], str]) -> None:
        self._name = name
        self._hide = hide

    def results(self, body: bytes, requests: Sequence[Request], first_id: int) -> list[Result]:
        """The results in the order of the requests; any error that is no answer is raised."""
        if len(requests) == 1:
            response = self._parsed(body, _decode_one)
            return [self._result(response, requests[0], first_id)]
        by_id = self._by_id(body, requests, first_id)
        return [
            self._result(by_id[first_id + index], request, first_id + index)
            for index, request in enumerate(requests)
        ]

    def error_in(self, body: bytes, requests: Sequence[Request]) -> errors.NodeError | None:
        """The JSON-RPC error that a body holds for all of these requests, if any."""
        try:
            is_batch = body.lstrip()[:1] == b"["
            responses = _decode_many(body) if is_batch else [_decode_one(body)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        found = next((response.error for response in responses if response.error is not None), None)
        return None if found is None else self._meaning(found, _is_divisible(requests))

    def _parsed(self, body: bytes, decode: Any) -> Any:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            answer_form = "an empty body" if not body.strip() else f"what is not JSON-RPC: {error}"
            shown = texts.clean(self._hide(answer_form), LONGEST_MESSAGE)
            raise errors.NodeUnreachableError(
                f"{self._name} answered with {shown}",
                kind="not_json_rpc",
            ) from error

    def _result(self, response: _Response, request: Request, expected_id: int) -> Result:
        if response.error is not None:
            return _answer(request, self._meaning(response.error, request.is_divisible))
        if _number(response.id) != expected_id:
            raise errors.InconsistentAnswerError(
                f"{self._name} answered another call than asked", kind="mismatched"
            )
        if not len(memoryview(response.result)):
            raise errors.InconsistentAnswerError(
                f"{self._name} answered without a result", kind="mismatched"
            )
        return response.result

    def _by_id(
        self, body: bytes, requests: Sequence[Request], first_id: int
    ) -> dict[int | None, _Response]:
        """The answers of a batch by id; nodes may answer in any order."""
        if body.lstrip()[:1] == b"{":
            response = self._parsed(body, _decode_one)
            if response.error is None:
                raise errors.InconsistentAnswerError(
                    f"{self._name} answered a batch with one result", kind="mismatched"
                )
            raise self._meaning(response.error, _is_divisible(requests))
        responses = self._parsed(body, _decode_many)
        for response in responses:
            if response.id is None and response.error is not None:
                raise self._meaning(response.error, _is_divisible(requests))
        by_id = {_number(response.id): response for response in responses}
        count = len(requests)
        if len(responses) != count or set(by_id) != set(range(first_id, first_id + count)):
            raise errors.InconsistentAnswerError(
                f"{self._name} answered {len(responses)} of a batch of {count} calls, or others",
                kind="mismatched",
            )
        return by_id

    def _meaning(self, error: _Error, is_divisible: bool) -> errors.NodeError:
        # Cut before it is searched, and only then so short that no secret is cut in two.
        message = self._hide((error.message or "")[: 4 * LONGEST_MESSAGE])
        message = texts.clean(message[: 2 * LONGEST_MESSAGE], LONGEST_MESSAGE)
        code = _number(error.code) or 0
        text = f"{self._name}: {message} (code {code})"
        return rpc_errors.meaning(text, code, message, error.data, is_divisible)


def _answer(request: Request, error: errors.NodeError) -> errors.RpcError:
    """An error that is the answer; any other is raised."""
    if isinstance(error, errors.RpcError):
        return error
    if request.is_optional and isinstance(error, errors.RefusedRequestError):
        return errors.RpcError(str(error), error.code or 0, error.data)
    raise error


def _is_divisible(requests: Sequence[Request]) -> bool:
    return any(request.is_divisible for request in requests)


def _number(value: int | float | str | None) -> int | None:
    """An id or a code, which some gateways make text or a float of."""
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) < 20 and value.removeprefix("-").isdecimal():
        return int(value)
    return None
