"""The rows of a folded batch as COPY takes them, made while PostgreSQL writes the batch before.

Versions and transactions follow from the fold alone. Positions are valued with the prices that are
known when they are encoded, and are encoded again where others are known once they are written.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from indexer.log import facts
from indexer.projections import (
    assets,
    memory,
    pools,
    positions,
    rows,
    samples,
    storage,
    transactions,
    valuations,
)
from indexer.store import copying, turns
from indexer.vesu import accrual, state

Key = TypeVar("Key")
Value = TypeVar("Value")
Item = TypeVar("Item")


Changed = Mapping[state.PositionKey, state.PositionState]
Origins = Mapping[tuple[int, int], transactions.Origin]


class Positions(msgspec.Struct, frozen=True):
    """Lines of vesu_positions, valued with these samples."""

    parts: Sequence[bytes]
    prices: samples.Rows
    sampling: int

    def are_of(self, known: samples.Known) -> bool:
        """Whether the samples that are known now are those that they were valued with."""
        return self.prices is known.rows and self.sampling == known.sampling


class EncodedRows(msgspec.Struct, frozen=True):
    """Lines of COPY by table, some hundred in each part; `settings` are rows of asset_settings.

    `positions` is None where they are too few for COPY, or the time of the batch is not known.
    `changed` are the positions that the fold changed, as it left them, and `origins` the
    transactions of the batch: what is written beside these lines is made of them.
    """

    pool_versions: Sequence[bytes]
    asset_versions: Sequence[bytes]
    position_versions: Sequence[bytes]
    transactions: Sequence[bytes]
    settings: Sequence[Mapping[str, Any]]
    positions: Positions | None
    changed: Changed
    origins: Origins


class _Settings:
    """Rows of asset_settings by their ids, each made once: a market keeps its own for months."""

    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, Any]] = {}
        self._latest: dict[str, tuple[tuple[Any, ...], str]] = {}

    def id_of(self, asset_id: str, asset: accrual.AssetState) -> str:
        """The id of an asset's settings."""
        values = assets.settings_of(asset)
        latest = self._latest.get(asset_id)
        # Most values are the same objects as before: to compare them takes less than to hash them.
        if latest is not None and latest[0] == values:
            return latest[1]
        row = assets.settings(asset)
        settings_id = str(row["id"])
        self.rows[settings_id] = row
        self._latest[asset_id] = values, settings_id
        return settings_id


async def encode(
    memory_: memory.Memory,
    batch: facts.Batch,
    journal: state.Journal,
    block: valuations.Block | None,
) -> EncodedRows:
    """Encode what a fold of `batch` writes; `memory_` is the memory after that fold.

    Positions are valued at `block`.
    """
    # Many rows are of a few pools and assets.
    protocol, named = functools.cache(memory_.protocol), functools.cache(memory_.named)
    origins = _origins_of(batch)
    changed = {key: position for _, key, position in journal.positions}
    settings = _Settings()

    def pool(change: tuple[state.EventKey, state.PairKey, state.PairState]) -> tuple[Any, ...]:
        event_key, key, pair = change
        return pools.version(protocol(key.pool), event_key, key, pair, memory_.world)

    def asset(change: tuple[state.EventKey, state.AssetKey, accrual.AssetState]) -> tuple[Any, ...]:
        event_key, key, asset_state = change
        asset_id = rows.asset_id(protocol(key.pool), key)
        settings_id = settings.id_of(asset_id, asset_state)
        return assets.version(asset_id, settings_id, event_key, asset_state)

    def position(
        change: tuple[state.EventKey, state.PositionKey, state.PositionState],
    ) -> tuple[Any, ...]:
        event_key, key, position_state = change
        return positions.version(protocol(key.pool), event_key, key, position_state)

    def transaction(effect: state.TransactionEffect) -> tuple[Any, ...]:
        return transactions.transaction(
            protocol(effect.position.pool),
            effect,
            origins[effect.event_key[:2]],
            named(effect.position.pool, effect.asset),
        )

    return EncodedRows(
        await _encoded(last_of_each_event(journal.pairs), pool, copying.textless_line),
        await _encoded(last_of_each_event(journal.assets), asset, copying.textless_line),
        await _encoded(last_of_each_event(journal.positions), position, copying.textless_line),
        await _encoded(journal.transactions, transaction, copying.plain_line),
        list(settings.rows.values()),
        None if block is None else await positions_of(memory_, changed, memory_.valuer(block)),
        changed,
        origins,
    )


async def positions_of(
    memory_: memory.Memory, changed: Changed, valuer: valuations.Valuer
) -> Positions | None:
    """The positions that a fold changed, valued by `valuer` of that memory; None: they are few."""
    if len(changed) < storage.STAGED_FROM:
        return None
    known = memory_.samples
    taken = known.rows, known.sampling
    parts = [
        "".join(
            [copying.line(memory_.position_row(key, position, valuer)) for key, position in part]
        ).encode()
        async for part in turns.of(list(changed.items()))
    ]
    return Positions(parts, *taken)


async def _encoded(
    items: Sequence[Item],
    row: Callable[[Item], tuple[Any, ...]],
    line: Callable[[tuple[Any, ...]], str],
) -> Sequence[bytes]:
    return ["".join([line(row(item)) for item in part]).encode() async for part in turns.of(items)]


def last_of_each_event(
    changes: Sequence[tuple[state.EventKey, Key, Value]],
) -> list[tuple[state.EventKey, Key, Value]]:
    """The last change that each event made to a row, in the order of events.

    What is settled at the end of a transaction is noted under an earlier event, and may change a
    row of it again.
    """
    found: list[tuple[state.EventKey, Key, Value]] = []
    latest: state.EventKey | None = None
    begun = 0
    for change in sorted(changes, key=operator.itemgetter(0)):
        if change[0] != latest:
            latest, begun = change[0], len(found)
            found.append(change)
            continue
        # One event changes few rows: to compare their keys takes less than to hash them.
        for index in range(begun, len(found)):
            if found[index][1] == change[1]:
                found[index] = change
                break
        else:
            found.append(change)
    return found


def _origins_of(batch: facts.Batch) -> Origins:
    """The transactions of a batch, by block number and transaction index."""
    hashes = {
        (raw.block_number, raw.transaction_index): raw.transaction_hash for raw in batch.events
    }
    return {
        key: transactions.Origin(hash_, batch.timestamps[key[0]], batch.fees.get(key))
        for key, hash_ in hashes.items()
    }
