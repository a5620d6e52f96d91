"""Pagination of starknet_getEvents: every event is checked, and every token is followed.

An empty page with a continuation token is not the end, a repeated token is refused, and events
must lie in the requested range and come from the requested addresses.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from indexer import errors
from indexer.chain import failures, probe, rpc, rpc_errors, types, wire

MOST_PAGES = 2_000
TELLING_SHARE = 1 / 8
"""The share of the most events that tells how full a range is."""
NARROWED_ATTEMPTS = 2
"""How often a narrower filter is sent: an endpoint that is down must not be waited for."""


class _EventFilter(msgspec.Struct, frozen=True):
    """One filter: `address` as it is sent, `addresses` as the answers are checked against."""

    node: str
    from_block: int
    to_block: int
    address: str | list[str]
    addresses: frozenset[str]
    most: int | None
    tip_hash: str | None


class _Unanswered(Exception):  # noqa: N818 - never leaves this module
    """The endpoint did not answer a filter, and what it said."""

    def __init__(self, event_filter: _EventFilter, error: errors.NodeError) -> None:
        super().__init__(str(error))
        self.asked = event_filter
        self.error = error


async def read(
    endpoint: rpc.Endpoint,
    profile: probe.NodeProfile,
    from_block: int,
    to_block: int,
    addresses: Sequence[int],
    most: int | None = None,
    tip_hash: str | None = None,
) -> list[types.EmittedEvent]:
    """All events of `addresses` from block to block, in chain order.

    RangeTooFullError above `most` events, RangeTooLargeError where the endpoint refuses so many
    blocks; lists of addresses are divided here where it refuses them. With `tip_hash`,
    InconsistentAnswerError where the node that answers does not know that block. Nodes below RPC
    0.10 return no indexes: they are -1 then, and only block numbers and hashes are of use.
    """
    texts = [hex(address) for address in addresses]
    while True:
        size = endpoint.limits.addresses.size if profile.address_lists else 1
        event_filters = [
            _EventFilter(
                endpoint.name,
                from_block,
                to_block,
                texts[start] if size == 1 else texts[start : start + size],
                frozenset(texts[start : start + size]),
                most,
                tip_hash,
            )
            for start in range(0, len(texts), size)
        ]
        try:
            parts = await rpc.gather(
                _all_pages(endpoint, profile, request) for request in event_filters
            )
        except _Unanswered as unanswered:
            await _reduce(endpoint, unanswered.asked, unanswered.error)
        else:
            break
    endpoint.limits.blocks.answered(to_block - from_block + 1)
    endpoint.limits.addresses.answered(min(size, len(texts)))
    found = _each_once(endpoint.name, itertools.chain.from_iterable(parts), profile.event_indexes)
    if most is not None and len(found) > most:
        raise _too_full(from_block, to_block, len(found))
    return found


async def _reduce(
    endpoint: rpc.Endpoint, event_filter: _EventFilter, error: errors.NodeError
) -> None:
    """Note the limit that a filter exceeded; raises where the caller must divide, or nobody can.

    Gateways name their limits in words of their own, so requests decide. The filter is narrowed
    step by step; the first one that is answered shows which limit the one before exceeded:

        all blocks ──► one block ──► one address ──► a page of one event ──► not answered: raised
                       │             │               │
                       blocks        addresses       page
    """
    if error.kind == "timeout":
        raise error  # The endpoint may hang: no more time is spent on it.
    limits, size = endpoint.limits, endpoint.limits.page.size
    narrow = msgspec.structs.replace(event_filter, tip_hash=None)
    refusal: errors.NodeError | None = error
    if event_filter.to_block > event_filter.from_block:
        narrow = msgspec.structs.replace(narrow, to_block=event_filter.from_block)
        refusal = await _narrowed(endpoint, narrow, size)
        if refusal is None:
            limits.blocks.refused(event_filter.to_block - event_filter.from_block + 1)
            raise errors.RangeTooLargeError(str(error))
    if isinstance(event_filter.address, list):
        narrow = msgspec.structs.replace(narrow, address=event_filter.address[0])
        refusal = await _narrowed(endpoint, narrow, size)
        if refusal is None:
            return limits.addresses.refused(len(event_filter.address))
    if size > 1:
        refusal = await _narrowed(endpoint, narrow, 1)
        if refusal is None:
            return limits.page.refused(size)
    raise refusal or error


async def _narrowed(
    endpoint: rpc.Endpoint, event_filter: _EventFilter, size: int
) -> errors.NodeError | None:
    """The failure of a narrower filter; None: it is answered."""
    try:
        await endpoint.call(_request(event_filter, None, size), NARROWED_ATTEMPTS)
    except errors.NodeError as error:
        return error
    return None


async def _all_pages(
    endpoint: rpc.Endpoint, profile: probe.NodeProfile, event_filter: _EventFilter
) -> list[types.EmittedEvent]:
    found: list[types.EmittedEvent] = []
    token: str | None = None
    seen: set[str] = set()
    size = endpoint.limits.page.size  # tokens may count pages of this size
    for _ in range(MOST_PAGES):
        page = await failures.retry_while_lagging(
            event_filter.node, functools.partial(_page, endpoint, event_filter, token, size)
        )
        found += _emitted(event_filter, page, profile.event_indexes)
        token = page.continuation_token
        if token is None:
            return found
        if token in seen:
            raise errors.InconsistentAnswerError(
                f"{event_filter.node} repeats the continuation token {endpoint.hide(token)[:40]!r}",
                kind="token",
            )
        seen.add(token)
        _require_room(event_filter, found)
    raise errors.RangeTooLargeError(
        f"{event_filter.node} needs more than {len(seen)} pages for blocks "
        f"{event_filter.from_block} to {event_filter.to_block}"
    )


def _require_room(event_filter: _EventFilter, found: Sequence[types.EmittedEvent]) -> None:
    """Refuse a range that holds too many events, as soon as its first pages tell.

    RangeTooFullError: what was read of it is lost, so that this is noticed early.
    """
    first, last, most = event_filter.from_block, event_filter.to_block, event_filter.most
    if most is None or len(found) <= most * TELLING_SHARE:
        return
    blocks_read = max(found[-1].block_number - first + 1, 1)
    expected = len(found) * (last - first + 1) // blocks_read
    if max(expected, len(found)) > most:
        raise _too_full(first, last, max(expected, len(found)))


def _too_full(from_block: int, to_block: int, count: int) -> errors.RangeTooFullError:
    return errors.RangeTooFullError(f"blocks {from_block} to {to_block} hold about {count} events")


async def _page(
    endpoint: rpc.Endpoint, event_filter: _EventFilter, token: str | None, size: int
) -> wire.EventsPage:
    requests = [_request(event_filter, token, size)]
    if event_filter.tip_hash is not None:
        requests.insert(0, _block_known(event_filter.tip_hash))
    try:
        *known, raw = await endpoint.call_many(requests)
    except errors.InconsistentAnswerError:
        raise
    except errors.NodeError as error:
        raise _Unanswered(event_filter, error) from error
    _check_known(event_filter, known)
    if isinstance(raw, errors.RpcError):
        raise _error_of(event_filter, raw)
    page: wire.EventsPage = wire.decoded(wire.page_decoder, raw, "page of events")
    return page


def _request(event_filter: _EventFilter, token: str | None, size: int) -> rpc.Request:
    query: dict[str, Any] = {
        "from_block": {"block_number": event_filter.from_block},
        "to_block": {"block_number": event_filter.to_block},
        "address": event_filter.address,
        "chunk_size": size,
    }
    if token is not None:
        query["continuation_token"] = token
    is_divisible = event_filter.to_block > event_filter.from_block or isinstance(
        event_filter.address, list
    )
    return rpc.Request("starknet_getEvents", {"filter": query}, is_divisible)


def _block_known(tip_hash: str) -> rpc.Request:
    """The cheapest request that fails for an unknown block hash.

    It stands first in the batch: a block that the node knows before it reads the events, it
    knows while it reads them.
    """
    params = {"block_id": {"block_hash": tip_hash}}
    return rpc.Request("starknet_getBlockTransactionCount", params, is_optional=True)


def _check_known(event_filter: _EventFilter, known: Sequence[rpc.Result]) -> None:
    for answer in known:
        if isinstance(answer, errors.RpcError) and answer.code == rpc_errors.BLOCK_NOT_FOUND:
            raise errors.InconsistentAnswerError(
                f"{event_filter.node} returned block {event_filter.to_block} "
                f"({event_filter.tip_hash}), and the node that answered for its events does "
                "not know it",
                kind="lagging",
            )


def _error_of(event_filter: _EventFilter, raw: errors.RpcError) -> Exception:
    if raw.code == rpc_errors.INVALID_TOKEN:
        # The endpoint refuses its own token: behind the same URL another node answers.
        return errors.InconsistentAnswerError(str(raw), kind="token")
    if raw.code == rpc_errors.BLOCK_NOT_FOUND:
        return errors.InconsistentAnswerError(str(raw), kind="lagging")
    return _Unanswered(event_filter, raw)


def _emitted(
    event_filter: _EventFilter, page: wire.EventsPage, with_indexes: bool
) -> list[types.EmittedEvent]:
    """A page's events; InconsistentAnswerError where one was not asked for, or is not sealed."""
    first, last, addresses = event_filter.from_block, event_filter.to_block, event_filter.addresses
    felt, felts = wire.felt, wire.felts
    found = []
    for event in page.events:
        number, hash_ = event.block_number, event.block_hash
        transaction_index, event_index = event.transaction_index, event.event_index
        address = felt(event.from_address)
        if hash_ is None or number is None or not first <= number <= last:
            raise _out_of_range(event_filter, event)
        if transaction_index is None or event_index is None:
            if with_indexes:
                raise errors.InconsistentAnswerError(
                    f"{event_filter.node} answered an event without indexes", kind="shape"
                )
            transaction_index = event_index = -1
        if address not in addresses:
            raise errors.InconsistentAnswerError(
                f"{event_filter.node} answered an event of {address}, not asked for", kind="range"
            )
        found.append(
            types.EmittedEvent(
                number,
                transaction_index,
                event_index,
                felt(hash_),
                felt(event.transaction_hash),
                address,
                felts(event.keys),
                felts(event.data),
            )
        )
    return found


def _out_of_range(event_filter: _EventFilter, event: wire.Event) -> errors.InconsistentAnswerError:
    return errors.InconsistentAnswerError(
        f"{event_filter.node} answered an event of block {event.block_number} "
        f"({event.block_hash or 'no hash'}) for the range {event_filter.from_block} to "
        f"{event_filter.to_block}",
        kind="unsealed" if event.block_hash is None else "range",
    )


def _each_once(
    node: str, emitted: Iterable[types.EmittedEvent], with_indexes: bool
) -> list[types.EmittedEvent]:
    """Events in chain order. A token may repeat some: without indexes nothing tells them apart.

    InconsistentAnswerError where a block or a transaction has two hashes, or two events have one
    place.
    """
    found: list[types.EmittedEvent] = []
    before: types.EmittedEvent | None = None
    repeated = 0
    for event in sorted(emitted, key=types.event_key):
        if before is not None and event.block_number == before.block_number:
            if event == before and with_indexes:
                repeated += 1
                continue
            if contradiction := _contradiction(before, event, with_indexes):
                raise errors.InconsistentAnswerError(
                    f"{node} answered {contradiction[0]}", kind=contradiction[1]
                )
        found.append(event)
        before = event
    if repeated:
        message = f"{node} returned {repeated} events twice: each counts once"
        error = errors.InconsistentAnswerError(message, kind="duplicate")
        failures.record(node, error, "ignored", logging.INFO)
    return found


def _contradiction(
    before: types.EmittedEvent, event: types.EmittedEvent, with_indexes: bool
) -> tuple[str, str] | None:
    """What cannot be of two events of a block, and which kind of lie that is."""
    if event.block_hash != before.block_hash:
        return f"events of two blocks {event.block_number}", "fork"
    if not with_indexes or event.transaction_index != before.transaction_index:
        return None
    if event.event_index == before.event_index:
        return f"two events at {types.event_key(event)}", "duplicate"
    if event.transaction_hash != before.transaction_hash:
        index, number = event.transaction_index, event.block_number
        return f"two hashes of transaction {index} of block {number}", "duplicate"
    return None
