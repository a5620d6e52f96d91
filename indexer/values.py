"""The text forms of values that people and programs give and get: felts, times, exact decimals.

Parsing raises QuestionError, which names the parameter: the command line maps it to exit code 2,
HTTP to status 400. Writing is exact: a decimal never passes through a float.
"""

from __future__ import annotations

import datetime
import decimal
import difflib
import re
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from indexer import errors
from indexer.cairo import felt252

MAX_BLOCK = 2**63 - 1
"""The highest block number that PostgreSQL's bigint holds."""


def nearest(text: str, known: Iterable[str]) -> str | None:
    """The known name that `text` may be a slip of, whatever its case; None where none is near."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(text[:80].casefold(), by_folded, n=1)
    return by_folded[near[0]] if near else None


def felt(text: str, parameter: str | None = None) -> int:
    """The integer of an address or hash: 0x and 1 to 64 hex digits, with any zero padding."""
    value = int(text, 16) if re.fullmatch("0[xX][0-9a-fA-F]{1,64}", text) else -1
    if not 0 <= value < felt252.PRIME:
        raise errors.QuestionError(
            f"{_shown(text)} is not a Starknet address or hash: write 0x and up to 64 hex digits",
            parameter=parameter,
        )
    return value


def block_number(text: str, parameter: str | None = None) -> int:
    """A block number: decimal digits, at most MAX_BLOCK."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= MAX_BLOCK):
        raise errors.QuestionError(
            f"{_shown(text)} is not a block number: write digits, at most {MAX_BLOCK}",
            parameter=parameter,
        )
    return int(text)


def time(text: str, parameter: str | None = None) -> datetime.datetime:
    """A time in ISO 8601, in UTC where the text names no zone."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise errors.QuestionError(
            f"{_shown(text)} is not a time: write it as in 2025-10-02T12:00:00Z",
            parameter=parameter,
        ) from error


def number(text: str, parameter: str | None = None) -> decimal.Decimal:
    """A decimal number such as 1.05, exactly: digits and a point, no exponent."""
    is_number = re.fullmatch(r"[+-]?(\d{1,200}(\.\d{0,200})?|\.\d{1,200})", text, re.ASCII)
    if not is_number:
        raise errors.QuestionError(
            f"{_shown(text)} is not a number such as 1.05", parameter=parameter
        )
    return decimal.Decimal(text)


def _shown(text: str) -> str:
    """The text in quotes, without control characters and not longer than a line."""
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """How many of something there are, in words: 1 block, 2,000 blocks; `plural`: if not with s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """How long something took, in the unit that a reader would choose."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def size(count: int) -> str:
    """A number of bytes in the largest unit that fits: `2.6 MB`, `500 bytes`."""
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= bytes_:
            return f"{count / bytes_:,.1f} {unit}"
    return counted(count, "byte")


# --- JSON -------------------------------------------------------------------------------------


def json_text(document: Any, indent: int = 2) -> str:
    """A document of structs, dicts and lists as JSON text; decimals as plain text, exactly."""
    return msgspec.json.format(json_bytes(document), indent=indent).decode()


def json_bytes(document: Any) -> bytes:
    """The same on one line, as UTF-8."""
    return msgspec.json.encode(_plain(_builtins(document)))


def _builtins(document: Any) -> Any:
    return msgspec.to_builtins(
        document, builtin_types=(decimal.Decimal, datetime.datetime, uuid.UUID), enc_hook=str
    )


def _plain(value: Any) -> Any:
    """Decimals without exponents, everything else as it is."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return format(value, "f") if isinstance(value, decimal.Decimal) else value
