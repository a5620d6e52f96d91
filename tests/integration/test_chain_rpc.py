"""Every way in which an endpoint fails: the class of the error, the tries, and no key shown."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import json
import time
from typing import Any

import msgspec
import pytest
import structlog
from aiohttp import web

from indexer import errors
from indexer.chain import limits, rpc, throttle, transport
from tests.integration import chain_stage
from tests.integration.chain_stage import KEY, SETTINGS, failure, http, ok, refused

ASK = rpc.Request("starknet_chainId")


async def failing(reply: chain_stage.Reply, **changes: Any) -> tuple[errors.IndexerError, int]:
    """The error of a call to a server that always answers so, and how often it was asked."""
    settings = msgspec.structs.replace(SETTINGS, **changes)
    with structlog.testing.capture_logs() as logged:
        async with chain_stage.endpoint(reply, settings) as (made, liar):
            error = await failure(made.call(ASK))
    assert KEY not in str(logged)
    return error, len(liar.asked)


def item(id_: int, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "result": result}


# --- bodies and statuses --------------------------------------------------------------------

RETRIED = {
    "html at 200": lambda _: b"<html>maintenance</html>",
    "lava": lambda _: b'{"error":"This endpoint has been discontinued."}',
    "truncated": lambda message: ok(message, "0x1")[:-3],
    "empty": lambda _: b"",
    "broken utf-8": lambda _: b'{"jsonrpc":"2.0","id":1,"result":"\xff',
    "list for one": lambda message: b"[" + ok(message, 1) + b"]",
    "deeply nested": lambda _: b"[" * 100_000,
    "500": lambda _: http(500),
    "502": lambda _: http(502),
    "504": lambda _: http(504),
    "internal": lambda message: refused(message, -32603),
    "-32010": lambda message: refused(message, -32010),
    "timeout": lambda message: refused(message, -32000, "Request timed out upstream"),
}
BUSY = {
    "429": lambda _: http(429),
    "503": lambda _: http(503, Retry_After="0"),
    "json 429": lambda message: refused(message, 429),
    "-32005": lambda message: refused(message, -32005, "daily request count exceeded"),
    "-32012": lambda message: refused(message, -32012, "credits limited to 6000/sec"),
}
INCONSISTENT = {
    "wrong id": lambda message: ok({"id": message["id"] + 1}, "0x1"),
    "no id": lambda _: b'{"jsonrpc":"2.0","result":"0x1"}',
    "no result": lambda message: json.dumps({"jsonrpc": "2.0", "id": message["id"]}).encode(),
}
TOO_LARGE = {
    "408": lambda _: http(408, "Request took too long"),
    "413": lambda _: http(413),
    "-32005": lambda message: refused(message, -32005, "query exceeds max range"),
    "-32602": lambda message: refused(message, -32602, "no", {"reason": "block range too wide"}),
}
FATAL = {
    "401": (lambda _: http(401), "HTTP 401: check the URL and its key in node.urls"),
    "403": (lambda _: http(403), "HTTP 403: check the URL and its key in node.urls"),
    "404": (lambda _: http(404), "HTTP 404: check the URL and its key in node.urls"),
    "201": (lambda _: http(201), "HTTP 201 and not 200: what answers there is not a Starknet node"),
    "redirect": (lambda _: http(302, Location="/elsewhere"), "HTTP 302, a redirect"),
    "400 with a reason": (
        lambda message: web.Response(status=400, body=refused(message, -32601, "unknown method")),
        "unknown method (code -32601)",
    ),
}
REFUSED = {
    "params": (lambda message: refused(message, -32602, "Invalid params"), "(code -32602)"),
    "execution": (lambda message: refused(message, -32000, "execution failed"), "(code -32000)"),
}


@pytest.mark.parametrize("name", RETRIED)
async def test_trouble_of_the_way_is_retried(name: str) -> None:
    error, asked = await failing(RETRIED[name])
    assert type(error) is errors.NodeUnreachableError
    assert asked == SETTINGS.attempts


@pytest.mark.parametrize("name", BUSY)
async def test_a_busy_node_is_retried(name: str) -> None:
    error, asked = await failing(BUSY[name])
    assert type(error) is errors.NodeBusyError
    assert asked == SETTINGS.attempts


@pytest.mark.parametrize("name", INCONSISTENT)
async def test_an_answer_to_another_call_is_retried(name: str) -> None:
    error, asked = await failing(INCONSISTENT[name])
    assert type(error) is errors.InconsistentAnswerError
    assert asked == SETTINGS.attempts


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_a_too_large_question_is_not_repeated(name: str) -> None:
    events = rpc.Request("starknet_getEvents", {"filter": {}}, is_divisible=True)
    async with chain_stage.endpoint(TOO_LARGE[name]) as (made, liar):
        error = await failure(made.call(events))
    assert type(error) is errors.RangeTooLargeError
    assert len(liar.asked) == 1


@pytest.mark.parametrize("name", FATAL)
async def test_what_repeating_cannot_change_is_fatal(name: str) -> None:
    reply, says = FATAL[name]
    error, asked = await failing(reply)
    assert isinstance(error, errors.FatalNodeError)
    assert not isinstance(error, errors.RetryableNodeError)
    assert says in str(error)
    assert f"refused {SETTINGS.attempts} times now, and for 0 s in all" in str(error)
    assert "\n" not in str(error)
    assert asked == SETTINGS.attempts


@pytest.mark.parametrize("name", REFUSED)
async def test_what_may_pass_is_not_fatal_before_it_lasted(name: str) -> None:
    reply, says = REFUSED[name]
    error, asked = await failing(reply)
    assert type(error) is errors.RefusedRequestError
    assert says in str(error)
    assert asked == SETTINGS.attempts
    error, _ = await failing(reply, refused_seconds=0)
    assert type(error) is errors.RpcError


async def test_a_body_beyond_the_limit_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LARGEST_BODY", 100_000)
    error, asked = await failing(lambda message: ok(message, "x" * 200_000))
    assert type(error) is errors.RangeTooLargeError
    assert "100000 bytes" in str(error)
    assert asked == SETTINGS.attempts


async def test_an_error_keeps_code_and_data() -> None:
    error, _ = await failing(lambda message: refused(message, 40, "Contract error", {"why": 1}))
    assert isinstance(error, errors.RpcError)
    assert (error.code, error.data) == (40, {"why": 1})


async def test_a_key_that_the_node_repeats_is_not_shown() -> None:
    error, _ = await failing(lambda message: refused(message, -32601, f"bad key {KEY}"))
    assert "bad key ***" in str(error)


# --- the connection -------------------------------------------------------------------------


async def test_hanging_is_timed_out_and_not_waited_for_again_and_again() -> None:
    async def hang(_: Any) -> None:
        await asyncio.sleep(60)

    error, asked = await failing(hang, request_timeout_seconds=0.1, attempts=9)
    assert type(error) is errors.NodeUnreachableError
    assert "gave no answer within 0.1 s" in str(error)
    assert asked in (2, 3)


async def test_a_slow_drip_is_timed_out() -> None:
    async def body() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    error, _ = await failing(lambda _: web.Response(body=body()), request_timeout_seconds=0.1)
    assert "gave no answer within 0.1 s" in str(error)


@pytest.mark.parametrize("close_after", [0, 20])
async def test_a_cut_connection_is_retried(close_after: int) -> None:
    cut = chain_stage.options.Fault(close_after=close_after)
    faults = [None, cut, cut]
    async with chain_stage.recorded(fault=lambda *_: faults.pop()) as url:
        made = rpc.Endpoint(url, SETTINGS)
        assert bytes(await made.call(ASK)) == b'"0x534e5f5345504f4c4941"'
        await made.close()
    assert faults == []


async def test_nobody_listening_is_said_without_the_key() -> None:
    made = rpc.Endpoint(f"http://127.0.0.1:1/v2/{KEY}", SETTINGS)
    error = await failure(made.call(ASK))
    await made.close()
    assert type(error) is errors.NodeUnreachableError
    assert str(error).startswith("http://127.0.0.1:1/*** cannot be reached: ")


async def test_an_address_that_is_none_is_said_without_the_key() -> None:
    made = rpc.Endpoint(f"http://exa mple/v2/{KEY}", SETTINGS)
    assert isinstance(await failure(made.call(ASK)), errors.NodeUnreachableError)
    await made.close()


async def test_a_node_s_words_are_repeated_up_to_a_length() -> None:
    """A page in an error's message must fit into the log, and into a datagram to systemd."""
    error, _ = await failing(lambda message: refused(message, -32603, KEY + "x" * 1_000_000))
    assert 1_000 < len(str(error)) < 1_200


async def test_trouble_that_passes_is_not_noticed() -> None:
    answers = [lambda message: ok(message, "0x7"), BUSY["429"], RETRIED["empty"]]

    def reply(message: Any) -> Any:
        return answers.pop()(message)

    async with chain_stage.endpoint(reply) as (made, liar):
        assert bytes(await made.call(ASK)) == b'"0x7"'
    assert len(liar.asked) == 3


async def test_concurrency_is_bounded() -> None:
    now = most = 0

    async def count(_: Any) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return "0x1"

    settings = msgspec.structs.replace(SETTINGS, max_concurrency=3)
    async with chain_stage.endpoint(count, settings) as (made, _):
        await asyncio.gather(*(made.call(ASK) for _ in range(12)))
    assert most == 3


@pytest.mark.parametrize(("rate", "calls", "least"), [(20, 26, 0.25), (0.5, 1, 0.0)])
async def test_the_rate_is_bounded(rate: float, calls: int, least: float) -> None:
    settings = msgspec.structs.replace(SETTINGS, max_requests_per_second=rate)
    async with chain_stage.endpoint(lambda _: "0x1", settings) as (made, _):
        began = time.monotonic()
        await asyncio.gather(*(made.call(ASK) for _ in range(calls)))
        assert time.monotonic() - began > least


# --- pauses ---------------------------------------------------------------------------------


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the endpoint made, none of which is waited for."""
    found: list[float] = []

    class Quick:
        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio, name)

        async def sleep(self, seconds: float) -> None:
            found.append(seconds)

    monkeypatch.setattr(rpc, "asyncio", Quick())
    monkeypatch.setattr(throttle.Throttle, "_hold", lambda _, seconds: found.append(seconds))
    return found


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("100000", throttle.LONGEST_PAUSE), (" 2 ", 2.0)],
)
async def test_retry_after_is_honoured(slept: list[float], header: str, seconds: float) -> None:
    await failing(lambda _: http(429, Retry_After=header))
    assert slept == [seconds] * SETTINGS.attempts


async def test_retry_after_as_a_date_is_honoured(slept: list[float]) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=12)
    await failing(lambda _: http(503, Retry_After=email.utils.format_datetime(then, usegmt=True)))
    assert all(10 < seconds <= 12 for seconds in slept)
    assert len(slept) == SETTINGS.attempts


@pytest.mark.parametrize("header", ["soon", "nan", "-1", "inf", "", "Mon, 99 Foo 2026"])
async def test_a_senseless_retry_after_is_ignored(slept: list[float], header: str) -> None:
    await failing(lambda _: http(429, Retry_After=header), first_pause=1.0)
    assert 0.5 <= slept[0] <= 1.5


async def test_pauses_grow(slept: list[float]) -> None:
    await failing(lambda _: http(500), attempts=5, first_pause=1.0)
    for step, seconds in enumerate(slept):
        assert 2**step * 0.5 <= seconds <= 2**step * 1.5
    assert len(slept) == 4


# --- batches --------------------------------------------------------------------------------


async def batch(
    reply: chain_stage.Reply, count: int = 3
) -> tuple[list[Any] | errors.IndexerError, int, rpc.Endpoint]:
    """Answers of a batch or its error, requests made, and the endpoint."""
    async with chain_stage.endpoint(reply) as (made, liar):
        try:
            found: Any = await made.call_many([ASK] * count)
        except errors.IndexerError as error:
            found = error
        return found, len(liar.asked), made


def shuffled(message: Any) -> bytes:
    return json.dumps([item(one["id"], one["id"] * 10) for one in reversed(message)]).encode()


async def test_a_batch_is_matched_by_id() -> None:
    found, asked, _ = await batch(shuffled)
    assert [bytes(one) for one in found] == [b"10", b"20", b"30"]
    assert asked == 1


async def test_an_empty_batch_asks_nothing() -> None:
    found, asked, _ = await batch(shuffled, 0)
    assert (found, asked) == ([], 0)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda items: items[1:],
        lambda items: [*items, items[0]],
        lambda items: [items[0], items[0], items[2]],
        lambda items: [{**one, "id": None} for one in items],
        lambda items: items[0],
    ],
)
async def test_a_batch_with_wrong_ids_is_sent_in_single_calls(spoil: Any) -> None:
    def reply(message: Any) -> Any:
        if not isinstance(message, list):
            return 1
        return json.dumps(spoil([item(one["id"], 1) for one in message])).encode()

    found, asked, made = await batch(reply)
    assert [bytes(one) for one in found] == [b"1"] * 3
    # The batch twice, a single call, then no more than half of the calls in a batch.
    assert asked == rpc.BATCH_ATTEMPTS + 1 + 3
    assert not made.batches


async def test_a_refusal_inside_a_batch_stands_in_its_place() -> None:
    def reply(message: Any) -> bytes:
        items = [item(one["id"], 1) for one in message]
        items[1] = json.loads(refused(message[1], 40, "Contract error"))
        return json.dumps(items).encode()

    found, _, _ = await batch(reply)
    assert isinstance(found, list)
    assert isinstance(found[1], errors.RpcError)
    assert found[1].code == 40
    assert bytes(found[2]) == b"1"


async def test_a_busy_item_makes_the_batch_be_asked_again() -> None:
    def reply(message: Any) -> bytes:
        if message[0]["id"] > 1:
            return shuffled(message)
        items = [item(message[0]["id"], 1), *(json.loads(refused(m, -32012)) for m in message[1:])]
        return json.dumps(items).encode()

    found, asked, _ = await batch(reply)
    assert [bytes(one) for one in found] == [b"40", b"50", b"60"]
    assert asked == 2


@pytest.mark.parametrize(
    "refusal",
    [
        lambda message: refused(message, -32600, "Batch request denied"),
        lambda message: b"[" + refused(message, -32600, "batch requests are disabled") + b"]",
        lambda _: http(400),
    ],
)
async def test_refused_batches_are_asked_singly_from_then_on(refusal: Any) -> None:
    def reply(message: Any) -> Any:
        return refusal(message) if isinstance(message, list) else message["id"]

    async with chain_stage.endpoint(reply) as (made, liar):
        first = await made.call_many([ASK] * 3)
        assert len(liar.asked) == rpc.BATCH_ATTEMPTS + 1 + 3
        assert not made.batches
        second = await made.call_many([ASK] * 2)
    assert len({bytes(one) for one in [*first, *second]}) == 5
    assert not any(isinstance(message, list) for message in liar.asked[rpc.BATCH_ATTEMPTS :])


async def test_after_a_while_a_batch_is_tried_again() -> None:
    """A balancer's passing fault may look like a refusal."""
    refusing = [True]

    def reply(message: Any) -> Any:
        if not isinstance(message, list):
            return message["id"]
        return refused(message, -32600, "denied") if refusing else shuffled(message)

    async with chain_stage.endpoint(reply) as (made, liar):
        await made.call_many([ASK] * 2)
        refusing.clear()
        assert not made.batches
        for _ in range(limits.FIRST_PATIENCE):
            await made.call_many([ASK])
        assert made.batches
        before = len(liar.asked)
        await made.call_many([ASK] * 2)
    assert [isinstance(message, list) for message in liar.asked[before:]] == [True]


async def test_one_busy_error_for_a_batch_is_retried() -> None:
    error, asked, made = await batch(lambda message: refused(message, -32012))
    assert isinstance(error, errors.NodeBusyError)
    # One call alone, too: it might be the batch that is refused, in a busy node's words.
    assert asked == SETTINGS.attempts + 1
    assert made.batches


async def test_a_failing_single_call_ends_its_siblings() -> None:
    ended, bad = 0, rpc.Request("starknet_bad")

    async def reply(message: Any) -> Any:
        nonlocal ended
        if isinstance(message, list):
            return refused(message, -32600)
        if message["method"] == bad.method:
            return http(404)
        if message["id"] <= 2 * 3 + 1:
            return 1  # alone, to see whether it is the batch that is refused
        try:
            await asyncio.sleep(60)
        finally:
            ended += 1

    async with chain_stage.endpoint(reply) as (made, _):
        error = await failure(made.call_many([ASK, bad, ASK]))
    assert isinstance(error, errors.FatalNodeError)
    assert ended == 2
