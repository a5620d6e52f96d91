"""HTTP to one node: one session, bounded bodies, every failure one of the node's errors.

URLs may hold keys, so neither they nor the messages of aiohttp are shown.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import time
import zlib
from collections.abc import AsyncIterator
from urllib import parse, request

import aiohttp
import msgspec

from indexer import errors, urls

LARGEST_BODY = 64 * 1024 * 1024
DECODED = frozenset({"", "identity", "gzip", "deflate"})
"""Content encodings that aiohttp decodes without a further library."""

DEFINITE = frozenset({401, 402, 403, 404, 405, 407, 410, 415, 426, 451})
"""Statuses that promise nothing else for the same URL and key."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


_ENCODING = re.compile(r"content-encoding: (?:\w+ \()?([\w-]+)")


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer: status, header fields by lower-case name, and the decoded body."""

    status: int
    fields: dict[str, str]
    body: bytes


class Transport:
    """POSTs JSON to one URL, at most `max_connections` at a time. Seconds for the time-out."""

    def __init__(self, url: str, timeout_seconds: float, max_connections: int) -> None:
        self.name = urls.redact(url)
        self._url = url
        self._timeout = timeout_seconds
        self._max_connections = max_connections
        self._proxy = proxy_of(url)
        self._session: aiohttp.ClientSession | None = None

    @property
    def proxy(self) -> str | None:
        """The proxy of the environment that requests go through, as it may be shown."""
        return None if self._proxy is None else urls.redact(self._proxy)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, body: bytes) -> Reply:
        """The answer to a request, whatever its status."""
        # A redirect would turn the POST into a GET.
        asking = self._opened().post(self._url, data=body, allow_redirects=False, proxy=self._proxy)
        async with self._mapped(), asking as response:
            encoding = response.headers.get("Content-Encoding", "").strip().lower()
            answer = await self._bounded(response)
            if encoding == "x-gzip":
                answer = self._inflated(answer)
            elif encoding not in DECODED:
                raise self._undecodable(encoding)
            fields = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, fields, answer.removeprefix(BYTE_ORDER_MARK))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            total = self._timeout
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=total, sock_connect=min(total, 10)),
                headers={"Content-Type": "application/json"},
                connector=aiohttp.TCPConnector(limit=self._max_connections),
            )
        return self._session

    async def _bounded(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, read no further than the limit."""
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > LARGEST_BODY:
                raise self._too_large()
            parts.append(part)
        return b"".join(parts)

    def _inflated(self, body: bytes) -> bytes:
        """A gzip body under its old name, which aiohttp does not decode."""
        inflating = zlib.decompressobj(wbits=31)
        try:
            found = inflating.decompress(body, LARGEST_BODY)
        except zlib.error as error:
            raise errors.NodeUnreachableError(
                f"{self.name} answered with broken gzip", kind="not_json_rpc"
            ) from error
        if inflating.unconsumed_tail:
            raise self._too_large()
        return found

    def _too_large(self) -> errors.RangeTooLargeError:
        return errors.RangeTooLargeError(
            f"{self.name} answered with more than {LARGEST_BODY} bytes"
        )

    def _undecodable(self, encoding: str) -> errors.NodeUnreachableError:
        return errors.NodeUnreachableError(
            f"{self.name} answered in the encoding {encoding[:20]!r}, which was not asked for "
            "(only gzip and deflate were): check the proxy in front of the node",
            kind="not_json_rpc",
        )

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
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> errors.NodeUnreachableError:
        encoding = _foreign_encoding(error)
        if encoding is not None:
            return self._undecodable(encoding)
        through = "" if self._proxy is None else f" through the proxy {self.proxy}"
        return errors.NodeUnreachableError(
            f"{self.name} cannot be reached{through}: {_reason(error)}"
        )


def http_error(name: str, reply: Reply) -> errors.NodeError:
    """The error that a status other than 200 means, where the body has no JSON-RPC error."""
    status = reply.status
    message = f"{name} answered HTTP {status}"
    if status in (408, 413):
        return errors.RangeTooLargeError(message)
    if status in (429, 503):
        return errors.NodeBusyError(message, retry_after(reply.fields.get("retry-after")))
    if status >= 500:
        return errors.NodeUnreachableError(message, kind="http_5xx")
    if status < 300:
        message = f"{message} and not 200: what answers there is not a Starknet node"
    elif status < 400:
        to = reply.fields.get("location", "")
        where = f" to {urls.redact(to)}" if "://" in to else ""
        message = f"{message}, a redirect{where}, which is not followed"
    is_definite = status < 400 or status in DEFINITE
    return errors.RefusedRequestError(
        f"{message}: check the URL and its key in node.urls", is_definite=is_definite
    )


def retry_after(header: str | None) -> float | None:
    """The seconds of a Retry-After header, which holds a number or a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(email.utils.parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def proxy_of(url: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY and NO_PROXY name for a URL.

    In upper or lower case, as urllib reads them. ConfigError for one that is not HTTP.
    """
    parts = parse.urlsplit(url)
    found = request.getproxies_environment()
    named = found.get(parts.scheme) or found.get("all")
    host = parts.netloc.rpartition("@")[2]
    if not named or request.proxy_bypass(host):
        return None
    named = named if "://" in named else f"http://{named}"
    if parse.urlsplit(named).scheme not in ("http", "https"):
        raise errors.ConfigError(
            f"the environment names {urls.redact(named)} as the proxy for {urls.redact(url)}: only "
            "http and https proxies are supported; set NO_PROXY for this host, or another proxy"
        )
    return named


def _foreign_encoding(error: Exception) -> str | None:
    """The content encoding that aiohttp could not decode, where that is the error."""
    words = error.message if isinstance(error, aiohttp.ClientResponseError) else ""
    match = _ENCODING.search(words)
    return match[1] if match else None


def _reason(error: BaseException) -> str:
    """The reason of a network error, without the URL that aiohttp puts in."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered HTTP {error.status}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error.strerror or error.os_error)
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
