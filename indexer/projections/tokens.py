"""Symbol, name and decimals of tokens, from the log's observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from indexer.cairo import text
from indexer.log import observations

VIEWS = ("symbol", "name", "decimals")


class Token(msgspec.Struct, frozen=True, gc=False):
    """What a token says of itself, cleaned for display; None where it gave no usable answer.

    `asked` names the views that the log has an answer of, usable or not.
    """

    symbol: str | None = None
    name: str | None = None
    decimals: int | None = None
    asked: frozenset[str] = frozenset()


UNKNOWN = Token()
"""A token that nothing is known of."""


def read(
    seen: Iterable[observations.Observation], known: Mapping[int, Token] | None = None
) -> dict[int, Token]:
    """The known tokens and those that these observations describe, by address; later answers
    win."""
    tokens = dict(known or {})
    for answer in seen:
        if answer.call.view in VIEWS:
            address = answer.call.contract
            token = tokens.get(address, Token())
            changes: dict[str, Any] = {answer.call.view: _value(answer)}
            changes["asked"] = token.asked | {answer.call.view}
            tokens[address] = msgspec.structs.replace(token, **changes)
    return tokens


def _value(seen: observations.Observation) -> str | int | None:
    if not seen.result:
        return None
    if seen.call.view == "decimals":
        return seen.result[0] if seen.result[0] <= 77 else None
    return text.clean(text.string_of(seen.result)) or None
