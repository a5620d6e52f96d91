"""The engine: folds batches of the log into all tables, and takes them back to a block.

It owns the in-memory `World`. Everything it writes goes through the connection it is given,
inside the caller's transaction; after a failed transaction the caller loads a new engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import msgspec

from indexer import errors
from indexer.chain import types
from indexer.log import facts, observations
from indexer.projections import (
    assets,
    contracts,
    decoding,
    pools,
    positions,
    rows,
    tokens,
    transactions,
)
from indexer.store import sqlfile
from indexer.vesu import discovery, events, fold, kinds, state

FOLD_VERSION = 1
"""Raised whenever the same log would give other rows; stored with the data."""

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


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
        self._book = dict(book)
        self.registry = discovery.Registry(self._book)
        self.world = state.World()
        self.tokens: dict[int, tokens.Token] = {}
        self._stale: set[state.AssetKey] = set()

    async def load(self, connection: Connection) -> None:
        """Read contracts, assets, pairs and tokens; forget everything held before."""
        self.world = state.World()
        for row in await connection.fetch(sqlfile.load("contracts")["load"]):
            address, contract = contracts.parse(row)
            self.world.contracts[address] = contract
        for row in await connection.fetch(sqlfile.load("assets")["load"]):
            key, asset = assets.parse(row)
            self.world.assets[key] = asset
        for row in await connection.fetch(sqlfile.load("pools")["load"]):
            pair_key, pair = pools.parse(row)
            self.world.pairs[pair_key] = pair
        self.tokens = tokens.read(await observations.read(connection, tokens.VIEWS))
        self.registry = self._known_contracts()
        self._stale = set(self.world.assets)

    def _known_contracts(self) -> discovery.Registry:
        registry = discovery.Registry(self._book)
        for address, contract in self.world.contracts.items():
            registry.add(address, discovery.Known(contract.kind, contract.pool, contract.asset))
        return registry

    def addresses(self) -> frozenset[int]:
        """Every address whose events belong to the log."""
        return self.registry.addresses()

    def discover(self, emitted: Sequence[types.EmittedEvent]) -> frozenset[int]:
        """Take up the contracts that these events name; returns the new addresses."""
        return decoding.discover(emitted, self.registry)

    # --- a batch --------------------------------------------------------------------------

    def prepare(self, batch: facts.Batch) -> Prepared:
        """Decode a batch and say which views its fold needs."""
        self.discover(batch.events)
        decoded = decoding.decode(batch.events, self.registry)
        return Prepared(batch, decoded, self._needs(decoded))

    def _needs(self, decoded: Iterable[decoding.Decoded]) -> list[observations.View]:
        """Symbol, name and decimals of each token that appears for the first time."""
        needed: dict[int, types.EmittedEvent] = {}
        for one in decoded:
            if isinstance(one.event, events.SetAssetConfig) and one.event.asset not in self.tokens:
                needed.setdefault(one.event.asset, one.raw)
        return [
            observations.View(raw.block_number, raw.block_hash, rows.padded(asset), view)
            for asset, raw in needed.items()
            for view in tokens.VIEWS
        ]

    def observe(self, seen: Iterable[observations.Observation]) -> None:
        """Take up answers of the views that `prepare` asked for."""
        self.tokens |= tokens.read(seen)

    def require(self, prepared: Prepared) -> None:
        """Refuse a replay whose log lacks an answer that the fold needs."""
        for view in prepared.needs:
            raise errors.MissingObservationError(
                f"the log lacks the observation {view.view}() of {view.contract} at block "
                f"{view.block_number}: restore it from a backup, or index again from a node"
            )

    async def project(self, connection: Connection, prepared: Prepared, revalue: bool) -> Summary:
        """Fold a prepared batch and write all tables.

        `revalue` also brings the worth of every position up to date that the batch's markets
        concern; far behind the head only the touched positions are valued.
        """
        await self._load_positions(connection, prepared.decoded)
        journal = self._fold(prepared)
        await self._write(connection, prepared, journal)
        if revalue:
            await self._revalue(connection)
        self.world.positions.clear()
        return _summary(prepared, journal)

    async def _load_positions(
        self, connection: Connection, decoded: Iterable[decoding.Decoded]
    ) -> None:
        keys = {
            key
            for one in decoded
            if one.event is not None and (known := self.registry.get(one.emitter))
            for key in fold.touched_positions(one.emitter, known, one.event)
        }
        self.world.positions = {}
        if not keys:
            return
        for row in await connection.fetch(
            sqlfile.load("positions")["load"],
            [rows.padded(key.pool) for key in keys],
            [rows.position_id(self._protocol(key.pool), key) for key in keys],
        ):
            key, position = positions.parse(row)
            self.world.positions[key] = position

    def _fold(self, prepared: Prepared) -> state.Journal:
        folding = fold.Fold(self.world, self.registry)
        times = prepared.batch.timestamps
        for one in prepared.decoded:
            if one.event is not None:
                raw = one.raw
                at = state.EventKey(raw.block_number, raw.transaction_index, raw.event_index)
                folding.apply(at, times[raw.block_number], one.emitter, one.event)
        return folding.journal

    def _protocol(self, pool: int) -> str:
        known = self.registry.get(pool)
        return rows.PROTOCOLS[known.kind if known else kinds.Kind.POOL_V2]

    # --- writing --------------------------------------------------------------------------

    async def _write(
        self, connection: Connection, prepared: Prepared, journal: state.Journal
    ) -> None:
        # Parents before children: positions refer to pools, transactions to positions.
        await self._write_contracts(connection, journal)
        await self._write_pools(connection, journal)
        await self._write_assets(connection, journal)
        await self._write_positions(connection, journal)
        await self._write_effects(connection, prepared, journal)
        self._stale |= {key for _, key, _ in journal.assets}

    async def _write_contracts(self, connection: Connection, journal: state.Journal) -> None:
        changed = {address for _, address, _ in journal.contracts}
        await put(
            connection,
            "contracts",
            "upsert",
            [contracts.current(address, self.world.contracts[address]) for address in changed],
        )
        versions = {(at, address): contract for at, address, contract in journal.contracts}
        await put(
            connection,
            "contracts",
            "append_history",
            [
                contracts.history(at, address, contract)
                for (at, address), contract in versions.items()
            ],
        )

    async def _write_pools(self, connection: Connection, journal: state.Journal) -> None:
        await put(
            connection,
            "pools",
            "upsert",
            [
                pools.current(self._protocol(key.pool), key, self.world, self.tokens)
                for key in self._pairs_concerned(journal)
            ],
        )
        versions = {(at, key): pair for at, key, pair in journal.pairs}
        await put(
            connection,
            "pools",
            "append_history",
            [
                pools.history(self._protocol(key.pool), at, key, pair)
                for (at, key), pair in versions.items()
            ],
        )

    def _pairs_concerned(self, journal: state.Journal) -> list[state.PairKey]:
        """Pairs that changed, or whose pool or markets changed."""
        changed = {key for _, key, _ in journal.pairs}
        settings = {address for _, address, _ in journal.contracts}
        markets = {key for _, key, _ in journal.assets}
        return [
            key
            for key in self.world.pairs
            if key in changed
            or key.pool in settings
            or state.AssetKey(key.pool, key.collateral) in markets
            or state.AssetKey(key.pool, key.debt) in markets
        ]

    async def _write_assets(self, connection: Connection, journal: state.Journal) -> None:
        changed = {key for _, key, _ in journal.assets}
        await put(connection, "assets", "upsert", [self._asset_row(key) for key in changed])
        versions = {(at, key): asset for at, key, asset in journal.assets}
        await put(
            connection,
            "assets",
            "append_history",
            [
                assets.history(self._protocol(key.pool), at, key, asset)
                for (at, key), asset in versions.items()
            ],
        )

    def _asset_row(self, key: state.AssetKey) -> dict[str, Any]:
        token = self.tokens.get(key.asset, tokens.Token())
        return assets.current(self._protocol(key.pool), key, self.world.assets[key], token)

    async def _write_positions(self, connection: Connection, journal: state.Journal) -> None:
        changed = {key for _, key, _ in journal.positions}
        await put(
            connection,
            "positions",
            "upsert",
            [self._position_row(key, self.world.positions[key]) for key in changed],
        )
        versions = {(at, key): position for at, key, position in journal.positions}
        await put(
            connection,
            "positions",
            "append_history",
            [
                positions.history(self._protocol(key.pool), at, key, position)
                for (at, key), position in versions.items()
            ],
        )

    def _position_row(
        self, key: state.PositionKey, position: state.PositionState
    ) -> dict[str, Any]:
        return positions.current(self._protocol(key.pool), key, position, self.world, self.tokens)

    async def _write_effects(
        self, connection: Connection, prepared: Prepared, journal: state.Journal
    ) -> None:
        origins = _origins(prepared)
        await put(
            connection,
            "transactions",
            "append",
            [
                transactions.transaction(
                    self._protocol(effect.position.pool),
                    effect,
                    origins[effect.at],
                    self._named(effect.position.pool, effect.asset),
                )
                for effect in journal.transactions
            ],
        )
        await put(
            connection,
            "liquidations",
            "append",
            [
                transactions.liquidation(
                    self._protocol(effect.position.pool),
                    effect,
                    origins[effect.at],
                    self._named(effect.position.pool, effect.position.collateral),
                    self._named(effect.position.pool, effect.position.debt),
                )
                for effect in journal.liquidations
            ],
        )

    def _named(self, pool: int, asset: int) -> transactions.Named:
        return transactions.named(self.world, self.tokens, pool, asset)

    async def _revalue(self, connection: Connection) -> None:
        """Bring the worth of positions up to date whose markets changed since the last time."""
        if not self._stale:
            return
        found = await connection.fetch(
            sqlfile.load("positions")["load_of_assets"],
            [rows.padded(key.pool) for key in self._stale],
            [rows.padded(key.asset) for key in self._stale],
        )
        await put(
            connection,
            "positions",
            "upsert",
            [self._position_row(*positions.parse(row)) for row in found],
        )
        self._stale.clear()

    # --- taking back ----------------------------------------------------------------------

    async def rollback(self, connection: Connection, to_block: int) -> int:
        """Make all tables what they were at `to_block`; returns the number of rows restored.

        Drops what was appended above it and restores each touched row's latest version.
        """
        for table in ("transactions", "liquidations"):
            await connection.execute(sqlfile.load(table)["drop"], to_block)
        restored = await self._restore_contracts(connection, to_block)
        touched = {
            table: await connection.fetch(sqlfile.load(table)["drop_history"], to_block)
            for table in ("positions", "pools", "assets")
        }
        # Children before parents where rows vanish, parents before children where they return.
        versions = {table: await _latest(connection, table, touched[table]) for table in touched}
        for table in ("positions", "pools", "assets"):
            await _delete_gone(connection, table, touched[table], versions[table])
        await self._restore(connection, versions)
        await self.load(connection)
        return restored + sum(len(found) for found in versions.values())

    async def _restore_contracts(self, connection: Connection, to_block: int) -> int:
        statements = sqlfile.load("contracts")
        dropped = await connection.fetch(statements["drop_history"], to_block)
        touched = list({row["address"] for row in dropped})
        found = [
            contracts.parse(row) for row in await connection.fetch(statements["latest"], touched)
        ]
        kept = {rows.padded(address) for address, _ in found}
        await connection.execute(
            statements["delete"], [address for address in touched if address not in kept]
        )
        await put(
            connection,
            "contracts",
            "upsert",
            [contracts.current(address, contract) for address, contract in found],
        )
        return len(found)

    async def _restore(
        self, connection: Connection, versions: dict[str, list[asyncpg.Record]]
    ) -> None:
        await self.load(connection)
        restored_assets = dict(assets.parse(row) for row in versions["assets"])
        restored_pairs = dict(pools.parse(row) for row in versions["pools"])
        self.world.assets |= restored_assets
        self.world.pairs |= restored_pairs
        await put(connection, "assets", "upsert", [self._asset_row(key) for key in restored_assets])
        await put(
            connection,
            "pools",
            "upsert",
            [
                pools.current(self._protocol(key.pool), key, self.world, self.tokens)
                for key in self.world.pairs
            ],
        )
        await put(
            connection,
            "positions",
            "upsert",
            [self._position_row(*positions.parse(row)) for row in versions["positions"]],
        )


async def put(
    connection: Connection, table: str, statement: str, records: Sequence[dict[str, Any]]
) -> None:
    """Write rows by a named statement that takes them as one JSON document."""
    if records:
        await connection.execute(sqlfile.load(table)[statement], rows.encode(records).decode())


async def _latest(
    connection: Connection, table: str, touched: Sequence[asyncpg.Record]
) -> list[asyncpg.Record]:
    keys = {(row["pool_id"], row["id"]) for row in touched}
    return list(
        await connection.fetch(
            sqlfile.load(table)["latest"], [key[0] for key in keys], [key[1] for key in keys]
        )
    )


async def _delete_gone(
    connection: Connection,
    table: str,
    touched: Sequence[asyncpg.Record],
    kept: Sequence[asyncpg.Record],
) -> None:
    gone = {(row["pool_id"], row["id"]) for row in touched} - {
        (row["pool_id"], row["id"]) for row in kept
    }
    await connection.execute(
        sqlfile.load(table)["delete"], [key[0] for key in gone], [key[1] for key in gone]
    )


def _origins(prepared: Prepared) -> dict[state.EventKey, transactions.Origin]:
    batch = prepared.batch
    return {
        state.EventKey(
            raw.block_number, raw.transaction_index, raw.event_index
        ): transactions.Origin(
            raw.transaction_hash,
            batch.timestamps[raw.block_number],
            batch.fees.get((raw.block_number, raw.transaction_index)),
        )
        for raw in batch.events
    }


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
