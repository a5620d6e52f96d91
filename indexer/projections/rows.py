"""Converts exact integers to column values: padded hex, exact decimals, ids, times.

Rows travel to PostgreSQL with every number as text, so that no float is on the way.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import uuid
from collections.abc import Iterable
from typing import Any

import asyncpg
import msgspec

from indexer.cairo import felt252
from indexer.vesu import kinds, state

NAMESPACE = uuid.UUID("6f0a7a44-52f1-5f0e-9d3b-7665737500a1")
"""Namespace of all ids; fixed for ever, or ids would differ between machines."""

PROTOCOLS = {
    kinds.Kind.POOL_V2: "v2",
    kinds.Kind.SINGLETON_V1_0: "v1.0",
    kinds.Kind.SINGLETON_V1_1: "v1.1",
}
"""By the kind of the contract that holds the pools."""

encode = msgspec.json.Encoder().encode


padded = felt252.padded
"""An address or hash as tables hold it."""


def padded_or_none(value: int | None) -> str | None:
    """Like `padded`; nothing and the zero address stay NULL."""
    return padded(value) if value else None


@functools.lru_cache(maxsize=1_024)
def iso(seconds: int) -> str:
    """A block time as PostgreSQL reads it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def pool_key(row: asyncpg.Record) -> state.PoolKey:
    """The pool that a row is of."""
    return _pool_key(row["pool_address"], row["pool_id"])


@functools.lru_cache(maxsize=4_096)
def _pool_key(address: str, pool_id: str) -> state.PoolKey:
    return state.PoolKey(int(address, 16), int(pool_id, 16))


def units(raw: int, decimals: int) -> str:
    """`raw` / 10^decimals as an exact decimal."""
    if decimals == 0:
        return str(raw)
    digits = str(raw).zfill(decimals + (2 if raw < 0 else 1))
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def text_or_none(value: int | None) -> str | None:
    """A number as text; None stays None."""
    return None if value is None else str(value)


def units_or_none(raw: int | None, decimals: int) -> str | None:
    """Like `units`; None stays None."""
    return None if raw is None else units(raw, decimals)


def scaled(value: int | None) -> str | None:
    """A value x 10^18 as an exact decimal; None stays None."""
    return None if value is None else units(value, 18)


@functools.lru_cache(maxsize=256)
def decimals_of(scale: int) -> int:
    """The decimals that a scale of 10^decimals stands for; 0 where no scale is known yet."""
    return len(str(scale)) - 1 if scale else 0


@functools.lru_cache(maxsize=16_384)
def position_id(protocol: str, key: state.PositionKey) -> str:
    """The id of a position, from its natural key."""
    parts = (key.pool.id, key.collateral, key.debt, key.v_token, key.user)
    return _id("position", protocol, *map(hex, parts))


@functools.lru_cache(maxsize=4_096)
def pair_id(protocol: str, key: state.PairKey) -> str:
    """The id of a (pool, collateral, debt) row."""
    return _id("pair", protocol, hex(key.pool.id), hex(key.collateral), hex(key.debt))


@functools.lru_cache(maxsize=4_096)
def asset_id(protocol: str, key: state.AssetKey) -> str:
    """The id of a (pool, asset) row."""
    return _id("asset", protocol, hex(key.pool.id), hex(key.asset))


def effect_id(suffix: str, event_key: state.EventKey, leg: int) -> str:
    """The id of a transaction or liquidation row, from its place in the chain."""
    block, transaction_index, event_index = event_key
    return uuid_of(f"{suffix}/{block}/{transaction_index}/{event_index}/{leg}")


_NAMESPACE_BYTES = NAMESPACE.bytes
_VARIANTS = {f"{digit:x}": f"{digit & 0x3 | 0x8:x}" for digit in range(16)}
"""The digit that tells a uuid's variant, by the digit that the hash has there."""


def uuid_of(name: str) -> str:
    """uuid v5 (RFC 9562), written out: uuid.uuid5 takes three times as long, once a row."""
    found = hashlib.sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    return (
        f"{found[:8]}-{found[8:12]}-5{found[13:16]}-"
        f"{_VARIANTS[found[16]]}{found[17:20]}-{found[20:32]}"
    )


def _id(*parts: str) -> str:
    return uuid_of("/".join(parts))


def settings_id(values: Iterable[Any]) -> str:
    """The id of settings: the first 16 bytes of the SHA-256 of their values as text."""
    texts = ("~" if value is None else _text(value) for value in values)
    return str(uuid.UUID(bytes=hashlib.sha256("|".join(texts).encode()).digest()[:16]))


def _text(value: Any) -> str:
    """A value as PostgreSQL writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def mismatch_id(protocol: str, mismatch: state.Mismatch) -> str:
    """The id of a row of accrual_mismatches."""
    parts = (
        *map(str, mismatch.event_key),
        hex(mismatch.asset.pool.id),
        hex(mismatch.asset.asset),
        mismatch.field,
    )
    return _id("mismatch", protocol, *parts)


def event_place(event_key: state.EventKey) -> dict[str, int]:
    """The columns that name the event of a history row."""
    return {
        "block_number": event_key.block_number,
        "transaction_index": event_key.transaction_index,
        "event_index": event_key.event_index,
    }
