"""URLs without their secrets, as they are shown in logs, metrics, errors and answers."""

from __future__ import annotations

import re
from urllib import parse

SHORTEST_KEY = 8
"""How long a piece of a node's path must be to count as a key."""

_SECRET = re.compile(r"((?:^|[?&])[^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


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
    the query, user name and password, each as written and unquoted."""
    parts = parse.urlsplit(url)
    pieces = [piece for piece in parts.path.split("/") if len(piece) >= SHORTEST_KEY]
    values = [value for _, value in parse.parse_qsl(parts.query)]
    found = {piece for piece in (*pieces, *values, parts.username, parts.password) if piece}
    return sorted(found | {parse.unquote(piece) for piece in found}, key=len, reverse=True)


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{scheme}{separator}{user}{colon and ':***'}{at}{host}"
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
