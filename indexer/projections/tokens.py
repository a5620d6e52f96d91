"""Tokens as they call themselves: symbol, name and decimals, from the log's observations."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from indexer.log import observations
from indexer.vesu import text

VIEWS = ("symbol", "name", "decimals")


class Token(msgspec.Struct, frozen=True, gc=False):
    """What a token says of itself, cleaned for display; None where it gave no usable answer."""

    symbol: str | None = None
    name: str | None = None
    decimals: int | None = None


def read(seen: Iterable[observations.Observation]) -> dict[int, Token]:
    """The tokens that these observations describe, by address; later answers win."""
    tokens: dict[int, Token] = {}
    for one in seen:
        if one.asked.view in VIEWS:
            address = int(one.asked.contract, 16)
            changes = {one.asked.view: _value(one)}
            tokens[address] = msgspec.structs.replace(tokens.get(address, Token()), **changes)
    return tokens


def _value(seen: observations.Observation) -> str | int | None:
    if not seen.result:
        return None
    felts = [int(felt, 16) for felt in seen.result]
    if seen.asked.view == "decimals":
        return felts[0] if felts[0] <= 77 else None
    return text.clean(text.string_of(felts)) or None
