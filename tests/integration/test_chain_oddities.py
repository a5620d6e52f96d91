"""Odd answers drawn by a seeded dice: several oddities at once, views that are not there, faults.

Each means what it means whatever the wording is; docs/failure-modes.md has a row for each kind.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from typing import Any

import msgspec
import pytest
from aiohttp import web

from indexer import errors
from indexer.cairo import view_call
from indexer.chain import rpc
from tests import odd_gateway
from tests.integration import chain_stage
from tests.integration.chain_stage import KEY, failure, refused

SEED = 20281
SEEDS = range(SEED, SEED + 10)
ASK = rpc.Request("starknet_chainId")


async def answered(reply: chain_stage.Reply) -> Any:
    async with chain_stage.endpoint(reply) as (made, _):
        return msgspec.json.decode(await made.call(ASK))


def odd(dice: random.Random, message: Any) -> web.Response:
    """The right answer, with as many oddities as the dice says."""
    id_ = message["id"]
    members: list[tuple[str, Any]] = [
        ("id", dice.choice([id_, str(id_), float(id_), f"{id_:04}"])),
        ("result", "0x7"),
    ]
    members += dice.choice(
        [[], [("jsonrpc", dice.choice(["2.0", "1.0", 2, 2.0, None, ""]))], [("error", None)]]
    )
    members += [(f"x-{dice.randint(0, 99)}", dice.choice([None, [], {"id": 9}, "é\u0000"]))]
    dice.shuffle(members)
    body = json.dumps(dict(members), ensure_ascii=dice.random() < 0.5).encode()
    body = dice.choice([b"", b"\xef\xbb\xbf"]) + dice.choice([b"", b"\r\n\t "]) + body
    body += dice.choice([b"", b"\n\n "])
    headers = {}
    match dice.choice(["", "gzip", "x-gzip", "GZIP", "deflate", "identity"]):
        case "deflate":
            headers, body = {"Content-Encoding": "deflate"}, zlib.compress(body)
        case "identity":
            headers = {"Content-Encoding": "identity"}
        case "":
            pass
        case coding:
            headers, body = {"Content-Encoding": coding}, gzip.compress(body)
    kind = dice.choice(["application/json", "text/plain", "application/octet-stream", "text/html"])
    return web.Response(body=body, headers=headers, content_type=kind)


@pytest.mark.parametrize("seed", SEEDS)
async def test_several_oddities_at_once_are_taken(seed: int) -> None:
    dice = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(10):
        assert await answered(lambda message: odd(dice, message)) == "0x7"


# --- views that are not there ---------------------------------------------------------------

VIEW = view_call.ViewCall(1, 7, "price")
ENTRYPOINT = ("ENTRYPOINT_NOT_FOUND", "0x454e545259504f494e545f4e4f545f464f554e44")
WORDS = (*odd_gateway.RATE_WORDS, *odd_gateway.PASSING_WORDS, "Contract error", "panic", "")


def absent(dice: random.Random, message: Any) -> bytes:
    """A refusal of the contract: by its code, or by the name of the error at any place."""
    words = odd_gateway.wording(dice, WORDS)
    if dice.random() < 0.5:
        data = dice.choice([None, words, {"revert_error": words}, [words, 7], 0])
        return refused(message, dice.choice([20, 21, 40, 41]), words, data)
    name = dice.choice(ENTRYPOINT)
    name = dice.choice([name, name.lower(), f"Error(('{name}',))", f"x{name}y"])
    code = odd_gateway.code(dice)
    if dice.random() < 0.5:
        return refused(message, code, f"{words} {name}")
    return refused(message, code, words, dice.choice([name, {"error": {"revert": [name]}}]))


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_view_that_is_not_there_in_any_words_is_a_refusal(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(10):
        drawn = []

        def reply(message: Any, drawn: list[bytes] = drawn) -> bytes:
            drawn.append(absent(dice, message))
            return drawn[-1]

        async with chain_stage.endpoint(reply) as (made, liar):
            (found,) = await chain_stage.unprobed(made).calls([VIEW], {1: "0x1"})
        print(f"seed {seed}: {drawn}")
        assert isinstance(found, errors.RpcError)
        assert len(liar.asked) == 1


# --- what a message must name ----------------------------------------------------------------


def faulty(dice: random.Random) -> tuple[web.Response, str]:
    """An answer of a proxy or gateway before the node, and what must be said of it."""
    match dice.choice(["coding", "status", "redirect", "gzip"]):
        case "coding":
            coding = dice.choice(["br", "zstd", "compress", "exi", "dcb", "br, gzip"])
            body = dice.randbytes(dice.randint(1, 50))
            said = "which was not asked for"
            return web.Response(body=body, headers={"Content-Encoding": coding}), said
        case "status":
            status = dice.choice([201, 202, 203, 204, 205, 206, 207, 226])
            return web.Response(status=status, text="{}"), f"answered HTTP {status} and not 200"
        case "redirect":
            status = dice.choice([301, 302, 303, 307, 308])
            host = f"other-{dice.randint(1, 99)}.example"
            to = f"https://{host}/{dice.choice(['v2', 'rpc'])}/{KEY}"
            answer = web.Response(status=status, headers={"Location": to})
            return answer, rf"answered HTTP {status}, a redirect to https://{host}/\*\*\*"
    cut = gzip.compress(b'{"id":1,"result":"0x7"}' * 9)[: dice.randint(11, 25)]
    coding = dice.choice(["gzip", "x-gzip"])
    return web.Response(body=cut, headers={"Content-Encoding": coding}), "gzip|truncated|empty"


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_message_names_any_fault_of_the_way(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(6):
        state, says = dice.getstate(), faulty(dice)[1]

        def reply(_: Any, state: Any = state) -> web.Response:
            again = random.Random()
            again.setstate(state)
            return faulty(again)[0]

        error = await failure(answered(reply))
        print(f"seed {seed}: {error}")
        assert isinstance(error, errors.NodeError)
        assert re.search(says, str(error))
