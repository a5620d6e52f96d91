"""The history of a pool's configuration: each setting's old and new value, and the event."""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal

import asyncpg
import msgspec

from indexer.query import database_state, kinds, point_in_time, states
from indexer.store import sqlfile

_SQL = sqlfile.load(__package__, "configuration")

POOLS_KEPT = 64
MOST_KEPT = 1_000
"""The changes of a pool that has more are looked for anew each time."""

PAIR_SETTINGS = ("max_ltv_raw", "liquidation_factor_raw", "debt_cap_raw")


class Change(msgspec.Struct, frozen=True):
    """One setting that an event changed; `before` is None where it was set first.

    `of` says whose setting: the pool's, an asset's or a pair's; the addresses name which. Raw
    values are those of the contract.
    """

    of: Literal["pool", "asset", "pair"]
    collateral_address: kinds.Felt | None
    debt_address: kinds.Felt | None
    setting: str
    before: Any
    after: Any
    time: datetime.datetime
    block_number: kinds.Block
    transaction_index: kinds.Block
    event_index: kinds.Block

    @property
    def id(self) -> str:
        """The identifier of the change among all changes of its pool."""
        event_key = (self.block_number, self.transaction_index, self.event_index)
        owner = (self.of, self.collateral_address or "", self.debt_address or "")
        return "/".join(map(str, (*event_key, *owner, self.setting)))


class Configurations:
    """The changes of the pools that were asked for last: for a later block what is new is added.

    To find them takes a look at every version of the pool's assets and pairs.
    """

    def __init__(self) -> None:
        self._kept: states.Kept[_Known] = states.Kept(POOLS_KEPT)

    async def changes(
        self,
        connection: point_in_time.Connection,
        standing: database_state.DatabaseState,
        block: int,
        pool_id: str,
    ) -> list[Change]:
        """All changes of a pool's configuration up to a block, the oldest first."""
        # What is committed stays, until a rollback or a replay.
        key: Hashable = (pool_id, standing.fork_counter, standing.generation)
        async with self._kept.making(key):
            known = self._kept.get(key) or _Known(-1, [])
            if block > known.block_number:
                new = await between(connection, pool_id, known.block_number, block)
                known = _Known(block, [*known.changes, *new])
                if len(known.changes) <= MOST_KEPT:
                    self._kept.keep(key, known)
        return [change for change in known.changes if change.block_number <= block]


class _Known(msgspec.Struct, frozen=True):
    """All changes of a pool up to a block."""

    block_number: int
    changes: list[Change]


async def between(
    connection: point_in_time.Connection, pool_id: str, above: int, block: int
) -> list[Change]:
    """The changes of a pool's configuration above a block (-1: from the first) up to another one,
    the oldest first."""
    args = (pool_id, block, above)
    changes: list[Change] = []
    for row in await connection.fetch(_SQL["contracts"], *args):
        changes += _changes("pool", row, None, None, *_settings(row))
    for row in await connection.fetch(_SQL["assets"], *args):
        changes += _changes("asset", row, row["asset_address"], None, *_settings(row))
    for row in await connection.fetch(_SQL["pairs"], *args):
        before = {name: row[f"old_{name}"] for name in PAIR_SETTINGS}
        after = {name: row[name] for name in PAIR_SETTINGS}
        changes += _changes(
            "pair", row, row["collateral_address"], row["debt_address"], before, after
        )
    return sorted(changes, key=lambda change: (*_event_key(change), change.of, change.id))


def _settings(row: asyncpg.Record) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    before = {} if row["before"] is None else msgspec.json.decode(row["before"])
    return before, msgspec.json.decode(row["now"])


def _changes(
    of_what: Literal["pool", "asset", "pair"],
    row: asyncpg.Record,
    collateral: str | None,
    debt: str | None,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Iterable[Change]:
    key = (row["changed_at"], *(row[name] for name in EVENT_KEY))
    for setting, value in after.items():
        old = before.get(setting)
        if value != old:
            yield Change(of_what, collateral, debt, setting, old, value, *key)


EVENT_KEY = ("block_number", "transaction_index", "event_index")


def _event_key(change: Change) -> tuple[int, int, int]:
    return change.block_number, change.transaction_index, change.event_index
