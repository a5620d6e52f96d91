"""What an event shows: a layout's steps followed over its felts, as the database does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from indexer.cairo import abi, text, types


def of(layout: abi.Layout, keys: Sequence[int], data: Sequence[int]) -> dict[str, Any]:
    """The arguments of an event, selectors among its keys."""
    felts = [*keys[layout.selectors :], *data]
    shown: dict[str, Any] = json.loads(follow(layout.steps, felts))
    return shown


def follow(steps: types.Steps, felts: Sequence[int]) -> str:
    """The JSON text that steps make of felts, all of which they take."""
    left = iter(felts)
    found = "".join(_values(steps, left))
    assert next(left, None) is None
    return found


def _values(steps: types.Steps, felts: Iterator[int]) -> Iterator[str]:
    yield steps[0]
    at = 1
    while at < len(steps):
        kind = steps[at]
        if kind == "list":
            end = _end(steps, at)
            items = ("".join(_values(steps[at + 1 : end], felts)) for _ in range(next(felts)))
            yield "[" + ", ".join(items) + "]"
            at = end
        else:
            yield json.dumps(_value(kind, felts))
        yield steps[at + 1]
        at += 2


def _end(steps: types.Steps, at: int) -> int:
    """Where the list that begins at a position ends."""
    depth = 0
    for place in range(at, len(steps), 2):
        depth += {"list": 1, "end": -1}.get(steps[place], 0)
        if depth == 0:
            return place
    raise AssertionError(f"{steps} have no end of the list")


def _value(kind: str, felts: Iterator[int]) -> Any:
    first = next(felts)
    match kind:
        case "felt":
            return f"0x{first:064x}"
        case "bool":
            return first == 1
        case "number":
            return str(first)
        case "u256":
            return str(first + (next(felts) << 128))
        case "i257":
            magnitude = first + (next(felts) << 128)
            return str(-magnitude if next(felts) else magnitude)
        case "text":
            words = [first, *(next(felts) for _ in range(first + 2))]
            return text.byte_array(words).replace("\0", "\ufffd")
    raise AssertionError(f"steps know no {kind}")
