"""What the projections hold in memory between batches: contracts, markets, pairs, tokens.

Positions are many and so are read for each batch; everything else is few and stays.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import asyncpg

from indexer.log import observations
from indexer.projections import (
    assets,
    contract_classes,
    listed_pools,
    pools,
    positions,
    rows,
    samples,
    tokens,
    transactions,
    valuations,
)
from indexer.projections import world as worlds
from indexer.vesu import accrual, discovery, kinds, state

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Memory:
    """The world as of the last batch, the known contracts, and the tokens' names."""

    def __init__(self, contracts: Mapping[int, discovery.Known]) -> None:
        self._configured = dict(contracts)
        self.registry = discovery.Registry(self._configured)
        self.world = state.World()
        self.tokens: dict[int, tokens.Token] = {}
        self.listed = listed_pools.EVERY
        self.unknown_classes: contract_classes.Unknown = {}
        self.samples = samples.Known()
        self.is_valued = True
        """Whether active positions are valued as they are written."""

    async def load(self, connection: Connection) -> None:
        """Load everything again; everything loaded before is dropped."""
        self.world = (await worlds.current(connection)).world
        self.tokens = tokens.read(await observations.read(connection, tokens.VIEWS))
        self.listed = await listed_pools.read(connection)
        await self.read_classes(connection)
        self.registry = self._known_contracts()
        self.samples.forget()

    def snapshot(self) -> Memory:
        """The memory as it is now, for a batch that is written while the next one is folded.

        Known contracts and samples are shared with the memory that goes on: what a later batch
        adds to them concerns no row of this one.
        """
        return copy.copy(self)

    async def read_classes(self, connection: Connection) -> None:
        """Load the contract classes that were stored meanwhile."""
        self.unknown_classes = await contract_classes.read_unknown(connection)

    def _known_contracts(self) -> discovery.Registry:
        registry = discovery.Registry(self._configured)
        for address, contract in self.world.contracts.items():
            registry.add(address, discovery.Known(contract.kind, contract.pool, contract.asset))
        return registry

    async def take_up_samples(
        self, connection: Connection, block: int
    ) -> frozenset[state.AssetKey]:
        """Know the samples up to a block; the assets of which something else is known now."""
        return await self.samples.take_up(connection, self.world.assets, self.protocol, block)

    def valuer(self, block: valuations.Block) -> valuations.Valuer:
        """Values positions at a block, whose samples are known, with the newest prices; active
        ones only where `is_valued`."""
        made = valuations.Valuer if self.is_valued else valuations.Unvalued
        return made(self.world, block, self.samples.sampling, self.samples.rows)

    def protocol(self, pool: state.PoolKey) -> str:
        """The protocol's generation that a pool is of, as the tables name it."""
        known = self.registry.get(pool.address)
        return rows.PROTOCOLS[known.kind if known else kinds.Kind.POOL_V2]

    def quarantined_pools(self) -> int:
        """The number of pools that are frozen because their events contradicted their state."""
        every = (*self.world.contracts.values(), *self.world.pools.values())
        return sum(contract.quarantine_reason is not None for contract in every)

    # --- current rows, which need more than their own state -------------------------------

    def pool_row(self, key: state.PairKey) -> dict[str, Any]:
        """A row of vesu_pools."""
        return pools.current(
            self.protocol(key.pool),
            key,
            self.world,
            self.tokens,
            is_listed=self.is_listed(key.pool),
            unknown_class=contract_classes.of_pool(self.unknown_classes, key.pool, self.world),
        )

    def asset_row(self, key: state.AssetKey) -> dict[str, Any]:
        """A row of vesu_assets."""
        token = self.tokens.get(key.asset, tokens.UNKNOWN)
        return assets.current(
            self.protocol(key.pool),
            key,
            self.world.assets[key],
            token,
            self._priced(key),
            is_listed=self.is_listed(key.pool),
        )

    def asset_prices(self, key: state.AssetKey) -> tuple[Any, ...]:
        """Pool id and id of a row of vesu_assets, and its columns `tables.PRICE`."""
        asset_id = rows.asset_id(self.protocol(key.pool), key)
        return (rows.padded(key.pool.id), asset_id, *assets.prices(self._priced(key)))

    def _priced(self, key: state.AssetKey) -> accrual.AssetState:
        """An asset with the newest price that is known."""
        asset, sample = self.world.assets[key], self.samples.rows.get(key)
        return asset if sample is None else accrual.with_sample(asset, sample)

    def position_row(
        self, key: state.PositionKey, position: state.PositionState, valuer: valuations.Valuer
    ) -> tuple[Any, ...]:
        """A row of vesu_positions, in the order of `positions.COLUMNS`."""
        return positions.values(
            self.protocol(key.pool),
            key,
            position,
            self.world,
            self.tokens,
            valuer,
            is_listed=self.is_listed(key.pool),
        )

    def is_listed(self, pool: state.PoolKey) -> bool:
        """Whether a pool counts."""
        return self.listed.has(rows.padded(pool.id))

    def named(self, pool: state.PoolKey, asset: int) -> transactions.Named:
        """The symbol and decimals of an asset, as transaction rows show them."""
        return transactions.named(self.world, self.tokens, pool, asset)
