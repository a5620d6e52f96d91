"""starknet_getEvents over a recorded chain, with pathfinder's continuation tokens and limits."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from indexer import errors
from indexer.recording import chain
from indexer.recording import context as context_module

_TOKEN = re.compile(r"(\d{1,18})-(\d{1,18})")
_MAX_KEY_POSITIONS = 16

Context = context_module.Context


class EventFilter(msgspec.Struct):
    """The filter as a client sends it."""

    chunk_size: int
    from_block: Any = None
    to_block: Any = None
    address: str | list[str] | None = None
    keys: list[list[str]] | None = None
    continuation_token: str | None = None


class EventWithoutIndexes(msgspec.Struct):
    """An event as nodes below RPC 0.10 return it."""

    block_number: int
    block_hash: str
    transaction_hash: str
    from_address: str
    keys: list[str]
    data: list[str]


class _Keys(msgspec.Struct):
    keys: list[str]


class _Matcher:
    """The events that a filter matches, as JSON texts."""

    def __init__(self, event_filter: EventFilter) -> None:
        addresses = (
            [event_filter.address]
            if isinstance(event_filter.address, str)
            else event_filter.address or []
        )
        self._emitters = {context_module.felt(item, "address") for item in addresses} or None
        self.keys = [
            {context_module.felt(item, "keys") for item in position}
            for position in event_filter.keys or []
        ]
        while self.keys and not self.keys[-1]:
            self.keys.pop()

    def events(self, block: chain.Block) -> list[bytes]:
        texts = block.event_texts(self._emitters)
        return [text for text in texts if self._matches(text)] if self.keys else texts

    def _matches(self, text: bytes) -> bool:
        keys = msgspec.json.decode(text, type=_Keys).keys
        return len(keys) >= len(self.keys) and all(
            not accepted or key in accepted for accepted, key in zip(self.keys, keys, strict=False)
        )


def get_events(context: Context, filter_: object) -> dict[str, Any]:
    """A page of events in chain order, and a token where more may follow.

    A token "<block>-<n>" resumes at that block after its first n matching events. As on real
    nodes, it is bound neither to the filter nor to a block hash.
    """
    event_filter = context_module.convert(filter_, EventFilter, "filter")
    matcher = _checked(context, event_filter)
    first, last = _range(context, event_filter)
    first, skip = _resume(event_filter.continuation_token, first)
    page, token = _scan(context, matcher, event_filter.chunk_size, range(first, last + 1), skip)
    answer: dict[str, Any] = {"events": [msgspec.Raw(text) for text in page]}
    if not context.profile.indexes:
        answer["events"] = [msgspec.json.decode(text, type=EventWithoutIndexes) for text in page]
    if token is not None:
        answer["continuation_token"] = token
    return answer


def _checked(context: Context, event_filter: EventFilter) -> _Matcher:
    if event_filter.chunk_size < 1:
        raise context_module.invalid_params("chunk_size is below 1")
    if event_filter.chunk_size > context.options.chunk_limit:
        raise errors.RpcError("Requested page size is too big", 31)
    if isinstance(event_filter.address, list) and not context.profile.indexes:
        raise context_module.invalid_params(
            f"address: RPC {context.profile.spec_version} takes one address, not a list"
        )
    matcher = _Matcher(event_filter)
    if len(matcher.keys) > _MAX_KEY_POSITIONS:
        data = {"limit": _MAX_KEY_POSITIONS, "requested": len(matcher.keys)}
        raise errors.RpcError("Too many keys provided in a filter", 34, data)
    return matcher


def _range(context: Context, event_filter: EventFilter) -> tuple[int, int]:
    """The first and the last visible block to scan; first > last: none."""
    head = context.view.head
    if head is None:
        return 0, -1
    first, last = context.view.first, head.number
    if event_filter.from_block is not None:
        first = max(first, _number(context, event_filter.from_block))
    if event_filter.to_block is not None:
        last = min(last, _number(context, event_filter.to_block))
    return first, last


def _number(context: Context, block_id: Any) -> int:
    """A block number may lie above the head; any other block id must name a known block."""
    if isinstance(block_id, dict) and set(block_id) == {"block_number"}:
        return context_module.convert(block_id["block_number"], int, "block_number")
    return context.block(block_id).number


def _resume(token: str | None, first: int) -> tuple[int, int]:
    if token is None:
        return first, 0
    match = _TOKEN.fullmatch(token)
    if match is None or int(match[1]) < first:
        raise errors.RpcError("The supplied continuation token is invalid or unknown", 33)
    return int(match[1]), int(match[2])


def _scan(
    context: Context, matcher: _Matcher, size: int, numbers: range, skip: int
) -> tuple[list[bytes], str | None]:
    page: list[bytes] = []
    for scanned, number in enumerate(numbers):
        if scanned == context.options.scan_limit:
            return page, f"{number}-0"
        block = context.view.block_at(number)
        events = matcher.events(block)[skip:] if block is not None else []
        room = size - len(page)
        page.extend(events[:room])
        if len(events) > room:
            return page, f"{number}-{skip + room}"
        skip = 0
    return page, None
