"""Samples as the projections use them: the newest of each asset up to a block, laid over a world.

The fold knows the prices that events told and nothing else; what is worth something at a block is
valued with the newest price known, told or sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import asyncpg
import msgspec

from indexer.projections import prices, rows, storage
from indexer.store import sqlfile
from indexer.vesu import accrual, state

_SQL = sqlfile.load(__package__, "samples")

Rows = Mapping[state.AssetKey, accrual.Sample]
Ids = Mapping[state.AssetKey, str]
"""The ids of assets: vesu_assets.id."""

EVERY = 2**62
"""Above the number of any sampling."""


async def newest(
    connection: storage.Connection, ids: Ids, block: int, sampling: int = EVERY
) -> dict[state.AssetKey, accrual.Sample]:
    """The newest sample up to a block of each of these assets, of the samplings up to a number."""
    keys = list(ids)
    if not keys:
        return {}
    found = await connection.fetch(
        _SQL["newest"],
        block,
        sampling,
        [rows.padded(key.pool.id) for key in keys],
        [ids[key] for key in keys],
    )
    return {keys[row["place"] - 1]: _sample(row) for row in found}


def _sample(row: asyncpg.Record) -> accrual.Sample:
    has_price = row["price"] is not None
    return accrual.Sample(
        row["block_number"],
        row["is_valid"],
        int(row["price"]) if has_price else None,
        row["price_block"],
        int(row["price_timestamp"].timestamp()) if has_price else None,
        prices.model_of(row["rate_model"]),
    )


def over(world: state.World, found: Rows) -> state.World:
    """The world with what samples know; `world` itself stays as it is."""
    if not found:
        return world
    known = {
        key: accrual.with_sample(world.assets[key], sample)
        for key, sample in found.items()
        if key in world.assets
    }
    return msgspec.structs.replace(world, assets={**world.assets, **known})


async def at_block(connection: storage.Connection, block: int) -> set[str]:
    """The ids of the assets that were sampled at this very block."""
    return {str(row["asset_id"]) for row in await connection.fetch(_SQL["at_block"], block)}


class Known:
    """The samples that are known at the block in hand; read anew where others may be."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.sampling = 0
        """The newest sampling whose samples are among these."""
        self._block = -1
        self._assets: set[state.AssetKey] = set()

    def forget(self) -> None:
        """Load all samples again before the next use."""
        self.rows = {}
        self._block = -1
        self._assets = set()

    async def take_up(
        self,
        connection: storage.Connection,
        assets: Collection[state.AssetKey],
        protocol: Callable[[state.PoolKey], str],
        block: int,
    ) -> frozenset[state.AssetKey]:
        """Bring them up to a block; the assets of which something else is known now.

        Where no sample is new, only those of new assets are read: anyone may add many, and a
        block must not read what is known of all others again for it.
        """
        row = await connection.fetchrow(_SQL["since"], self._block, block)
        assert row is not None  # aggregates have one row
        is_known = (
            self._block >= 0
            and self._block <= block
            and row["newest"] == self.sampling
            and not row["has_between"]
        )
        self._block = block
        if is_known and len(self._assets) == len(assets):
            return frozenset()
        unread = set(assets) - self._assets if is_known else assets
        before = self.rows
        self.sampling, self._assets = row["newest"], set(assets)
        ids = {key: rows.asset_id(protocol(key.pool), key) for key in unread}
        found = await newest(connection, ids, block, self.sampling)
        self.rows = {**before, **found} if is_known else found
        changed = found if is_known else {*before, *found}
        return frozenset(key for key in changed if before.get(key) != self.rows.get(key))

    async def are_others(self, connection: storage.Connection) -> bool:
        """Whether samples were stored since these were loaded."""
        row = await connection.fetchrow(_SQL["since"], self._block, self._block)
        assert row is not None  # aggregates have one row
        return bool(row["newest"] != self.sampling)
