"""Seals: what our events of one block were when they were committed.

A row of the log that is lost, added or changed later gives another seal, and no node is needed to
notice.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

from indexer.cairo import packed
from indexer.chain import types

OF_BYTES = "2:"
"""What a seal of bytes begins with; one without it is of JSON text, from an earlier release."""

_event_key = struct.Struct(">qii").pack
"""Block number, transaction index and event index."""

_length = struct.Struct(">i").pack


def payload(event: types.EmittedEvent) -> bytes:
    """Hash of the transaction, packed keys and packed data, each after its length in four bytes.

    COPY's binary format takes them like this.
    """
    hash_ = bytes.fromhex(event.transaction_hash[2:].rjust(64, "0"))
    keys, data = packed.pack(event.keys), packed.pack(event.data)
    return b"".join(
        (_length(len(hash_)), hash_, _length(len(keys)), keys, _length(len(data)), data)
    )


def seal(contents: Iterable[tuple[types.EmittedEvent, bytes]]) -> str:
    """`OF_BYTES` and the SHA-256 of events with their payloads, in their order, in hex.

    Of each the place, the block's hash and the address as text in minimal hex, and the payload.
    """
    parts = [
        b"".join(
            (
                _event_key(event.block_number, event.transaction_index, event.event_index),
                f"{event.block_hash}{event.from_address}".encode(),
                bytes_,
            )
        )
        for event, bytes_ in contents
    ]
    return OF_BYTES + hashlib.sha256(b"".join(parts)).hexdigest()


def seal_of(events: Iterable[types.EmittedEvent]) -> str:
    """The seal of events alone."""
    return seal((event, payload(event)) for event in events)


def is_whole(stored: str, events: Sequence[types.EmittedEvent]) -> bool:
    """Whether these are the events that a block was sealed with."""
    return stored == (seal_of(events) if stored.startswith(OF_BYTES) else _seal_of_json(events))


def _seal_of_json(events: Sequence[types.EmittedEvent]) -> str:
    return hashlib.sha256(f"[{','.join(map(_json, events))}]".encode()).hexdigest()


def _json(event: types.EmittedEvent) -> str:
    """The JSON text of an event, with its fields in their order and felts in minimal hex."""
    return (
        f'{{"block_number":{event.block_number},'
        f'"transaction_index":{event.transaction_index},'
        f'"event_index":{event.event_index},'
        f'"block_hash":"{event.block_hash}",'
        f'"transaction_hash":"{event.transaction_hash}",'
        f'"from_address":"{event.from_address}",'
        f'"keys":[{_quoted(event.keys)}],"data":[{_quoted(event.data)}]}}'
    )


def _quoted(felts: Sequence[int]) -> str:
    return '"' + '","'.join(map(hex, felts)) + '"' if felts else ""
