"""URLs without their secrets, as they are shown in logs, metrics, errors and answers."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Iterable
from urllib import parse

SHORTEST_KEY = 8
"""How long a piece of a node's path must be to count as a key."""

LONGEST_WORD = 24
"""No word of a message is so long."""

_PASSWORDS = ("password", "sslpassword", "passfile")

_SECRET = re.compile(r"((?:^|[?&])[^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


_HEADER = re.compile(
    r"""((?:proxy-)?authorization(?:["'\\\s]|%2[02])*(?:[:=>]|%3[ad])+(?:["'\\\s]|%2[02])*)"""
    r"""(?:[a-z][\w-]*(?:\s|\+|%20)+)?(?:\w+\s*=\s*\\?"[^"]*"|[^\s"'\\,;<>{}\[\]()]+)"""
    r"""(?:\s*,\s*\w+\s*=\s*(?:\\?"[^"]*"|[^\s,;"]+))*""",
    re.IGNORECASE,
)
"""An Authorization header, its scheme and what follows, in any text: as JSON, a dict, curl's."""

_BASIC = re.compile(r"\b(basic(?:\s|\+|%20)+)([a-z0-9+/_-]{4,}(?:=|%3d)*)", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer(?:\s|\+|%20)+)(?=\S*\d)[\w.~+/=%-]{8,}", re.IGNORECASE)


def redact(url: str) -> str:
    """A URL that may be shown.

    Of a PostgreSQL URL the password is hidden, however badly it is quoted. Of any other URL
    only scheme, host and port are shown: providers put keys into paths, queries and user names.
    """
    scheme = url.partition("://")[0]
    if scheme.partition("+")[0] in {"postgresql", "postgres"}:
        return _without_password(url)
    return _origin(url)


def secrets_of(url: str) -> list[str]:
    """What may be a key in a node's URL, longest first: long pieces of the path, the values of
    the query, user name and password, each as written, quoted and unquoted, and user and password
    as an Authorization header says them."""
    parts = parse.urlsplit(url)
    pieces = [piece for piece in parts.path.split("/") if len(piece) >= SHORTEST_KEY]
    values = [value for _, value in parse.parse_qsl(parts.query)]
    found = {piece for piece in (*pieces, *values, parts.username, parts.password) if piece}
    found |= {parse.unquote(piece) for piece in found}
    found |= {parse.quote(piece, safe="") for piece in found}
    return sorted(found | set(_basic(parts)), key=len, reverse=True)


def _basic(parts: parse.SplitResult) -> Iterable[str]:
    """User and password in base64, in both alphabets, without what pads it."""
    if parts.username is None and parts.password is None:
        return
    login = f"{parts.username or ''}:{parts.password or ''}"
    logins = (login, parse.unquote(login))
    for text, encoding in itertools.product(logins, ("utf-8", "latin-1")):
        sent = text.encode(encoding, "ignore")
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(sent).decode().rstrip("=")


def is_key_like(secret: str) -> bool:
    """Whether a secret is so long, or so mixed, that no word of ours can be it by chance."""
    return len(secret) >= LONGEST_WORD or (
        len(secret) >= SHORTEST_KEY and any(char.isdigit() for char in secret)
    )


def passwords_of(url: str) -> list[str]:
    """The passwords in a database's URL, as written and unquoted; none where it cannot be read."""
    try:
        parts = parse.urlsplit(url)
        query = parse.parse_qs(parts.query)
        found = {parts.password, *(value for name in _PASSWORDS for value in query.get(name, ()))}
    except ValueError:
        return []
    passwords = {word for word in found if word}
    return sorted(passwords | {parse.unquote(word) for word in passwords})


def hide(text: str, secrets: Iterable[str]) -> str:
    """Somebody else's text without these secrets, in any case, and without what authorizes."""
    for secret in secrets:
        text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
    text = _HEADER.sub(r"\1***", text)
    text = _BASIC.sub(lambda found: f"{found[1]}***" if _is_login(found[2]) else found[0], text)
    return _BEARER.sub(r"\1***", text)


def _is_login(text: str) -> bool:
    """Whether this is user and password in base64, and no word such as `authentication`."""
    bare = parse.unquote(text).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b":" in base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    login, sign, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{scheme}{separator}{user}{colon and ':***'}{sign}{host}"
    return _SECRET.sub(r"\1***", shown)


def _origin(url: str) -> str:
    parts = parse.urlsplit(url)
    host = parts.hostname or "?"
    host = f"[{host}]" if ":" in host else host
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ":?"
    rest = "/***" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{host}{port}{rest}"
