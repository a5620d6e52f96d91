"""The kinds of values that answers hold, as types: what filters, columns and OpenAPI derive from.

A type carries its kind for filters (`Meta.extra`) and its JSON schema (`extra_json_schema`).
The schema describes and does not check: rows come from our own tables.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import re
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from indexer import errors, values

Kind = Literal[
    "felt", "integer", "decimal", "block", "text", "time", "uuid", "boolean", "json", "list"
]

_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"


def _described(pattern: str, example: str) -> dict[str, Any]:
    return {"pattern": pattern, "examples": [example]}


Felt = Annotated[
    str,
    msgspec.Meta(
        description="An address, hash or id: 0x and 64 lower-case hex digits.",
        extra_json_schema=_described("^0x[0-9a-f]{64}$", "0x" + "0" * 61 + "abc"),
        extra={"kind": "felt"},
    ),
]
Raw = Annotated[
    str,
    msgspec.Meta(
        description="An exact integer in text.",
        extra_json_schema=_described("^-?[0-9]+$", "1500000"),
        extra={"kind": "integer"},
    ),
]
Amount = Annotated[
    str,
    msgspec.Meta(
        description="An exact decimal in text, in token units.",
        extra_json_schema=_described(_DECIMAL, "1.500000"),
        extra={"kind": "decimal"},
    ),
]
Usd = Annotated[
    str,
    msgspec.Meta(
        description="An exact decimal in text, in USD.",
        extra_json_schema=_described(_DECIMAL, "1500.25"),
        extra={"kind": "decimal"},
    ),
]
Ratio = Annotated[
    str,
    msgspec.Meta(
        description="An exact ratio in text: 0.75 is 75 %.",
        extra_json_schema=_described(_DECIMAL, "0.75"),
        extra={"kind": "decimal"},
    ),
]
Block = Annotated[
    int,
    msgspec.Meta(
        description="A block number or another small whole number.",
        extra_json_schema={"minimum": -(2**53), "maximum": 2**53, "examples": [90]},
        extra={"kind": "block"},
    ),
]
Id = Annotated[
    str,
    msgspec.Meta(
        description="A row's id: a version 5 UUID, the same on every machine.",
        extra_json_schema={"format": "uuid", "examples": ["7b52a55c-8e0b-5c4e-9d1f-0d8a9f6f2f11"]},
        extra={"kind": "uuid"},
    ),
]

MAX_TEXT = 200
"""Characters of a text to compare with; no name or symbol is longer."""

MAX_DIGITS = 160
"""Digits of a number to compare with; the widest numeric has 78, a decimal as many again."""


class Field(msgspec.Struct, frozen=True):
    """A field of an answer's rows; `values`: all that a text can be."""

    name: str
    kind: Kind
    is_optional: bool = False
    values: tuple[str, ...] = ()


@functools.cache
def fields(row: type[msgspec.Struct]) -> Mapping[str, Field]:
    """The fields of a row's type by name, in order; not those that hold rows of their own."""
    info = msgspec.inspect.type_info(row)
    assert isinstance(info, msgspec.inspect.StructType)  # by the signature
    found = (_field(field.name, field.type) for field in info.fields)
    return {field.name: field for field in found if field is not None}


_BY_TYPE: dict[type, Kind] = {
    msgspec.inspect.StrType: "text",
    msgspec.inspect.IntType: "block",
    msgspec.inspect.BoolType: "boolean",
    msgspec.inspect.DateTimeType: "time",
    msgspec.inspect.AnyType: "json",
    msgspec.inspect.ListType: "list",
}


def _field(name: str, declared: msgspec.inspect.Type) -> Field | None:
    parts = declared.types if isinstance(declared, msgspec.inspect.UnionType) else (declared,)
    is_optional = any(isinstance(part, msgspec.inspect.NoneType) for part in parts)
    known = [part for part in parts if not isinstance(part, msgspec.inspect.NoneType)]
    if len(known) != 1:
        return None
    type_ = known[0]
    if isinstance(type_, msgspec.inspect.Metadata) and type_.extra and "kind" in type_.extra:
        return Field(name, type_.extra["kind"], is_optional)
    if isinstance(type_, msgspec.inspect.LiteralType):
        return Field(name, "text", is_optional, tuple(map(str, type_.values)))
    kind = _BY_TYPE.get(type(type_))
    return None if kind is None else Field(name, kind, is_optional)


# --- text to value ----------------------------------------------------------------------------


def parse(field: Field, text: str, parameter: str) -> Any:
    """The value of a text for a field; QuestionError, naming the parameter, if it has none."""
    value = _PARSERS[field.kind](text, parameter)
    if field.values and value not in field.values:
        raise errors.QuestionError(
            f"{parameter}: {text!r} is none of {', '.join(field.values)}", parameter=parameter
        )
    return value


def felt(text: str, parameter: str) -> str:
    """An address, hash or id in any padding and case as 0x and 64 lower-case hex digits."""
    return f"0x{values.felt(text, parameter):064x}"


def integer(text: str, parameter: str) -> int:
    """A whole number of at most MAX_DIGITS digits."""
    if not re.fullmatch(r"-?[0-9]+", text, re.ASCII) or len(text) > MAX_DIGITS:
        raise errors.QuestionError(
            f"{parameter}: {text[:80]!r} is not a whole number", parameter=parameter
        )
    return int(text)


def block(text: str, parameter: str) -> int:
    """A block number or another whole number from 0 to 2^63 - 1."""
    return values.block_number(text, parameter)


def number(text: str, parameter: str) -> decimal.Decimal:
    """An exact decimal such as 1.05, of at most MAX_DIGITS digits, without exponent."""
    exact = values.number(text, parameter) if len(text) <= MAX_DIGITS else None
    if exact is None:
        raise errors.QuestionError(
            f"{parameter}: the number has more than {MAX_DIGITS} digits", parameter=parameter
        )
    return exact


def time(text: str, parameter: str) -> datetime.datetime:
    """A time in ISO 8601 or in seconds since 1970, in UTC where the text names no zone."""
    if re.fullmatch("[0-9]{1,11}", text, re.ASCII):
        return datetime.datetime.fromtimestamp(int(text), datetime.UTC)
    return values.time(text, parameter)


def identity(text: str, parameter: str) -> str:
    """A UUID in its usual form, lower-case."""
    if not re.fullmatch("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        raise errors.QuestionError(f"{parameter}: {text[:80]!r} is not a UUID", parameter=parameter)
    return str(uuid.UUID(text))


def boolean(text: str, parameter: str) -> bool:
    """True or false."""
    known = {"true": True, "false": False, "1": True, "0": False}
    if text.lower() not in known:
        raise errors.QuestionError(
            f"{parameter}: {text[:80]!r} is neither true nor false", parameter=parameter
        )
    return known[text.lower()]


def word(text: str, parameter: str) -> str:
    """A text of at most MAX_TEXT characters, none of which is a control character."""
    if len(text) > MAX_TEXT or not text.isprintable():
        raise errors.QuestionError(
            f"{parameter}: a text of at most {MAX_TEXT} printable characters is needed",
            parameter=parameter,
        )
    return text


_PARSERS: dict[str, Any] = {
    "felt": felt,
    "integer": integer,
    "decimal": number,
    "block": block,
    "text": word,
    "time": time,
    "uuid": identity,
    "boolean": boolean,
}
