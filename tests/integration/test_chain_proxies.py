"""HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY of the environment, with a proxy on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
import structlog

from indexer import errors
from indexer.chain import client, rpc, transport
from tests.integration import chain_stage
from tests.integration.chain_stage import KEY, SETTINGS, failure

SEED = 20282
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Proxy:
    """An HTTP proxy that passes requests on; `lines`: the first lines of what it was asked."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.heads: list[str] = []
        self.refusal = b""
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, _, rest = head.partition("\r\n")
                self.lines.append(line)
                self.heads.append(head)
                if self.refusal:
                    writer.write(self.refusal)
                    await writer.drain()
                    break
                fields = dict(one.split(": ", 1) for one in rest.strip().split("\r\n"))
                body = await reader.readexactly(int(fields.get("Content-Length", 0)))
                writer.write(await self.passed_on(line, rest, body))
                await writer.drain()
        writer.close()

    async def passed_on(self, line: str, rest: str, body: bytes) -> bytes:
        method, url, version = line.split()
        host, _, path = url.removeprefix("http://").partition("/")
        name, port = host.split(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        writer.write(f"{method} /{path} {version}\r\nConnection: close\r\n{rest}".encode() + body)
        answer = await reader.read()
        writer.close()
        return answer

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


THROUGH = {
    "HTTP_PROXY": ("HTTP_PROXY", "http://127.0.0.1:{port}", ""),
    "http_proxy": ("http_proxy", "http://127.0.0.1:{port}", ""),
    "without a scheme": ("HTTP_PROXY", "127.0.0.1:{port}", ""),
    "with a password": ("HTTP_PROXY", "http://me:s3cret@127.0.0.1:{port}", ""),
    "ALL_PROXY": ("ALL_PROXY", "http://127.0.0.1:{port}", ""),
    "NO_PROXY of another host": ("HTTP_PROXY", "http://127.0.0.1:{port}", "example.org,.lan"),
}
PAST = {
    "the host": "127.0.0.1",
    "the host among others": "example.org, 127.0.0.1",
    "the host and its port": "127.0.0.1:{node}",
    "everything": "*",
}


@pytest.mark.parametrize("name", THROUGH)
async def test_requests_go_through_the_proxy_of_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, value, past = THROUGH[name]
    async with Proxy().serving() as proxy, chain_stage.recorded() as url:
        monkeypatch.setenv(variable, value.replace("{port}", str(proxy.port)))
        monkeypatch.setenv("NO_PROXY", past)
        with structlog.testing.capture_logs() as logged:
            async with chain_stage.connected(url) as node:
                assert (await node.head()).number == chain_stage.LAST
    assert proxy.lines
    assert all(line.startswith(f"POST {url}") for line in proxy.lines)
    (line,) = [line for line in logged if line["event"] == "proxy_used"]
    assert line["proxy"] == f"http://127.0.0.1:{proxy.port}"
    assert "s3cret" not in str(logged)
    assert any("Proxy-Authorization: Basic" in head for head in proxy.heads) == ("s3cret" in value)


@pytest.mark.parametrize("name", PAST)
async def test_no_proxy_is_honoured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Proxy().serving() as proxy, chain_stage.recorded() as url:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        port = url.rstrip("/").rpartition(":")[2]
        monkeypatch.setenv("NO_PROXY", PAST[name].replace("{node}", port))
        async with chain_stage.connected(url) as node:
            assert (await node.head()).number == chain_stage.LAST
            assert node.source.endpoint.proxy is None
    assert proxy.lines == []


@pytest.mark.parametrize("seed", range(10))
async def test_drawn_environments_are_understood(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which variable counts, and whether NO_PROXY names the host, as curl and Python have it."""
    dice = random.Random(f"{SEED}-{seed}")
    host = f"{dice.choice(['node', 'rpc-7', 'a.b'])}.{dice.choice(['example', 'lan', 'test'])}"
    scheme, port = dice.choice(["http", "https"]), dice.choice([None, 9545])
    variable = dice.choice([f"{scheme}_proxy".upper(), f"{scheme}_proxy", "ALL_PROXY", "all_proxy"])
    other = "http_proxy" if scheme == "https" else "https_proxy"
    suffix = host.partition(".")[2]
    named = [
        host,
        f".{suffix}",
        suffix,
        host.upper(),
        "*",
        host if port is None else f"{host}:9545",
    ]
    unnamed = [f"x{host}", f"{host}.org", f"other.{host}", "127.0.0.1", f"{host}:1", ""]
    is_past = dice.random() < 0.5
    names = dice.sample(unnamed, 2) + ([dice.choice(named)] if is_past else [])
    dice.shuffle(names)
    monkeypatch.setenv(variable, "http://me:s3cret@proxy.example:3128")
    monkeypatch.setenv(dice.choice([other.upper(), other]), "http://wrong.example:1")
    monkeypatch.setenv(dice.choice(["NO_PROXY", "no_proxy"]), dice.choice([",", ", "]).join(names))
    url = f"{scheme}://{host}{'' if port is None else f':{port}'}/v2/{KEY}"
    print(f"seed {SEED}: {variable}, {names}, {url}")
    found = transport.proxy_of(url)
    assert (found is None) == is_past
    assert found is None or "proxy.example:3128" in str(found)


async def test_https_asks_the_proxy_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Proxy().serving() as proxy:
        proxy.refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@127.0.0.1:{proxy.port}")
        made = rpc.Endpoint(f"https://node.example/v2/{KEY}", SETTINGS)
        error = await failure(made.call(rpc.Request("starknet_chainId")))
        await made.close()
    assert set(proxy.lines) == {"CONNECT node.example:443 HTTP/1.1"}
    where = f"through the proxy http://127.0.0.1:{proxy.port}: the proxy answered HTTP 407"
    assert where in str(error)


async def test_a_proxy_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    error = await failure(client.connect(["http://node.example"], None, SETTINGS))
    assert "through the proxy http://127.0.0.1:1: Connect" in str(error)


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1080", "socks5h://h:1", "ftp://h"])
def test_a_proxy_that_is_not_http_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(errors.ConfigError, match="only http and https proxies are supported"):
        transport.proxy_of("https://node.example/")
    monkeypatch.setenv("NO_PROXY", "node.example")
    assert transport.proxy_of("https://node.example/") is None
