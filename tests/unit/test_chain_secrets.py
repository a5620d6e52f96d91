"""What authorizes us stays secret, whatever a node makes of the header that it was sent."""

from __future__ import annotations

import base64
import json
import random
import string
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib import parse

import pytest
from aiohttp import web

from indexer import errors, urls
from indexer.chain import probe, rpc
from tests.unit import chain_stage

SEED = 20266
LETTERS = string.ascii_letters + string.digits + "@:/?#%&=+ ~é"

WORDINGS: dict[str, Callable[[str], str]] = {
    "alone": lambda sent: sent,
    "header": lambda sent: f"no route for Authorization: {sent}, try again",
    "lower case": lambda sent: f"rejected header authorization={sent}",
    "upper case": lambda sent: f"AUTHORIZATION: {sent.upper()}",
    "JSON": lambda sent: json.dumps({"headers": {"Authorization": sent, "Accept": "*/*"}}),
    "JSON in JSON": lambda sent: json.dumps(json.dumps({"authorization": sent})),
    "dict": lambda sent: str({"Proxy-Authorization": sent}),
    "curl": lambda sent: f"curl -H 'Authorization: {sent}' failed",
    "token": lambda sent: f"unknown credentials {sent.partition(' ')[2]}",
    "without padding": lambda sent: f"bad token <{sent.partition(' ')[2].rstrip('=')}>",
    "URL-safe": lambda sent: f"token {sent[6:].replace('+', '-').replace('/', '_')} is not known",
    "quoted": lambda sent: f"query authorization={parse.quote(sent)}&chain=main",
}


def login(variant: int) -> tuple[str, str]:
    """User and password, drawn at random; one of them may be missing."""
    chance = random.Random(f"{SEED}-{variant}")
    user, password = ("".join(chance.choices(LETTERS, k=chance.randint(6, 24))) for _ in "ab")
    return [(user, password), (user, password), (user, ""), ("", password)][variant % 4]


@pytest.fixture
async def node() -> AsyncIterator[chain_stage.FakeNode]:
    async with chain_stage.FakeNode().serving() as serving:
        yield serving


@pytest.mark.parametrize("variant", range(8))
@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("place", ["message", "body", "version"])
async def test_an_echoed_authorization_is_not_shown(
    node: chain_stage.FakeNode,
    place: str,
    wording: str,
    variant: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The node repeats the very header that it was sent, in a message, a body or its version."""
    user, password = login(variant)
    sent: list[str] = []

    def echo(request: web.Request, message: Any) -> web.StreamResponse:
        sent.append(request.headers["Authorization"])
        text = WORDINGS[wording](sent[-1])
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if place == "message":
            return web.json_response(answer | {"error": {"code": 77, "message": text}})
        if place == "body":
            return web.Response(text=f'{{"jsonrpc": "{text}')
        return web.json_response(answer | {"result": text})

    node.faults.extend([echo] * 9)
    quoted = ":".join(parse.quote(part, safe="") for part in (user, password))
    endpoint = rpc.Endpoint(node.url.replace("://", f"://{quoted}@"), chain_stage.QUICK)
    try:
        with pytest.raises(errors.NodeError) as caught:
            await probe.probe(endpoint, int(chain_stage.MAIN, 16))
    finally:
        await endpoint.close()
    shown = "".join(traceback.format_exception(caught.value)) + "".join(capsys.readouterr())
    encoded = sent[0].partition(" ")[2].rstrip("=")
    assert base64.b64decode(sent[0].partition(" ")[2]).decode("latin-1") == f"{user}:{password}"
    for secret in (encoded, encoded.replace("+", "-").replace("/", "_"), password or user):
        assert secret.lower() not in shown.lower()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Authorization: Bearer abc.def-123 is not valid", "Authorization: *** is not valid"),
        ("'authorization': 'Token abcdef'", "'authorization': '***'"),
        (
            'authorization: Digest username="me", realm="x", response="0a1b" failed',
            "authorization: *** failed",
        ),
        ("Proxy-Authorization=Negotiate YIIabc==; retry", "Proxy-Authorization=***; retry"),
        (f"basic {base64.b64encode(b'me:word').decode()} refused", "basic *** refused"),
        ("bearer eyJhbGciOi.J9eyJzdWIi.x12 expired", "bearer *** expired"),
        ("basic authentication required", "basic authentication required"),
        ("send a bearer credential in the header", "send a bearer credential in the header"),
        ("not authorized: too many requests", "not authorized: too many requests"),
    ],
)
def test_what_authorizes_others_is_not_shown_either(said: str, shown: str) -> None:
    assert urls.hide(said, ()) == shown
