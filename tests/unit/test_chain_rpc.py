"""One endpoint: what is retried, what is not, what batches may do, and what stays secret."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import random
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web

from indexer import errors, urls
from indexer.chain import rpc, throttle, transport
from tests import odd_gateway
from tests.unit import chain_stage

VERSION = rpc.Request("starknet_specVersion")
CHAIN = rpc.Request("starknet_chainId")
KEY = "s3cr3t-k3y-0123456789"


@pytest.fixture
async def node() -> AsyncIterator[chain_stage.FakeNode]:
    async with chain_stage.FakeNode().serving() as serving:
        yield serving


def status(code: int, text: str = "<html>", **headers: str) -> chain_stage.Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, message: web.Response(status=code, text=text, headers=named)


def body(text: str | bytes) -> chain_stage.Fault:
    raw = text if isinstance(text, bytes) else text.encode()
    return lambda request, message: web.Response(body=raw, content_type="application/json")


def code(number: int, message: str = "said so", data: Any = None) -> chain_stage.Fault:
    error = {"code": number, "message": message, "data": data}

    def answer(request: web.Request, asked: Any) -> web.Response:
        ids = [one["id"] for one in asked] if isinstance(asked, list) else asked["id"]
        if isinstance(ids, list):
            return web.json_response([{"jsonrpc": "2.0", "id": i, "error": error} for i in ids])
        return web.json_response({"jsonrpc": "2.0", "id": ids, "error": error})

    return answer


def cut(request: web.Request, message: Any) -> web.StreamResponse | None:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def truncated(request: web.Request, message: Any) -> web.StreamResponse | None:
    assert request.transport is not None
    request.transport.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"jsonrpc"')
    request.transport.close()
    return web.Response()


async def ask(node: chain_stage.FakeNode, path: str = "/rpc/v0_10") -> Any:
    async with chain_stage.endpoint(node, path=path) as endpoint:
        return msgspec.json.decode(await endpoint.call(VERSION))


TRANSIENT = {
    "429": status(429),
    "500": status(500),
    "502 HTML": status(502),
    "503": status(503),
    "504": status(504),
    "no JSON": body("<html>busy</html>"),
    "empty": body(""),
    "broken UTF-8": body(b'{"jsonrpc":"2.0","id":1,"result":"\xff\xfe"}x'),
    "cut JSON": body('{"jsonrpc":"2.0","id":1,"resu'),
    "no JSON-RPC": body('{"error":"This endpoint has been discontinued."}'),
    "another id": body('{"jsonrpc":"2.0","id":999,"result":"0.10.2"}'),
    "no result": body('{"jsonrpc":"2.0","id":1}'),
    "connection reset": cut,
    "body cut": truncated,
    "internal": code(-32603),
    "limit": code(-32005),
    "-32010": code(-32010),
    "credits": code(-32012, "credits limited to 6000/sec"),
    "429 inside 200": code(429, "compute units per second"),
    "busy": code(-32000, "server is temporarily overloaded"),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
async def test_what_may_pass_is_asked_again(
    node: chain_stage.FakeNode, fault: chain_stage.Fault
) -> None:
    node.faults.extend([fault, fault])
    assert await ask(node) == "0.10.2"
    assert node.posts == 3


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
async def test_asking_again_ends(node: chain_stage.FakeNode, fault: chain_stage.Fault) -> None:
    node.faults.extend([fault] * 50)
    with pytest.raises(errors.RetryableNodeError):
        await ask(node)
    assert node.posts == chain_stage.QUICK.attempts


@pytest.mark.parametrize("number", [20, 21, 24, 33, 40, 41])
async def test_an_answer_is_not_asked_for_again(node: chain_stage.FakeNode, number: int) -> None:
    node.faults.append(code(number, "said so", {"reason": "x"}))
    with pytest.raises(errors.RpcError, match="said so") as caught:
        await ask(node)
    assert (caught.value.code, caught.value.data, node.posts) == (number, {"reason": "x"}, 1)


@pytest.mark.parametrize("number", [-32600, -32602, -32000, 63, 19, 0, -32007])
async def test_a_refusal_in_the_node_s_own_words_may_pass(
    node: chain_stage.FakeNode, number: int
) -> None:
    refusal = code(number, "said so", {"reason": "x"})
    node.faults.extend([refusal, refusal])
    assert await ask(node) == "0.10.2"
    node.faults.extend([refusal] * 50)
    with pytest.raises(errors.RefusedRequestError, match="said so") as caught:
        await ask(node)
    assert (caught.value.code, caught.value.data) == (number, {"reason": "x"})
    assert node.posts == 3 + chain_stage.QUICK.attempts


@pytest.mark.parametrize("seed", range(8))
async def test_a_refusal_that_lasts_is_final_and_says_for_how_long(
    node: chain_stage.FakeNode, seed: int
) -> None:
    dice = random.Random(seed)
    refusal = code(odd_gateway.code(dice), "".join(dice.choices("abcdehijknoqsvwxyz ", k=20)))
    async with chain_stage.endpoint(node) as endpoint:
        await endpoint.call(VERSION)
        node.faults.extend([refusal] * 50)
        with pytest.raises(errors.RefusedRequestError):
            await endpoint.call(VERSION)
        endpoint._refused = {method: since - 600 for method, since in endpoint._refused.items()}
        with pytest.raises(errors.RpcError, match=r"refused 3 times now, and for 60\d s in all"):
            await endpoint.call(VERSION)
        node.faults.clear()
        await endpoint.call(VERSION)
        node.faults.extend([refusal] * 50)
        with pytest.raises(errors.RefusedRequestError):
            await endpoint.call(VERSION)


async def test_a_method_that_never_worked_is_final_after_every_attempt(
    node: chain_stage.FakeNode,
) -> None:
    node.faults.extend([code(-32601, "no such method")] * 50)
    with pytest.raises(errors.RpcError, match="refused 3 times now") as caught:
        await ask(node)
    assert (caught.value.code, node.posts) == (-32601, chain_stage.QUICK.attempts)


async def test_a_method_that_worked_may_work_again(node: chain_stage.FakeNode) -> None:
    async with chain_stage.endpoint(node) as endpoint:
        await endpoint.call(VERSION)
        node.faults.extend([code(-32601, "no such method")] * 50)
        with pytest.raises(errors.RefusedRequestError):
            await endpoint.call(VERSION)


@pytest.mark.parametrize("number", [401, 402, 403, 404, 405, 410, 415])
async def test_a_client_error_is_final_where_nothing_ever_worked(
    node: chain_stage.FakeNode, number: int
) -> None:
    node.faults.extend([status(number)] * 50)
    with pytest.raises(errors.FatalNodeError, match=r"HTTP \d+.*node\.urls"):
        await ask(node)
    assert node.posts == chain_stage.QUICK.attempts


@pytest.mark.parametrize("number", [400, 401, 402, 403, 404, 405, 410, 415])
async def test_a_client_error_may_pass(node: chain_stage.FakeNode, number: int) -> None:
    node.faults.extend([status(number)] * 2)
    assert await ask(node) == "0.10.2"


@pytest.mark.parametrize(
    "fault",
    [status(408, "Request took too long"), status(413), code(-32005, "block range too wide")],
)
async def test_too_much_is_too_large_and_not_repeated(
    node: chain_stage.FakeNode, fault: chain_stage.Fault
) -> None:
    node.faults.extend([fault] * 9)
    events = rpc.Request("starknet_getEvents", {"filter": {}}, is_divisible=True)
    async with chain_stage.endpoint(node) as endpoint:
        with pytest.raises(errors.RangeTooLargeError):
            await endpoint.call(events)
    assert node.posts == 1


async def test_a_redirect_is_not_followed(node: chain_stage.FakeNode) -> None:
    node.faults.extend([status(301, Location=node.url)] * 9)
    with pytest.raises(errors.NodeError, match="HTTP 301, a redirect to http://127"):
        await ask(node)
    assert node.posts == chain_stage.QUICK.attempts


async def test_a_body_is_read_no_further_than_the_limit(
    node: chain_stage.FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LARGEST_BODY", 1_000)
    node.faults.extend([body(" " * 2_000)] * 9)
    with pytest.raises(errors.RangeTooLargeError, match="more than 1000 bytes"):
        await ask(node)


async def test_nobody_listening_is_said_in_words() -> None:
    endpoint = rpc.Endpoint("http://127.0.0.1:1/", chain_stage.QUICK)
    with pytest.raises(errors.NodeUnreachableError, match="cannot be reached: Connect"):
        await endpoint.call(VERSION)
    await endpoint.close()


async def test_a_hanging_node_is_given_up(node: chain_stage.FakeNode) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    node._post = hang  # type: ignore[method-assign]
    settings = msgspec.structs.replace(chain_stage.QUICK, request_timeout_seconds=0.05, attempts=2)
    async with node.serving(), chain_stage.endpoint(node, settings) as endpoint:
        began = time.monotonic()
        with pytest.raises(errors.RetryableNodeError, match=r"no answer within 0\.05 s"):
            await endpoint.call(VERSION)
        assert time.monotonic() - began < 2


# --- Retry-After --------------------------------------------------------------------------


async def waited(node: chain_stage.FakeNode, header: str) -> float:
    node.faults.append(status(429, Retry_After=header))
    began = time.monotonic()
    assert await ask(node) == "0.10.2"
    return time.monotonic() - began


async def test_retry_after_is_honoured_in_seconds(node: chain_stage.FakeNode) -> None:
    assert 1.0 <= await waited(node, "1") < 2.0


async def test_retry_after_is_honoured_as_a_date(node: chain_stage.FakeNode) -> None:
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    assert 0.5 <= await waited(node, email.utils.format_datetime(when, usegmt=True)) < 3.0


@pytest.mark.parametrize(
    "header", ["soon", "", "nan", "-1", "Mon, 99 Nov 2026", "Wed, 21 Oct 2015 07:28:00 GMT"]
)
async def test_an_odd_retry_after_does_no_harm(node: chain_stage.FakeNode, header: str) -> None:
    assert await waited(node, header) < 1.0


async def test_nobody_is_waited_for_longer_than_the_limit(
    node: chain_stage.FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "LONGEST_PAUSE", 0.1)
    assert 0.1 <= await waited(node, "3600") < 1.0


# --- batches ------------------------------------------------------------------------------


def read(answers: list[Any]) -> list[Any]:
    return [
        one.code if isinstance(one, errors.RpcError) else msgspec.json.decode(one)
        for one in answers
    ]


async def both(node: chain_stage.FakeNode, times: int = 1) -> list[Any]:
    async with chain_stage.endpoint(node) as endpoint:
        for _ in range(times):
            answers = read(await endpoint.call_many([VERSION, CHAIN]))
        return answers


BOTH = ["0.10.2", chain_stage.MAIN]


async def test_a_batch_is_matched_by_id(node: chain_stage.FakeNode) -> None:
    node.reverse_batches = True
    assert await both(node) == BOTH
    assert node.posts == 1


async def test_one_refused_item_stands_in_its_place(node: chain_stage.FakeNode) -> None:
    async with chain_stage.endpoint(node) as endpoint:
        missing = rpc.Request("starknet_getBlockWithTxHashes", {"block_id": {"block_number": 99}})
        asked = [VERSION, missing, CHAIN]
        assert read(await endpoint.call_many(asked)) == ["0.10.2", 24, chain_stage.MAIN]
    assert node.posts == 1


def _drop_one(request: web.Request, message: Any) -> web.Response:
    return web.json_response([{"jsonrpc": "2.0", "id": message[0]["id"], "result": "x"}])


def _twice(request: web.Request, message: Any) -> web.Response:
    one = {"jsonrpc": "2.0", "id": message[0]["id"], "result": "x"}
    return web.json_response([one, one])


@pytest.mark.parametrize(
    "fault",
    [
        _drop_one,
        _twice,
        body("[]"),
        body('{"jsonrpc":"2.0","id":1,"result":"0x1"}'),
        code(-32012, "credits limited to 6000/sec"),
        body('{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal"}}'),
    ],
)
async def test_a_batch_answered_wrongly_is_asked_again(
    node: chain_stage.FakeNode, fault: chain_stage.Fault
) -> None:
    node.faults.append(fault)
    assert await both(node) == BOTH
    assert node.posts == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Batch request denied"}}',
        '[{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Batch request denied"}}]',
    ],
)
async def test_where_batches_are_refused_single_calls_are_made_from_then_on(
    node: chain_stage.FakeNode, text: str
) -> None:
    node.faults.extend([body(text)] * rpc.BATCH_ATTEMPTS)
    assert await both(node, times=2) == BOTH
    assert node.posts == rpc.BATCH_ATTEMPTS + 1 + 2 + 2


async def test_no_calls_are_no_request(node: chain_stage.FakeNode) -> None:
    async with chain_stage.endpoint(node) as endpoint:
        assert await endpoint.call_many([]) == []
    assert node.posts == 0


# --- limits -------------------------------------------------------------------------------


async def test_no_more_requests_are_in_flight_than_allowed(node: chain_stage.FakeNode) -> None:
    at_once = most = 0
    answer = node._post

    async def counted(request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return await answer(request)

    node._post = counted  # type: ignore[method-assign]
    settings = msgspec.structs.replace(chain_stage.QUICK, max_concurrency=3)
    async with node.serving(), chain_stage.endpoint(node, settings) as endpoint:
        await asyncio.gather(*(endpoint.call(VERSION) for _ in range(12)))
    assert most == 3


async def test_no_more_requests_start_in_a_second_than_allowed(
    node: chain_stage.FakeNode,
) -> None:
    settings = msgspec.structs.replace(chain_stage.QUICK, max_requests_per_second=10)
    async with chain_stage.endpoint(node, settings) as endpoint:
        began = time.monotonic()
        await asyncio.gather(*(endpoint.call(VERSION) for _ in range(15)))
    assert 0.4 <= time.monotonic() - began < 2.0


# --- secrets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://node.example/v2/" + KEY, "https://node.example/***"),
        (f"https://user:{KEY}@node.example:9545", "https://node.example:9545"),
        ("https://node.example/?apikey=" + KEY, "https://node.example/***"),
        ("https://node.example?apikey=" + KEY, "https://node.example/***"),
        ("http://127.0.0.1:5050/", "http://127.0.0.1:5050"),
    ],
)
def test_a_url_is_shown_without_its_key(url: str, shown: str) -> None:
    assert urls.redact(url) == shown


@pytest.mark.parametrize(
    "fault",
    [
        status(403, KEY),
        status(404),
        status(500, KEY),
        status(429),
        cut,
        truncated,
        body(KEY),
        code(-32602, f"the key {KEY} is not valid"),
        code(-32603, f"the key {KEY} is not valid"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/" + KEY, "/?key=" + KEY])
async def test_no_failure_shows_the_key(
    node: chain_stage.FakeNode,
    fault: chain_stage.Fault,
    path: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node.faults.extend([fault] * 9)
    with pytest.raises(errors.NodeError) as caught:
        await ask(node, path)
    shown = "".join(traceback.format_exception(caught.value)) + "".join(capsys.readouterr())
    assert KEY not in shown
