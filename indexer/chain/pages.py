"""Pagination of starknet_getEvents: every event is checked, and every token is followed.

An empty page with a continuation token is not the end, a repeated token is refused, and events
must lie in the requested range and come from the requested addresses.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from indexer import errors
from indexer.chain import failures, probe, rpc, types, wire

CHUNK = 1000
MOST_PAGES = 2_000
INVALID_TOKEN = 33
BLOCK_NOT_FOUND = 24


class _Asked(msgspec.Struct, frozen=True):
    """One filter: `address` as it is sent, `addresses` as the answers are checked against."""

    node: str
    from_block: int
    to_block: int
    address: str | list[str]
    addresses: frozenset[str]
    most: int | None
    tip_hash: str | None


async def read(
    endpoint: rpc.Endpoint,
    profile: probe.NodeProfile,
    from_block: int,
    to_block: int,
    addresses: Sequence[int],
    most: int | None = None,
    tip_hash: str | None = None,
) -> list[types.EmittedEvent]:
    """All events of `addresses` from block to block; RangeTooLargeError above `most` events.

    With `tip_hash`, InconsistentAnswerError where the node that answers does not know that
    block. Nodes below RPC 0.10 return no indexes: they are -1 then, and only block numbers and
    hashes are of use.
    """
    node, texts = endpoint.name, [hex(address) for address in addresses]
    if profile.address_lists:
        asked = [_Asked(node, from_block, to_block, texts, frozenset(texts), most, tip_hash)]
    else:
        asked = [
            _Asked(node, from_block, to_block, text, frozenset([text]), most, tip_hash)
            for text in texts
        ]
    parts = await rpc.gather(_all_pages(endpoint, profile, one) for one in asked)
    found = sorted((event for part in parts for event in part), key=_key)
    if most is not None and len(found) > most:
        raise errors.RangeTooLargeError(f"blocks {from_block} to {to_block} hold {len(found)}")
    _check_order(node, found, profile.event_indexes)
    return found


async def _all_pages(
    endpoint: rpc.Endpoint, profile: probe.NodeProfile, asked: _Asked
) -> list[types.EmittedEvent]:
    found: dict[tuple[int, int, int, int], types.EmittedEvent] = {}
    token: str | None = None
    seen: set[str] = set()
    repeated = 0
    for _ in range(MOST_PAGES):
        page = await failures.retry_while_lagging(
            asked.node, functools.partial(_page, endpoint, asked, token)
        )
        for event in page.events:
            checked = _checked(asked, event, profile.event_indexes)
            # A token may repeat events; without indexes they cannot be recognised.
            key = (*_key(checked), 0 if profile.event_indexes else len(found))
            repeated += key in found
            if found.setdefault(key, checked) != checked:
                raise errors.InconsistentAnswerError(
                    f"{asked.node} answered two events at {_key(checked)}", kind="duplicate"
                )
        token = page.continuation_token
        if token is None:
            _note_repeated(asked, repeated)
            return list(found.values())
        if token in seen:
            raise errors.InconsistentAnswerError(
                f"{asked.node} repeats the continuation token {token[:40]!r}", kind="token"
            )
        seen.add(token)
        if asked.most is not None and len(found) > asked.most:
            break
    raise errors.RangeTooLargeError(
        f"{asked.node} needs more than {len(seen)} pages for blocks {asked.from_block} to "
        f"{asked.to_block}"
    )


def _note_repeated(asked: _Asked, count: int) -> None:
    if count:
        message = f"{asked.node} returned {count} events twice: each counts once"
        error = errors.InconsistentAnswerError(message, kind="duplicate")
        failures.record(asked.node, error, "ignored", logging.INFO)


async def _page(endpoint: rpc.Endpoint, asked: _Asked, token: str | None) -> wire.EventsPage:
    query: dict[str, Any] = {
        "from_block": {"block_number": asked.from_block},
        "to_block": {"block_number": asked.to_block},
        "address": asked.address,
        "chunk_size": CHUNK,
    }
    if token is not None:
        query["continuation_token"] = token
    question = rpc.Request("starknet_getEvents", {"filter": query})
    if asked.tip_hash is None:
        (raw,) = await endpoint.call_many([question])
    else:
        known, raw = await endpoint.call_many([_whether_known(asked.tip_hash), question])
        if isinstance(known, errors.RpcError) and known.code == BLOCK_NOT_FOUND:
            raise errors.InconsistentAnswerError(
                f"{asked.node} returned block {asked.to_block} ({asked.tip_hash}), and the node "
                "that answered for its events does not know it",
                kind="lagging",
            )
    if isinstance(raw, errors.RpcError):
        if raw.code != INVALID_TOKEN:
            raise raw
        # The endpoint refuses its own token: behind the same URL another node answers.
        raise errors.InconsistentAnswerError(str(raw), kind="token")
    page: wire.EventsPage = wire.decoded(wire.page_decoder, raw, "page of events")
    return page


def _whether_known(tip_hash: str) -> rpc.Request:
    """The cheapest request that fails for an unknown block hash.

    It stands first in the batch: a block that the node knows before it reads the events, it
    knows while it reads them.
    """
    return rpc.Request("starknet_getBlockTransactionCount", {"block_id": {"block_hash": tip_hash}})


def _checked(asked: _Asked, event: wire.Event, with_indexes: bool) -> types.EmittedEvent:
    """The event as an EmittedEvent; InconsistentAnswerError where it was not asked for."""
    number, hash_ = event.block_number, event.block_hash
    if hash_ is None or number is None or not asked.from_block <= number <= asked.to_block:
        raise errors.InconsistentAnswerError(
            f"{asked.node} answered an event of block {number} ({hash_ or 'no hash'}) for the "
            f"range {asked.from_block} to {asked.to_block}",
            kind="unsealed" if hash_ is None else "range",
        )
    if with_indexes and (event.transaction_index is None or event.event_index is None):
        raise errors.InconsistentAnswerError(
            f"{asked.node} answered an event without indexes", kind="shape"
        )
    felt = wire.felt
    address = felt(event.from_address)
    if address not in asked.addresses:
        raise errors.InconsistentAnswerError(
            f"{asked.node} answered an event of {address}, not asked for", kind="range"
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


def _check_order(node: str, found: Sequence[types.EmittedEvent], with_indexes: bool) -> None:
    """Check that the events of a block have one block hash, and every event its own key."""
    for before, after in itertools.pairwise(found):
        if before.block_number == after.block_number and before.block_hash != after.block_hash:
            raise errors.InconsistentAnswerError(
                f"{node} answered events of two blocks {after.block_number}", kind="fork"
            )
        if with_indexes and _key(before) == _key(after):
            raise errors.InconsistentAnswerError(
                f"{node} answered two events at {_key(after)}", kind="duplicate"
            )
