"""Resolves names and symbols of pools and assets to addresses.

Anyone may name a pool or a token, so a name may mean several; where one is wanted, they are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import asyncpg

from indexer import errors, values
from indexer.cairo import felt252
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "names")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

SHOWN = 5
"""How many of the things that a name may mean are listed."""


async def pool(connection: Connection, name_or_id: int | str) -> int:
    """The pool id that an id, a contract's address or a name means.

    NotFoundError: no pool of it is known. QuestionError: it means several.
    """
    rows = await connection.fetch(_SQL["pools"])
    if isinstance(name_or_id, int):
        address = felt252.padded(name_or_id)
        if any(row["pool_id"] == address for row in rows):
            return name_or_id
        found = {row["pool_id"]: row["name"] for row in rows if row["pool_address"] == address}
        shown = address
    else:
        found = {row["pool_id"]: row["name"] for row in rows if _is_same(row["name"], name_or_id)}
        shown = repr(name_or_id)
    if not found:
        near = _nearest(name_or_id, (row["name"] for row in rows))
        raise errors.NotFoundError(f"no pool {shown} is known{near}", parameter="pool")
    return _only("pool", shown, found)


async def assets(
    connection: Connection, name_or_id: int | str, pool_id: int | None = None
) -> frozenset[int]:
    """The assets that an address or a symbol means, in one pool or in all; at least one.

    NotFoundError: none is known.
    """
    return frozenset(await _assets(connection, name_or_id, pool_id))


async def asset(connection: Connection, name_or_id: int | str, pool_id: int | None = None) -> int:
    """The one asset that an address or a symbol means; QuestionError where it means several."""
    found = await _assets(connection, name_or_id, pool_id)
    return _only(
        "asset", repr(name_or_id), {felt252.padded(key): name for key, name in found.items()}
    )


async def _assets(
    connection: Connection, name_or_id: int | str, pool_id: int | None
) -> dict[int, str | None]:
    if isinstance(name_or_id, int):
        return {name_or_id: None}
    rows = await connection.fetch(
        _SQL["assets"], None if pool_id is None else felt252.padded(pool_id)
    )
    found = {
        int(row["asset_address"], 16): row["symbol"]
        for row in rows
        if _is_same(row["symbol"], name_or_id)
    }
    if not found:
        near = _nearest(name_or_id, (row["symbol"] for row in rows))
        raise errors.NotFoundError(f"no asset {name_or_id!r} is known{near}", parameter="asset")
    return found


async def event(connection: Connection, event_name: str) -> str:
    """The name of a decoded event, whatever its case; NotFoundError where the log has none."""
    known = [row["name"] for row in await connection.fetch(_SQL["event_names"])]
    for name in known:
        if _is_same(name, event_name):
            return str(name)
    near = _nearest(event_name, known)
    raise errors.NotFoundError(
        f"the log holds no event named {event_name!r}{near}", parameter="name"
    )


async def contracts(connection: Connection, addresses: Iterable[int]) -> frozenset[int]:
    """The same addresses; NotFoundError where one is of no contract that is watched."""
    address_set = frozenset(addresses)
    rows = await connection.fetch(_SQL["contracts"], [felt252.padded(each) for each in address_set])
    unknown = address_set - {int(row["address"], 16) for row in rows}
    if unknown:
        raise errors.NotFoundError(
            f"no contract of Vesu is known at {', '.join(map(felt252.padded, sorted(unknown)))}: "
            "`vesu-indexer export contracts --format csv --out -` lists them",
            parameter="contract",
        )
    return address_set


def _is_same(name: str | None, text: str) -> bool:
    return name is not None and name.strip().casefold() == text.strip().casefold()


def _nearest(name_or_id: int | str, known: Iterable[str | None]) -> str:
    """A hint at what may be meant; empty for an address."""
    names = sorted({name for name in known if name})
    if isinstance(name_or_id, int) or not names:
        return ""
    near = values.nearest(name_or_id, names)
    if near:
        return f"; the nearest known is {near!r}"
    suffix = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; known are {', '.join(map(repr, names[:SHOWN]))}{suffix}"


def _only(kind: str, shown: str, found: Mapping[str, str | None]) -> int:
    if len(found) > 1:
        listed = ", ".join(
            f"{key} {name or ''}".strip() for key, name in sorted(found.items())[:SHOWN]
        )
        suffix = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise errors.QuestionError(
            f"{shown} means {len(found)} {kind}s: name one of {listed}{suffix}", parameter=kind
        )
    return int(next(iter(found)), 16)
