"""Odd answers that mean what was meant, and faults that a message must name, over real sockets.

Variants are drawn by a seeded dice or stand in a table; docs/failure-modes.md has a row for each.
"""

from __future__ import annotations

import gzip
import json
import random
import unicodedata
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog
from aiohttp import web

from indexer import errors
from indexer.cairo import view_call
from indexer.chain import rpc
from tests.integration import chain_stage
from tests.integration.chain_stage import SETTINGS, failure, refused

ASK = rpc.Request("starknet_chainId")


async def answered(reply: chain_stage.Reply, request: rpc.Request = ASK) -> Any:
    async with chain_stage.endpoint(reply) as (made, _):
        return msgspec.json.decode(await made.call(request))


def envelope(message: Any, **fields: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": "0x7", **fields}


def without(name: str) -> Callable[[Any], bytes]:
    def reply(message: Any) -> bytes:
        whole = envelope(message)
        del whole[name]
        return json.dumps(whole).encode()

    return reply


ODD: dict[str, Callable[[Any], Any]] = {
    "an id as text": lambda m: json.dumps(envelope(m, id=str(m["id"]))).encode(),
    "an id as a float": lambda m: json.dumps(envelope(m, id=float(m["id"]))).encode(),
    "no jsonrpc": without("jsonrpc"),
    "another jsonrpc": lambda m: json.dumps(envelope(m, jsonrpc="1.0")).encode(),
    "jsonrpc as a number": lambda m: json.dumps(envelope(m, jsonrpc=2.0)).encode(),
    "an error that is null": lambda m: json.dumps(envelope(m, error=None)).encode(),
    "a byte order mark": lambda m: b"\xef\xbb\xbf" + json.dumps(envelope(m)).encode(),
    "blanks around": lambda m: b" \r\n\t" + json.dumps(envelope(m)).encode() + b"\n\n",
    "x-gzip": lambda m: web.Response(
        body=gzip.compress(json.dumps(envelope(m)).encode()),
        headers={"Content-Encoding": "x-gzip"},
    ),
    "gzip": lambda m: web.Response(
        body=gzip.compress(json.dumps(envelope(m)).encode()), headers={"Content-Encoding": "gzip"}
    ),
    "text/plain": lambda m: web.Response(text=json.dumps(envelope(m)), content_type="text/plain"),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_answer_that_means_the_right_thing_is_taken(name: str) -> None:
    assert await answered(ODD[name]) == "0x7"


@pytest.mark.parametrize("convert", [str, float, lambda id_: f"{id_:03}"])
async def test_odd_ids_of_a_batch_are_matched(convert: Callable[[int], object]) -> None:
    def reply(message: Any) -> bytes:
        items = [envelope(one, id=convert(one["id"]), result=one["id"]) for one in message]
        return json.dumps(items[::-1]).encode()

    async with chain_stage.endpoint(reply) as (made, liar):
        found = await made.call_many([ASK] * 5)
    assert [int(bytes(one)) for one in found] == [1, 2, 3, 4, 5]
    assert len(liar.asked) == 1


@pytest.mark.parametrize("code", ["24", 24.0, " 24"])
async def test_an_odd_code_is_read(code: object) -> None:
    def reply(message: Any) -> bytes:
        error = {"code": code, "message": "Block not found"}
        return json.dumps({"id": message["id"], "error": error}).encode()

    error = await failure(answered(reply))
    assert isinstance(error, errors.RpcError) == (code != " 24")


NAMED_FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "brotli": (
        lambda m: web.Response(body=b"\x0b\x02\x80x\x03", headers={"Content-Encoding": "br"}),
        "answered in the encoding 'br', which was not asked for",
    ),
    "zstd": (
        lambda m: web.Response(body=b"\x28\xb5\x2f\xfd", headers={"Content-Encoding": "zstd"}),
        "answered in the encoding 'zstd', which was not asked for",
    ),
    "compress": (
        lambda m: web.Response(body=b"\x1f\x9d", headers={"Content-Encoding": "compress"}),
        "answered in the encoding 'compress', which was not asked for",
    ),
    "broken x-gzip": (
        lambda m: web.Response(body=b"no gzip", headers={"Content-Encoding": "x-gzip"}),
        "answered with broken gzip",
    ),
    "201": (lambda m: web.Response(status=201, text="{}"), "answered HTTP 201 and not 200"),
    "204": (lambda m: web.Response(status=204), "answered HTTP 204 and not 200"),
    "301": (
        lambda m: web.Response(status=301, headers={"Location": "https://other.example/v2/k3y"}),
        "answered HTTP 301, a redirect to https://other.example/***, which is not followed",
    ),
    "nothing": (lambda m: b"", "answered with an empty body"),
}


@pytest.mark.parametrize("name", NAMED_FAULTS)
async def test_the_message_names_the_fault(name: str) -> None:
    reply, says = NAMED_FAULTS[name]
    error = await failure(answered(reply))
    assert isinstance(error, errors.NodeError)
    assert says in str(error)
    assert "k3y" not in str(error)


# --- views that are not there ---------------------------------------------------------------

VIEW = view_call.ViewCall(1, 7, "price")
FELT = "0x454e545259504f494e545f4e4f545f464f554e44"
ABSENT: dict[str, Callable[[Any], Any]] = {
    "code 20": lambda m: refused(m, 20, "Contract not found"),
    "code 21": lambda m: refused(m, 21, "Requested entrypoint does not exist in the contract"),
    "code 40": lambda m: refused(m, 40, "Contract error", {"revert_error": FELT}),
    "code 41": lambda m: refused(m, 41, "Transaction execution error", {"execution_error": "x"}),
    "a felt as the result": lambda m: [FELT],
    "a felt in a message": lambda m: refused(m, -32000, f"({FELT} ('ENTRYPOINT_NOT_FOUND'))"),
    "words in data": lambda m: refused(m, -32603, "Internal error", "EntryPoint_Not_Found"),
    "a contract's words that sound busy": lambda m: refused(
        m, 40, "Contract error", {"revert_error": "rate limit exceeded, retry later"}
    ),
    "a contract's message that sounds busy": lambda m: refused(m, 41, "timed out, overloaded"),
}


@pytest.mark.parametrize("name", ABSENT)
async def test_a_view_that_is_not_there_is_a_refusal_of_the_contract(name: str) -> None:
    async with chain_stage.endpoint(ABSENT[name]) as (made, liar):
        (found,) = await chain_stage.unprobed(made).calls([VIEW], {1: "0x1"})
    assert isinstance(found, errors.RpcError)
    assert len(liar.asked) == 1


# --- control characters ---------------------------------------------------------------------


def odd_text(dice: random.Random) -> str:
    """Words between control characters, directions, surrogates and unassigned code points."""
    odd = [chr(one) for one in (*range(0x20), *range(0x7F, 0xA0), 0x200B, *range(0x202A, 0x2030))]
    odd += ["\x1b[31m", "\x1b]0;title\x07", "\u2028", "\u2066", "\ue000", "\U000e0001", "\r\n"]
    pieces = [dice.choice([*odd, "word", " ", "é", "漢"]) for _ in range(dice.randint(5, 60))]
    return "node" + "".join(pieces)


@pytest.mark.parametrize("seed", range(10))
async def test_a_node_s_words_are_shown_without_control_characters(seed: int) -> None:
    dice = random.Random(seed)
    words = odd_text(dice)
    print(f"seed {seed}: {words!r}")
    replies: list[Callable[[Any], Any]] = [
        lambda m: refused(m, -32077, words),
        lambda m: refused(m, 24, words),
        lambda m: json.dumps(envelope(m, id=words)).encode(),
        lambda m: words.encode("utf-8", "surrogatepass"),
        lambda m: web.Response(status=502, text=words),
    ]
    for reply in replies:
        with structlog.testing.capture_logs() as logged:
            error = await failure(answered(reply))
        shown = [str(error), *(str(line.get("reason", "")) for line in logged)]
        for text in shown:
            assert not [one for one in text if unicodedata.category(one)[0] == "C"]


async def test_a_version_is_shown_without_control_characters() -> None:
    async with chain_stage.lying(lambda _: "0.\x1b[2J11\x07.0") as liar:
        error = await failure(chain_stage.client.connect([liar.url], None, SETTINGS))
    assert isinstance(error, errors.UnsupportedSpecError)
    assert str(error).isprintable()
