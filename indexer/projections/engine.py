"""The engine: folds batches of the log into all tables, and takes them back to a block.

It owns the memory of the projections. Everything it writes goes through the connection it is
given, inside the caller's transaction; after a failed transaction the caller loads it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import structlog

from indexer import errors
from indexer.chain import types
from indexer.log import facts, observations
from indexer.projections import decoding, memory, positions, rollback, rows, tokens, writing
from indexer.store import sqlfile
from indexer.vesu import discovery, events, fold, state

log = structlog.get_logger(__name__)

FOLD_VERSION = 1
"""Raised whenever the same log would give other rows; stored with the data."""


class Prepared(msgspec.Struct):
    """A batch, decoded, with the views that the fold needs answered first."""

    batch: facts.Batch
    decoded: list[decoding.Decoded]
    needs: list[observations.View]

    @property
    def derived(self) -> list[facts.Derived]:
        """What decoding says of each event, in the batch's order."""
        return [one.derived for one in self.decoded]


class Summary(msgspec.Struct, frozen=True):
    """What a batch did: counts for progress, metrics and the notification."""

    events: int
    undecoded: int
    tables: tuple[str, ...]


class Engine:
    """Projects batches; one engine per writer."""

    def __init__(self, book: Iterable[tuple[int, discovery.Known]]) -> None:
        self._held = memory.Memory(dict(book))

    async def load(self, connection: memory.Connection) -> None:
        """Read what the tables hold; forget everything held before."""
        await self._held.load(connection)

    def addresses(self) -> frozenset[int]:
        """Every address whose events belong to the log."""
        return self._held.registry.addresses()

    def discover(self, emitted: Sequence[types.EmittedEvent]) -> frozenset[int]:
        """Take up the contracts that these events name; returns the new addresses."""
        return decoding.discover(emitted, self._held.registry)

    def prepare(self, batch: facts.Batch) -> Prepared:
        """Decode a batch and say which views its fold needs."""
        self.discover(batch.events)
        decoded = decoding.decode(batch.events, self._held.registry)
        return Prepared(batch, decoded, self._needs(decoded))

    def _needs(self, decoded: Iterable[decoding.Decoded]) -> list[observations.View]:
        """Symbol, name and decimals of each token that appears for the first time."""
        known = self._held.tokens
        needed: dict[int, types.EmittedEvent] = {}
        for one in decoded:
            if isinstance(one.event, events.SetAssetConfig) and one.event.asset not in known:
                needed.setdefault(one.event.asset, one.raw)
        return [
            observations.View(raw.block_number, raw.block_hash, rows.padded(asset), view)
            for asset, raw in needed.items()
            for view in tokens.VIEWS
        ]

    def observe(self, seen: Iterable[observations.Observation]) -> None:
        """Take up answers of the views that `prepare` asked for."""
        self._held.tokens |= tokens.read(seen)

    def require(self, prepared: Prepared) -> None:
        """Refuse a replay whose log lacks an answer that the fold needs."""
        for view in prepared.needs:
            raise errors.MissingObservationError(
                f"the log lacks the observation {view.view}() of {view.contract} at block "
                f"{view.block_number}: restore it from a backup, or index again from a node"
            )

    async def project(
        self, connection: memory.Connection, prepared: Prepared, revalue: bool
    ) -> Summary:
        """Fold a prepared batch and write all tables.

        `revalue` also brings the worth of every position up to date that the batch's markets
        concern; far behind the head only the touched positions are valued.
        """
        await self._load_positions(connection, prepared.decoded)
        journal = self._fold(prepared)
        await writing.write(connection, self._held, prepared.batch, journal)
        if revalue:
            await writing.revalue(connection, self._held)
        self._held.world.positions.clear()
        return _summary(prepared, journal)

    async def _load_positions(
        self, connection: memory.Connection, decoded: Iterable[decoding.Decoded]
    ) -> None:
        held = self._held
        keys = {
            key
            for one in decoded
            if one.event is not None and (known := held.registry.get(one.emitter))
            for key in fold.touched_positions(one.emitter, known, one.event)
        }
        held.world.positions = {}
        if not keys:
            return
        for row in await connection.fetch(
            sqlfile.load("positions")["load"],
            [rows.padded(key.pool.id) for key in keys],
            [rows.position_id(held.protocol(key.pool), key) for key in keys],
        ):
            key, position = positions.parse(row)
            held.world.positions[key] = position

    def _fold(self, prepared: Prepared) -> state.Journal:
        folding = fold.Fold(self._held.world, self._held.registry)
        times = prepared.batch.timestamps
        for one in prepared.decoded:
            if one.event is not None:
                raw = one.raw
                at = state.EventKey(raw.block_number, raw.transaction_index, raw.event_index)
                folding.apply(at, times[raw.block_number], one.emitter, one.event)
        for at, reason in folding.journal.refused:
            log.warning(
                "refused_event",
                block=at.block_number,
                transaction_index=at.transaction_index,
                event_index=at.event_index,
                reason=reason,
            )
        return folding.journal

    async def rollback(self, connection: memory.Connection, to_block: int) -> int:
        """Make all tables what they were at `to_block`; returns the number of rows restored."""
        return await rollback.rollback(connection, self._held, to_block)


def _summary(prepared: Prepared, journal: state.Journal) -> Summary:
    touched = (
        ("vesu_pools", journal.pairs or journal.assets),
        ("vesu_assets", journal.assets),
        ("vesu_positions", journal.positions),
        ("vesu_transactions", journal.transactions),
        ("vesu_liquidations", journal.liquidations),
    )
    return Summary(
        len(prepared.decoded),
        sum(one.event is None for one in prepared.decoded),
        tuple(table for table, changes in touched if changes),
    )
