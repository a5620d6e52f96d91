"""The API against strangers: injections, sizes, slow senders, readers that never read."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from unittest import mock
from urllib import parse

import pytest

from indexer.api import gate, protocol
from indexer.query import computation, debts
from tests import postgres
from tests.acceptance.api_client import Client

INJECTIONS = (
    "' OR 1=1 --",
    "1; DROP TABLE cursor; --",
    "$1",
    '"',
    "\\",
    "%27%20OR%201=1",
    "x' UNION SELECT version() --",
    "\x00",
    "1e400",
    "NaN",
    "Infinity",
    "-0",
    "9" * 1_000,
    "٣",
    "{{7*7}}",
    "../../etc/passwd",
    "<script>",
)


def address(api: Client) -> tuple[str, int]:
    base = api.session._base_url
    assert base is not None
    return str(base.host), int(base.port or 0)


async def send(api: Client, data: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes, and read what comes until the connection ends or for some time."""
    reader, writer = await asyncio.open_connection(*address(api))
    found = b""
    try:
        try:
            writer.write(data)
            await writer.drain()
            async with asyncio.timeout(seconds):
                while piece := await reader.read(65_536):
                    found += piece
        except (TimeoutError, ConnectionError):
            pass
    finally:
        writer.close()
    return found


async def test_what_is_injected_is_data(api: Client, indexed_url: str) -> None:
    """In every parameter of every route: 200 or a refusal, never 5xx, and nothing changes."""
    tables = ("cursor", "vesu_positions", "vesu_transactions", "events")
    before = await postgres.lines(indexed_url, *tables)
    document = await api.get("/openapi.json")
    asked = 0
    for path, operations in document["paths"].items():
        if "get" not in operations:
            continue  # what writes: test_api_watch.py
        for place, one in enumerate(operations["get"]["parameters"]):
            text = INJECTIONS[(place + len(path)) % len(INJECTIONS)]
            if one["in"] == "path":
                said = await api.ask(path.replace(f"{{{one['name']}}}", parse.quote(text, safe="")))
            elif "{" in path:
                continue
            else:
                said = await api.ask(path, **{one["name"]: text})
            assert said.status in (200, 400, 404, 425), f"{path} {one['name']}={text!r}: {said}"
            asked += 1
    assert asked > 200
    assert await postgres.lines(indexed_url, *tables) == before


async def test_only_reading_is_possible(api: Client, indexed_url: str) -> None:
    for path in ("/v1/pools", "/v1/status", "/openapi.json", "/health"):
        for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE"):
            async with api.session.request(method, path) as answer:
                assert answer.status == 405, (method, path)
                assert answer.content_type == "application/problem+json"
    rows = await postgres.fetch(
        indexed_url,
        "SELECT DISTINCT application_name, usename FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE '%reader'",
    )
    assert rows, "the API's own connections"


async def test_sizes_are_bounded(api: Client) -> None:
    said = await api.ask("/v1/pools?" + "a" * gate.MAX_TARGET)
    assert said.status == 414
    said = await api.ask("/v1/pools", headers={"x-long": "a" * (gate.MAX_HEADERS + 1)})
    assert said.status == 431
    said = await api.ask("/v1/pools?" + "&".join(f"a{n}=1" for n in range(60)))
    assert said.status == 400
    async with api.session.get("/v1/pools", data=b"a" * (gate.MAX_BODY + 1)) as answer:
        assert answer.status == 413
    request = b"GET /v1/pools HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n"
    assert b" 400 " in (await send(api, request)).split(b"\r\n")[0]


async def test_headers_without_end_are_cut_off(api: Client) -> None:
    """Neither a request line nor headers may go on for ever; nothing is kept of them."""
    for start in (b"GET /", b"GET /v1/pools HTTP/1.1\r\nx-a: "):
        found = await send(api, start + b"a" * 200_000)
        head, _, body = found.partition(b"\r\n\r\n")
        assert head.split()[1] in (b"431", b"414", b"400"), found[:200]
        assert json.loads(body)["status"] in (431, 414, 400)
    many = b"GET /v1/pools HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(20_000))
    assert (await send(api, many)).split()[1] == b"431"


async def test_what_is_no_http_is_refused_in_our_form(api: Client) -> None:
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"HELO\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ):
        found = await send(api, data)
        assert found.split()[1] == b"400", found
        assert json.loads(found.partition(b"\r\n\r\n")[2])["status"] == 400


async def test_a_slow_sender_is_cut_off(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.5)
    for data in (
        b"",
        b"GET /v1/pools HTTP/1.1\r\n",
        b"POST /v1/pools HTTP/1.1\r\nhost: a\r\ncontent-length: 10000\r\n\r\nslow",
    ):
        reader, writer = await asyncio.open_connection(*address(api))
        writer.write(data)
        async with asyncio.timeout(10):
            while await reader.read(65_536):
                pass
        writer.close()
    assert (await api.ask("/v1/pools")).status == 200


async def test_a_reader_that_never_reads_is_cut_off(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks again and again and takes nothing; the rest is answered meanwhile."""
    monkeypatch.setattr(protocol, "STALL_SECONDS", 0.5)
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    lazy.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(lazy, address(api))
    request = b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n"

    async def ask_for_ever() -> None:
        while True:
            await loop.sock_sendall(lazy, request * 20)

    with pytest.raises((ConnectionError, TimeoutError)) as cut:
        async with asyncio.timeout(30):
            await ask_for_ever()
    assert not isinstance(cut.value, TimeoutError)
    lazy.close()
    assert (await api.ask("/v1/pools")).status == 200


async def test_connections_are_bounded(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 3)
    opened = [await asyncio.open_connection(*address(api)) for _ in range(6)]
    try:
        last = opened[-1][0]
        async with asyncio.timeout(5):
            found = await last.read()
        assert found.split()[1] == b"503"
        assert json.loads(found.partition(b"\r\n\r\n")[2])["status"] == 503
    finally:
        for _, writer in opened:
            writer.close()


async def test_long_computations_keep_nobody_waiting(api: Client) -> None:
    """While answers wait for the one thread that computes, short ones come, and more long ones are
    told to come back."""
    done = threading.Event()
    running = asyncio.create_task(computation.of(done.wait, 30.0))
    await asyncio.sleep(0)
    long = ("/v1/risk/curve", "/v1/risk/heatmap?at_block=90", "/v1/liquidations/opportunities")
    waiting = [asyncio.create_task(api.ask(path)) for path in long]
    try:
        async with asyncio.timeout(10):
            while len(computation._in_hand) < computation.MOST:
                await asyncio.sleep(0.01)
            assert (await api.ask("/v1/positions?limit=5")).status == 200
            refused = await api.ask("/v1/risk/bad-debt?at_block=80")
        assert refused.status == 503
        assert refused.body["detail"] == "too many answers are being computed: ask again"
        assert not any(task.done() for task in (running, *waiting))
    finally:
        done.set()
        found = await asyncio.gather(*waiting)
    assert [said.status for said in found] == [200] * len(long)
    assert (await api.ask("/v1/risk/bad-debt?at_block=80")).status == 200


async def test_who_asks_the_same_at_once_shares_the_work(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    valued = mock.Mock(wraps=debts.valued)
    monkeypatch.setattr(debts, "valued", valued)
    found = [await asyncio.gather(*(api.data("/v1/risk/curve") for _ in range(3))) for _ in "12"]
    assert valued.call_count == 1
    assert found[0] + found[1] == [found[0][0]] * 6
    others = [await api.data("/v1/risk/curve", at_block=block) for block in (60, 90)]
    assert others[0] != others[1]
    assert valued.call_count == 3
