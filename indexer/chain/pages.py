"""Paging through getEvents, believing no page: every event is checked, every end is reached.

An empty page with a token is not the end, a token that leads nowhere is refused, and events
must ascend, lie in the range and come from the asked addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from indexer import errors
from indexer.chain import probe, rpc, types, wire

CHUNK = 1000
MOST_PAGES = 2_000


async def read(
    endpoint: rpc.Endpoint,
    profile: probe.NodeProfile,
    from_block: int,
    to_block: int,
    addresses: Sequence[int],
) -> list[types.EmittedEvent]:
    """All events of `addresses` from block to block.

    Where the node tells no indexes, they are -1 and only the blocks' numbers are of use.
    """
    if profile.address_lists:
        found = await _all_pages(endpoint, from_block, to_block, list(addresses), as_list=True)
    else:
        found = []
        for address in addresses:
            found += await _all_pages(endpoint, from_block, to_block, [address], as_list=False)
    if profile.event_indexes:
        found.sort(key=_key)
        _check_order(endpoint.name, found)
    return found


async def _all_pages(
    endpoint: rpc.Endpoint, from_block: int, to_block: int, addresses: list[int], as_list: bool
) -> list[types.EmittedEvent]:
    asked = {hex(address) for address in addresses}
    query: dict[str, Any] = {
        "from_block": {"block_number": from_block},
        "to_block": {"block_number": to_block},
        "address": sorted(asked) if as_list else next(iter(asked)),
        "chunk_size": CHUNK,
    }
    found: dict[tuple[int, int, int, int], types.EmittedEvent] = {}
    seen: set[str] = set()
    for _ in range(MOST_PAGES):
        raw = await endpoint.call(rpc.Request("starknet_getEvents", {"filter": query}))
        page = wire.decoded(wire.page_decoder, raw, "page of events")
        for event in page.events:
            checked = _checked(endpoint.name, event, from_block, to_block, asked)
            # Repeated events are the token's doing; without indexes nothing tells them apart.
            unique = 0 if event.event_index is not None else len(found)
            found[(*_key(checked), unique)] = checked
        token = page.continuation_token
        if token is None:
            return list(found.values())
        if token in seen:
            raise errors.InconsistentAnswerError(
                f"{endpoint.name} repeats the continuation token {token[:40]!r}"
            )
        seen.add(token)
        query["continuation_token"] = token
    raise errors.RangeTooLargeError(f"{endpoint.name} needs more than {MOST_PAGES} pages")


def _checked(
    node: str, event: wire.Event, from_block: int, to_block: int, addresses: set[str]
) -> types.EmittedEvent:
    """The event in our shape, if it may be one of those asked for."""
    number, hash_ = event.block_number, event.block_hash
    if hash_ is None or number is None or not from_block <= number <= to_block:
        raise errors.InconsistentAnswerError(
            f"{node} answered an event of block {number} ({'no hash' if hash_ is None else hash_}) "
            f"for the range {from_block} to {to_block}"
        )
    felt = wire.felt
    address = felt(event.from_address)
    if address not in addresses:
        raise errors.InconsistentAnswerError(
            f"{node} answered an event of {address}, not asked for"
        )
    return types.EmittedEvent(
        number,
        -1 if event.transaction_index is None else event.transaction_index,
        -1 if event.event_index is None else event.event_index,
        felt(hash_),
        felt(event.transaction_hash),
        address,
        [felt(key) for key in event.keys],
        [felt(item) for item in event.data],
    )


def _key(event: types.EmittedEvent) -> tuple[int, int, int]:
    return event.block_number, event.transaction_index, event.event_index


def _check_order(node: str, found: Sequence[types.EmittedEvent]) -> None:
    """Within one block all events have one hash, and every event has its own key."""
    for before, after in zip(found, found[1:], strict=False):
        if before.block_number == after.block_number and before.block_hash != after.block_hash:
            raise errors.InconsistentAnswerError(
                f"{node} answered events of two blocks {after.block_number}"
            )
        if _key(before) == _key(after):
            raise errors.InconsistentAnswerError(f"{node} answered two events at {_key(after)}")
