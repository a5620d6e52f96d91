"""The text forms of single values: felts, chain ids and URLs, checked and made uniform.

Every check raises ValueError with what the value must be and never with the value itself,
since URLs hold secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib import parse

import msgspec

from indexer import values as texts
from indexer.cairo import felt252

_JOINED = re.compile(r"[;,|+&\s]+https?://", re.IGNORECASE)
"""Two URLs in one, joined by what does not separate them."""

SHORT_STRING_LENGTH = 31
"""A Cairo short string holds at most 31 ASCII characters."""


def felt(text: str) -> int:
    """The integer of hex text such as an address: above 0 and below the field's prime."""
    if not re.fullmatch("0x[0-9a-fA-F]+", text):
        raise ValueError("must be 0x and hex digits")
    if not 0 < (value := int(text, 16)) < felt252.PRIME:
        raise ValueError("must be a felt: above 0 and below the field's prime")
    return value


def chain_id(text: str) -> str:
    """Canonical hex text, as a node answers it, of a chain id in hex or as a short string."""
    if text.startswith("0x"):
        return f"{felt(text):#x}"
    if not text.isascii() or len(text) > SHORT_STRING_LENGTH:
        raise ValueError("must be hex (0x…) or a short string such as SN_MAIN")
    return f"0x{text.encode().hex()}"


def node_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    """The URLs as they are, each of them http or https with a host."""
    for index, url in enumerate(urls):
        try:
            parts = parse.urlsplit(url)
            fine = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            fine = False
        if not fine:
            raise ValueError(f"must be http://host… or https://host… - at `$[{index}]`")
        if _JOINED.search(url):
            raise ValueError(f"must be separated by commas or spaces - at `$[{index}]`")
    return urls


def pool_ids(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Pool ids as the tables hold them, each once."""
    found = []
    for index, text in enumerate(texts):
        try:
            found.append(felt252.padded(felt(text)))
        except ValueError as error:
            raise ValueError(f"{error} - at `$[{index}]`") from error
    return tuple(dict.fromkeys(found))


def database_url(url: str) -> str:
    """The plain form that asyncpg takes, of that and of postgresql+psycopg:// and its kin."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError("must be postgresql://user:password@host:port/name")
    return f"postgresql://{rest}"


def with_ssl(url: str) -> str:
    """The URL with an encrypted connection demanded, unless it says itself what it wants."""
    if "sslmode=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}sslmode=require"


def with_schema(url: str, schema: str | None) -> str:
    """The URL with a search path of this schema alone; None: as it is."""
    if schema is None:
        return url
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"


def json_array(text: str) -> object:
    """What a JSON text holds; ValueError where it is none."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"must be a JSON array of objects ({error})") from error


def guide_url(environ: Mapping[str, str], port: str) -> str:
    """One URL from DB_NAME, DB_USER, DB_PASSWORD and DB_HOST, a name or a socket's folder."""
    user, password, name = (
        parse.quote(environ.get(key, ""), safe="") for key in ("DB_USER", "DB_PASSWORD", "DB_NAME")
    )
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host = environ.get("DB_HOST") or "localhost"
    if host.startswith("/"):
        return f"postgresql://{login}/{name}?{parse.urlencode({'host': host, 'port': port})}"
    return f"postgresql://{login}{f'[{host}]' if ':' in host else host}:{port}/{name}"


def default_data_dir(environ: Mapping[str, str]) -> Path | None:
    """The platform's place for a user's data: XDG_DATA_HOME, else ~/.local/share.

    None for a user without a home, as in a container with an arbitrary user id.
    """
    base = environ.get("XDG_DATA_HOME", "")
    if not Path(base).is_absolute():
        try:
            home = environ.get("HOME") or str(Path.home())
        except RuntimeError:
            return None
        base = str(Path(home, ".local", "share"))
    return Path(base, "vesu-indexer")


def expanded(path: str) -> Path:
    """The path with a leading ~ replaced; ValueError for a user without a home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{path}: ~ stands for no folder, since this user has no home: set HOME, or write "
            "the whole path"
        ) from None


def unknown_key(key: str, known: Iterable[str], prefix: str = "") -> str:
    """What an error says of an unknown key: the nearest one where one is near, else all of them.

    The prefix that they share makes none of them near.
    """
    near = _nearest(key, known, prefix)
    hint = f"the nearest known is {near}" if near else f"known are {', '.join(known)}"
    return f"unknown key {key}; {hint}"


def unknown_variable(name: str, known: Iterable[str]) -> str:
    """The same of a variable; all of them are too many to list."""
    near = _nearest(name, known, "VESU_")
    hint = f"the nearest known is {near}" if near else "docs/reference.md lists the known ones"
    return f"unknown variable {name}; {hint}"


def _nearest(name: str, known: Iterable[str], prefix: str) -> str | None:
    near = texts.nearest(name.removeprefix(prefix), [each.removeprefix(prefix) for each in known])
    return near and next(each for each in known if each.removeprefix(prefix) == near)


_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_MISMATCH = re.compile(r"Expected `([a-z |]+)`, got `([a-z]+)`")


_PATTERN = re.compile(r"Expected `str` matching regex '.*'")


def plain(reason: str) -> str:
    """Why a value has the wrong type, in words of the file: text for str, a list for array."""

    def worded(match: re.Match[str]) -> str:
        type_names = (part for part in match[1].split(" | ") if part != "null")
        return f"must be {' or '.join(map(_worded, type_names))}, not {_worded(match[2])}"

    reason = _PATTERN.sub("has not the form of a name", reason)
    return _MISMATCH.sub(worded, reason).removesuffix(" - at `$`")


def _worded(name: str) -> str:
    return _TYPES.get(name, name)
